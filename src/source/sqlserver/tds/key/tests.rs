use tiberius::{ColumnData, ColumnType};

use super::*;
use crate::config::TimesAsText;
use crate::source::sqlserver::OrderGrade;
use crate::source::sqlserver::tds::layout::LayoutColumn;
use crate::source::sqlserver::tds::types::SqlType;

fn layout(columns: &[(&str, &str)]) -> Layout {
    let columns = columns.iter().map(|(name, type_name)| {
        let sql_type = SqlType {
            name: (*type_name).to_owned(),
            max_length: 8,
            precision: 0,
            scale: 7,
            collation: None,
            code_page: None,
        };
        let carrier = sql_type.carrier(TimesAsText::default());
        LayoutColumn { name: (*name).to_owned(), sql_type, carrier, source_name: Some((*name).to_owned()) }
    });
    Layout::new(columns.collect(), true)
}

fn instance(key: &[&str]) -> CaptureInstance {
    CaptureInstance {
        name: "dbo_t".to_owned(),
        schema: "dbo".to_owned(),
        table: "t".to_owned(),
        source_object_id: 1,
        object_id: 2,
        created: chrono::DateTime::UNIX_EPOCH.naive_utc(),
        start_lsn: None,
        columns: Vec::new(),
        key: key.iter().map(|name| (*name).to_owned()).collect(),
        is_ordered: !key.is_empty(),
        uncaptured: Vec::new(),
        role: None,
        grade: OrderGrade::Command,
    }
}

fn mark(text: &str) -> KeyMark {
    KeyMark(text.to_owned())
}

#[test]
fn the_rows_behind_a_mark_are_greater_in_the_first_column_that_differs() {
    let layout = layout(&[("a", "int"), ("x", "xml"), ("b]", "datetime2")]);
    let key = Key::of(&instance(&["b]", "a"]), &layout).unwrap();
    assert_eq!(key.order(), " ORDER BY [b]]], [a]");
    let behind = key.behind(&mark(r#"["2026-01-02T03:04:05.1234567", "-7"]"#)).unwrap();
    assert_eq!(
        behind.condition,
        " WHERE [b]]] > CAST(@P1 AS datetime2(7)) OR [b]]] = CAST(@P1 AS datetime2(7)) AND [a] > CAST(@P2 AS int)"
    );
    assert_eq!(behind.parameters, ["2026-01-02T03:04:05.1234567", "-7"]);
}

#[test]
fn a_mark_of_other_columns_is_refused_however_many_they_are() {
    let layout = layout(&[("a", "int"), ("b", "int"), ("f", "xml")]);
    let key = Key::of(&instance(&["a", "b"]), &layout).unwrap();
    assert!(key.behind(&mark(r#"[["a", "1"], ["b", "2"]]"#)).is_ok());
    for other in [r#"[["b", "1"], ["a", "2"]]"#, r#"[["a", "1"], ["c", "2"]]"#, r#"[["a", "1"]]"#, r#"["1"]"#, "{"] {
        assert_eq!(key.behind(&mark(other)).unwrap_err().code(), "KeyChanged", "{other}");
    }
    assert!(Key::of(&instance(&["f"]), &layout).is_none());
}

#[test]
fn null_comes_before_every_value() {
    let layout = layout(&[("a", "int"), ("b", "int")]);
    let key = Key::of(&instance(&["a", "b"]), &layout).unwrap();
    let behind = key.behind(&mark(r#"[null, "3"]"#)).unwrap();
    assert_eq!(behind.condition, " WHERE [a] IS NOT NULL OR [a] IS NULL AND [b] > CAST(@P1 AS int)");
    assert_eq!(behind.parameters, ["3"]);
}

#[test]
fn a_mark_keeps_the_digits_that_the_column_does_not() {
    use tiberius::time::{Date, DateTime2, Time};
    let layout = layout(&[("at", "datetime2"), ("id", "int")]);
    let key = Key::of(&instance(&["at", "id"]), &layout).unwrap();
    let at = DateTime2::new(Date::new(719_162), Time::new(1, 7));
    let columns = [("at", ColumnType::Datetime2), ("id", ColumnType::Int4)];
    let values = [ColumnData::DateTime2(Some(at)), ColumnData::I32(None)];
    let builder = columns
        .into_iter()
        .zip(values)
        .fold(Row::builder(), |builder, ((name, kind), value)| builder.column(name, kind, value));
    assert_eq!(key.mark(&builder.build()).unwrap(), mark(r#"[["at","1970-01-01T00:00:00.0000001"],["id",null]]"#));
}

#[test]
fn a_key_that_no_text_can_keep_is_none_and_another_keys_mark_is_refused() {
    let layout = layout(&[("a", "int"), ("v", "sql_variant")]);
    assert!(Key::of(&instance(&["v"]), &layout).is_none());
    assert!(Key::of(&instance(&[]), &layout).is_none());
    assert!(Key::of(&instance(&["gone"]), &layout).is_none());
    let key = Key::of(&instance(&["a"]), &layout).unwrap();
    for other in ["[]", r#"["1", "2"]"#, "1", "x"] {
        assert_eq!(key.behind(&mark(other)).unwrap_err().code(), "KeyChanged", "{other}");
    }
}
