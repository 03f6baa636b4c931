use super::*;

fn of(name: &str, max_length: i16) -> SqlType {
    let name = name.to_owned();
    SqlType { name, max_length, precision: 18, scale: 2, collation: None, code_page: None }
}

fn text(name: &str, max_length: i16, code_page: i32) -> SqlType {
    let collation = Some("Latin1_General_100_CI_AS".to_owned());
    SqlType { collation, code_page: Some(code_page), ..of(name, max_length) }
}

#[test]
fn a_type_is_declared_as_a_person_would_write_it() {
    let cases = [
        (of("decimal", 9), "decimal(18,2)"),
        (of("datetime2", 8), "datetime2(2)"),
        (of("varchar", 50), "varchar(50)"),
        (of("nvarchar", 100), "nvarchar(50)"),
        (of("nvarchar", -1), "nvarchar(max)"),
        (of("varbinary", -1), "varbinary(max)"),
        (of("int", 4), "int"),
        (of("geography", -1), "geography"),
    ];
    for (sql_type, expected) in cases {
        assert_eq!(sql_type.declaration(), expected);
    }
}

#[test]
fn what_would_arrive_inexactly_is_converted_by_the_server() {
    let cases = [
        (of("int", 4), "[c]"),
        (of("money", 8), "CAST([c] AS decimal(19,4))"),
        (of("smallmoney", 4), "CAST([c] AS decimal(10,4))"),
        (text("varchar", 50, 1252), "[c]"),
        (text("varchar", 50, 65001), "CAST([c] AS nvarchar(50))"),
        (text("char", 8000, 932), "CAST([c] AS nvarchar(max))"),
        (text("varchar", -1, 1250), "CAST([c] AS nvarchar(max))"),
        (text("nvarchar", 50, 65001), "[c]"),
        (text("text", 16, 1252), "CAST([c] AS nvarchar(max))"),
        (of("image", 16), "CAST([c] AS varbinary(max))"),
        (of("hierarchyid", 892), "[c].ToString()"),
        (of("xml", -1), "[c]"),
        (of("json", -1), "CAST([c] AS nvarchar(max))"),
    ];
    for (sql_type, expected) in cases {
        assert_eq!(sql_type.select("[c]"), expected, "{sql_type:?}");
    }
    let geometry = of("geometry", -1).select("[c]");
    assert!(geometry.contains("[c].STSrid") && geometry.starts_with("CASE WHEN [c] IS NOT NULL"), "{geometry}");
    let variant = of("sql_variant", 8016).select("[c]");
    assert!(variant.contains("N'money'") && variant.ends_with("ELSE [c] END"), "{variant}");
}

#[test]
fn a_key_value_is_read_back_as_its_own_type() {
    let cases = [
        (of("int", 4), Some("CAST(@P1 AS int)")),
        (of("varbinary", 16), Some("CONVERT(varbinary(16), @P1, 1)")),
        (of("timestamp", 8), Some("CONVERT(binary(8), @P1, 1)")),
        (of("hierarchyid", 892), Some("CAST(@P1 AS hierarchyid)")),
        (text("varchar", 20, 1252), Some("CAST(@P1 COLLATE Latin1_General_100_CI_AS AS varchar(20))")),
        (of("varchar", 20), None),
        (of("sql_variant", 8016), None),
        (of("xml", -1), None),
    ];
    for (sql_type, expected) in cases {
        assert_eq!(sql_type.parse("@P1").as_deref(), expected, "{sql_type:?}");
    }
    let strange = SqlType { collation: Some("x; DROP".to_owned()), ..of("char", 1) };
    assert_eq!(strange.parse("@P1"), None);
}

#[test]
fn values_that_an_update_may_leave_out_are_known() {
    for (name, max_length, is_large) in [
        ("text", 16, true),
        ("xml", -1, true),
        ("nvarchar", -1, true),
        ("nvarchar", 100, false),
        ("hierarchyid", 892, false),
    ] {
        assert_eq!(of(name, max_length).is_large(), is_large, "{name}({max_length})");
    }
}
