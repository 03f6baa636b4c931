use serde_json::json;

use super::*;
use crate::table::{ColumnType, Dialect, Encoding, Escape, OnDuplicateKey, OnNullKey, SchemaPolicy, UpdateDetection};

const SAMPLE: &str = include_str!("../../examples/loyalty/config.json");

fn read_in(text: &str, environment: &Environment) -> Result<Config> {
    let text = ConfigText { origin: "config.json".to_owned(), text: text.to_owned() };
    Config::from_json(&text, environment, &Overrides::default())
}

fn read(text: &str) -> Result<Config> {
    read_in(text, &Environment::default())
}

/// The faults of a document, without the heading.
fn faults(text: &str) -> Vec<String> {
    let error = read(text).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("InvalidConfig", crate::Kind::Config));
    assert!(error.advice().is_some());
    error.to_string().lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

/// A document with one table, whose keys beside the name are `keys`.
fn with_table(keys: &str) -> String {
    format!(r#"{{"dataset_name": "o/s", "aws": {{"bucket": "lake-raw"}}, "tables": [{{"name": "t", {keys}}}]}}"#)
}

/// A document with the root keys `keys`, and one table.
fn with_root(keys: &str) -> String {
    format!(r#"{{{keys}, "tables": [{{"name": "t", "pk": "id"}}]}}"#)
}

#[test]
fn the_sample_loads_with_the_defaults_of_the_original() {
    let config = read(SAMPLE).unwrap();
    let SourceConfig::Kaggle { dataset, endpoint, not_ready_after } = &config.source else { panic!("Kaggle") };
    assert_eq!(dataset.to_string(), "teocalvo/teomewhy-loyalty-system");
    assert_eq!(endpoint.as_str(), "https://api.kaggle.com/");
    assert_eq!(*not_ready_after, Some(Duration::from_secs(24 * 3600)));
    assert_eq!(config.lake.to_string(), "s3://meudatalake-raw/loyalty");
    assert_eq!(config.s3, S3Settings { region: Some("us-east-1".to_owned()), ..S3Settings::default() });
    assert_eq!(config.timer, Some(Duration::from_secs(6 * 3600)));
    assert_eq!(config.limits, Limits::default());
    let names: Vec<&str> = config.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["clientes", "produtos", "transacoes", "transacao_produto"]);
}

#[test]
fn how_long_a_version_may_take_to_get_ready_can_be_set() {
    for (minutes, expected) in [("90", Some(Duration::from_secs(90 * 60))), ("0", None)] {
        let source = format!(r#""source": {{"type": "kaggle", "not_ready_after_minutes": {minutes}}}"#);
        let document = with_root(&format!(r#""dataset_name": "o/s", "aws": {{"bucket": "lake-raw"}}, {source}"#));
        let SourceConfig::Kaggle { not_ready_after, .. } = read(&document).unwrap().source else { panic!("Kaggle") };
        assert_eq!(not_ready_after, expected);
    }
}

#[test]
fn a_table_without_options_gets_their_defaults() {
    let config = read(SAMPLE).unwrap();
    let [clientes, produtos, ..] = config.tables.as_slice() else { panic!("two tables") };
    assert_eq!((clientes.dialect.delimiter, &clientes.pk), (Some(b';'), &vec!["idCliente".to_owned()]));
    assert_eq!(clientes.date_field.as_deref(), Some("DtAtualizacao"));
    assert_eq!(clientes.update_detection, UpdateDetection::Date);
    assert_eq!((produtos.date_field.as_deref(), produtos.update_detection), (None, UpdateDetection::Content));
    assert_eq!((produtos.encoding, produtos.null_values.len(), produtos.columns.len()), (None, 0, 0));
    assert_eq!((produtos.on_duplicate_key, produtos.schema), (OnDuplicateKey::Fail, SchemaPolicy::Evolve));
    assert!((produtos.max_deleted_fraction - 0.5).abs() < f64::EPSILON);
}

#[test]
fn every_option_of_a_table_is_taken() {
    let dialect = Dialect { delimiter: Some(b'\t'), quote: None, escape: Escape::Backslash };
    let keys = r#""sep": "\t", "quote": "None", "escape": "\\", "pk": ["a", "b"], "date_field": "d", "update_detection": "content", "encoding": "Latin-1",
        "null_values": ["NULL", ""], "columns": {"price of it": "decimal(10,2)"}, "on_duplicate_key": "last", "on_null_key": "drop",
        "max_deleted_fraction": 1, "schema": "freeze""#;
    let table = read(&with_table(keys)).unwrap().tables.remove(0);
    assert_eq!((table.dialect, table.pk.len()), (dialect, 2));
    assert_eq!(table.update_detection, UpdateDetection::Content);
    assert_eq!(
        (table.encoding, table.null_values),
        (Encoding::from_label("latin-1"), vec!["NULL".to_owned(), String::new()])
    );
    assert_eq!(table.columns["price of it"], ColumnType::Decimal { precision: 10, scale: 2 });
    assert_eq!((table.on_duplicate_key, table.schema), (OnDuplicateKey::Last, SchemaPolicy::Freeze));
    assert_eq!(table.on_null_key, OnNullKey::Drop);
    assert!((table.max_deleted_fraction - 1.0).abs() < f64::EPSILON);
}

#[test]
fn all_faults_come_in_one_answer_with_their_paths() {
    let found = faults(
        r#"{"dataset_nam": "o/s", "aws": {"bucket": "Lake", "regoin": "x"}, "timer": {"unit": "hour", "value": 0},
            "tables": [{"name": "a", "pk": "id", "date_feild": "d"}, {"name": "b", "sep": ";;"}, 7]}"#,
    );
    assert_eq!(
        found,
        [
            "`dataset_nam` is an unknown key; did you mean `dataset_name`?",
            "`dataset_name` is missing",
            "`aws.regoin` is an unknown key; did you mean `region`?",
            "`aws.bucket` is `Lake`, which holds something other than lower-case letters, digits, `-` and `.`",
            "`timer.value` must be greater than 0, and the time no longer than a year",
            "`tables[0].date_feild` is an unknown key; did you mean `date_field`?",
            "`tables[1].sep` is \";;\": it must be one character such as `,` `;` `|`, or `tab`",
            "`tables[1].pk` is missing: name the key column, or a list of them",
            "`tables[2]` must be an object, not the number 7",
        ]
    );
}

#[test]
fn each_fault_of_a_table_is_named() {
    let cases = [
        (r#""pk": """#, "`tables[0].pk` is empty"),
        (r#""pk": []"#, "`tables[0].pk` is empty"),
        (r#""pk": ["a", " "]"#, "`tables[0].pk` is empty"),
        (r#""pk": ["a", "a"]"#, "`tables[0].pk` names the column `a` twice"),
        (r#""pk": 7"#, "`tables[0].pk` must be a string or a list of strings, not the number 7"),
        (r#""pk": ["a", 7]"#, "`tables[0].pk[1]` must be a string, not the number 7"),
        (r#""pk": ["a"], "date_field": "a""#, "`tables[0].date_field` is `a`, which is part of the key"),
        (r#""pk": "a", "date_field": 7"#, "`tables[0].date_field` must be a string, not the number 7"),
        (r#""pk": "a", "update_detection": "date""#, "`tables[0].update_detection` needs a `date_field`"),
        (r#""pk": "a", "update_detection": "date", "date_field": """#, "`tables[0].update_detection` needs"),
        (
            r#""pk": "a", "update_detection": "either", "date_field": "d""#,
            "`tables[0].update_detection` is `either`, which is now called `content`",
        ),
        (r#""pk": "a", "update_detection": "contnet""#, "`tables[0].update_detection` is `contnet`; did you mean"),
        (r#""pk": "a", "encoding": "ebcdic""#, "`tables[0].encoding` is `ebcdic`, which is no encoding; use a label"),
        (r#""pk": "a", "sep": "\"""#, "`tables[0].sep` is"),
        (r#""pk": "a", "sep": "é""#, "`tables[0].sep` is"),
        (r#""pk": "a", "sep": "x""#, "`tables[0].sep` is"),
        (
            r#""pk": "a", "quote": "''""#,
            "`tables[0].quote` is \"''\": it must be one character such as `\"` or `'`, or `none`",
        ),
        (r#""pk": "a", "quote": "\\""#, "`tables[0].quote` is"),
        (r#""pk": "a", "quote": "x""#, "`tables[0].quote` is"),
        (r#""pk": "a", "quote": ",""#, "`tables[0].quote` is the delimiter, too"),
        (r#""pk": "a", "sep": "'", "quote": "'""#, "`tables[0].quote` is the delimiter, too"),
        (r#""pk": "a", "escape": "/""#, "`tables[0].escape` is `/`; it can be doubled, \\"),
        (r#""pk": "a", "sep": "\\", "escape": "\\""#, "`tables[0].escape` is the delimiter, too"),
        (r#""pk": "a", "sep": 1"#, "`tables[0].sep` must be a string, not the number 1"),
        (r#""pk": "a", "null_values": [1]"#, "`tables[0].null_values[0]` must be a string"),
        (r#""pk": "a", "columns": {"c": "intt"}"#, "`tables[0].columns.c` is wrong: `intt` is not a column type"),
        (r#""pk": "a", "columns": {"c d": null}"#, "`tables[0].columns[\"c d\"]` must be a column type, not null"),
        (r#""pk": "a", "columns": []"#, "`tables[0].columns` must be an object, not a list"),
        (r#""pk": "a", "max_deleted_fraction": 1.5"#, "`tables[0].max_deleted_fraction` is 1.5: it must be"),
        (
            r#""pk": "a", "max_deleted_fraction": "1""#,
            "`tables[0].max_deleted_fraction` must be a number, not a string",
        ),
        (r#""pk": "a", "schema": "freze""#, "`tables[0].schema` is `freze`; did you mean `freeze`?"),
        (r#""pk": "a", "pk": "b""#, "`tables[0].pk` is given twice"),
        (r#""pk": "a", "Sep": ",""#, "`tables[0].Sep` is an unknown key; did you mean `sep`?"),
    ];
    for (keys, expected) in cases {
        let found = faults(&with_table(keys));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{keys}: {found:?}");
    }
}

#[test]
fn each_fault_of_the_rest_is_named() {
    let cases = [
        (r#""aws": {"bucket": "lake"}"#, "`dataset_name` is missing"),
        (r#""aws": {"bucket": "lake"}, "dataset_name": " ""#, "`dataset_name` is empty"),
        (r#""aws": {"bucket": "lake"}, "dataset_name": "slug""#, "`dataset_name` is `slug`: write it as"),
        (r#""aws": {"bucket": "lake"}, "dataset_name": 1"#, "`dataset_name` must be a string, not the number 1"),
        (r#""aws": {"bucket": "lake"}, "source": {"type": "oracle"}"#, "`source.type` is `oracle`; it can be kaggle"),
        (r#""dataset_name": "o/s""#, "`aws.bucket` is missing"),
        (r#""dataset_name": "o/s", "aws": {}"#, "`aws.bucket` is missing"),
        (r#""dataset_name": "o/s", "aws": 1"#, "`aws` must be an object, not the number 1"),
        (r#""dataset_name": "o/s", "aws": {"bucket": ""}"#, "`aws.bucket` is empty"),
        (r#""dataset_name": "o/s", "aws": {"bucket": "ab"}"#, "`aws.bucket` is `ab`, which is not 3 to 63"),
        (r#""dataset_name": "o/s", "aws": {"bucket": "-ab"}"#, "`aws.bucket` is `-ab`, which does not begin"),
        (
            r#""dataset_name": "o/s", "aws": {"bucket": "lake", "prefix": "a//b"}"#,
            "`aws.prefix` holds an empty segment",
        ),
        (r#""dataset_name": "o/s", "aws": {"bucket": "lake", "region": "US East"}"#, "`aws.region` is `US East`"),
        (r#""dataset_name": "o/s", "aws": {"bucket": "lake", "endpoint_url": "x"}"#, "`aws.endpoint_url` must be an"),
        (
            r#""dataset_name": "o/s", "aws": {"bucket": "lake", "path_style": "yes"}"#,
            "`aws.path_style` must be true or",
        ),
        (r#""dataset_name": "o/s", "aws": {"bucket": "lake"}, "timer": {"unit": "hours"}"#, "`timer.value` is missing"),
        (
            r#""dataset_name": "o/s", "aws": {"bucket": "lake"}, "timer": {"unit": "weeks", "value": 1}"#,
            "`timer.unit` is `weeks`",
        ),
        (
            r#""dataset_name": "o/s", "aws": {"bucket": "lake"}, "limits": {"max_uncompressed_bytes": 0}"#,
            "`limits.max_uncompressed_bytes` must be a whole number of at least 1, not the number 0",
        ),
        (
            r#""dataset_name": "o/s", "aws": {"bucket": "lake"}, "limits": {"max_compression_ratio": 0.5}"#,
            "`limits.max_compression_ratio` must be a whole number of at least 1, not the number 0.5",
        ),
    ];
    for (keys, expected) in cases {
        let found = faults(&with_root(keys));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{keys}: {found:?}");
    }
}

#[test]
fn tables_of_one_name_in_any_case_are_refused() {
    let found = faults(
        r#"{"dataset_name": "o/s", "aws": {"bucket": "lake"}, "source": {"type": "kaggle"},
            "tables": [{"name": "Vendas", "pk": "id"}, {"name": "vendas ", "pk": "id"}, {"name": "../x", "pk": "id"}]}"#,
    );
    assert_eq!(found[0], "`tables[1].name` is `vendas`, the same table as tables[0] (case does not count)");
    assert!(found[1].starts_with("`tables[2].name` is `../x`, which"), "{found:?}");
    assert_eq!(faults(r#"{"dataset_name": "o/s", "aws": {"bucket": "lake"}, "tables": []}"#).len(), 1);
    assert_eq!(faults(r#"{"dataset_name": "o/s", "aws": {"bucket": "lake"}}"#), ["`tables` is missing"]);
}

#[test]
fn what_is_not_json_is_placed_by_line_and_column() {
    let error = read("{\n  \"tables\": [],\n}").unwrap_err();
    assert_eq!(error.to_string(), "config.json is not JSON: see line 3, column 1");
    assert_eq!(error.code(), "InvalidConfig");
    assert_eq!(faults("[]"), ["must be an object, not a list"]);
    assert!(read(&format!("\u{feff}{SAMPLE}")).is_ok());
}

#[test]
fn the_lake_of_the_environment_stands_over_the_document_and_an_argument_over_both() {
    let environment = Environment::from_pairs([("CDC_LAKE", "file:///tmp/lake")]);
    let config = read_in(&with_root(r#""dataset_name": "o/s", "aws": {"region": "eu-west-1"}"#), &environment).unwrap();
    assert_eq!(config.lake, LakeUrl::Dir("/tmp/lake".into()));
    assert_eq!(config.s3.region.as_deref(), Some("eu-west-1"));

    let overrides = Overrides { lake: Some(LakeUrl::Dir("elsewhere".into())) };
    let text = ConfigText { origin: "config.json".to_owned(), text: SAMPLE.to_owned() };
    let config = Config::from_json(&text, &environment, &overrides).unwrap();
    assert_eq!(config.lake, LakeUrl::Dir("elsewhere".into()));
}

#[test]
fn faults_of_the_environment_are_in_the_same_answer_and_show_no_credentials() {
    let environment = Environment::from_pairs([
        ("CDC_LAKE", "https://user:hunter2@host/lake"),
        ("KAGGLE_API_ENDPOINT", "https://user:hunter2@host/"),
    ]);
    let text = read_in(SAMPLE, &environment).unwrap_err().to_string();
    assert!(text.contains("`CDC_LAKE` must be") && text.contains("`KAGGLE_API_ENDPOINT` must be"), "{text}");
    assert!(!text.contains("hunter2"));
}

#[tokio::test]
async fn the_text_comes_from_a_file_an_object_or_the_place_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.json");
    std::fs::write(&path, "{\"a\": 1}").unwrap();
    let fetch = async |bucket: String, key: String| Ok(Some(format!("{bucket} {key}").into_bytes()));

    let file = ConfigSource::choose(path.to_str(), &Environment::from_pairs([("CDC_CONFIG", "{}")])).unwrap();
    assert_eq!(file.load(fetch).await.unwrap().text, "{\"a\": 1}");
    let object = ConfigSource::choose(None, &Environment::from_pairs([("CDC_CONFIG", "s3://b/k/c.json")])).unwrap();
    assert_eq!(object.load(fetch).await.unwrap().text, "b k/c.json");
    let inline = ConfigSource::choose(None, &Environment::from_pairs([("CDC_CONFIG", "\n {\"x\": 2}")])).unwrap();
    assert_eq!(inline.load(fetch).await.unwrap().text, "{\"x\": 2}");
    assert_eq!(ConfigSource::choose(None, &Environment::default()).unwrap(), ConfigSource::Path("config.json".into()));
}

#[tokio::test]
async fn a_text_that_cannot_be_had_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = async |_: String, _: String| Ok(None);
    let path = folder.path().join("latin.json");
    std::fs::write(&path, b"{\"a\": \"\xe9\"}").unwrap();
    let code = async |source: ConfigSource| source.load(nothing).await.unwrap_err().code();
    assert_eq!(code(ConfigSource::Path(folder.path().join("none.json"))).await, "ConfigNotFound");
    assert_eq!(code(ConfigSource::Path(folder.path().into())).await, "ConfigUnreadable");
    assert_eq!(code(ConfigSource::Path(path)).await, "ConfigUnreadable");
    assert_eq!(code(ConfigSource::S3 { bucket: "b".to_owned(), key: "k".to_owned() }).await, "ConfigNotFound");
    for text in ["", "s3://bucket", "s3:///key", "https://u:hunter2@host/config.json"] {
        let error = ConfigSource::parse(text).unwrap_err();
        assert_eq!(error.code(), "InvalidConfigSource", "{text}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

/// A value that no key of this form can have.
fn unfit(form: &keys::Form) -> Value {
    match form {
        keys::Form::Object(_) | keys::Form::Objects(_) | keys::Form::ColumnTypes | keys::Form::Flag => json!("no"),
        _ => json!({"no": 1}),
    }
}

fn of_kaggle() -> Value {
    let source = json!({"type": "kaggle"});
    json!({"dataset_name": "o/s", "source": source, "aws": {"bucket": "lake"}, "tables": [{"name": "t", "pk": "id"}]})
}

fn of_sql_server() -> Value {
    let source = json!({"type": "sqlserver", "host": "h", "database": "d", "secret_id": "s"});
    json!({"source": source, "aws": {"bucket": "lake"}, "tables": [{"name": "dbo.t"}]})
}

/// The document with `value` at `path`, whose parts are made where they are not there.
fn with_value(mut document: Value, path: &str, value: Value) -> Value {
    let mut place = &mut document;
    for part in path.split('.') {
        place = match part.strip_suffix("[]") {
            Some(list) => &mut place[list][0],
            None => &mut place[part],
        };
    }
    *place = value;
    document
}

fn refuse_unfit_values(document: &Value, path: &str, keys: &[keys::Key]) {
    for key in keys {
        let here = format!("{path}{}", key.name);
        let found = faults(&with_value(document.clone(), &here, unfit(&key.form)).to_string());
        let named = format!("`{}` ", json::join(path.replace("[]", "[0]").trim_end_matches('.'), key.name));
        let is_named = |fault: &String| fault.starts_with(&named) && !fault.contains("unknown key");
        assert!(found.iter().any(is_named), "{here}: {found:?}");
    }
}

#[test]
fn every_key_that_is_described_is_read() {
    let (kaggle, sql_server) = (of_kaggle(), of_sql_server());
    assert!(read(&kaggle.to_string()).is_ok() && read(&sql_server.to_string()).is_ok());
    refuse_unfit_values(&kaggle, "", &keys::ROOT);
    refuse_unfit_values(&kaggle, "aws.", &keys::AWS);
    refuse_unfit_values(&kaggle, "timer.", &keys::TIMER);
    refuse_unfit_values(&kaggle, "limits.", &keys::LIMITS);
    refuse_unfit_values(&kaggle, "source.", &keys::KAGGLE);
    refuse_unfit_values(&kaggle, "tables[].", &keys::TABLE);
    refuse_unfit_values(&sql_server, "source.", &keys::SQLSERVER);
    refuse_unfit_values(&sql_server, "tables[].", &keys::CAPTURED_TABLE);
}

#[test]
fn a_schema_may_be_named_for_editors() {
    assert!(read(&with_root(r#""$schema": "x.json", "dataset_name": "o/s", "aws": {"bucket": "lake"}"#)).is_ok());
}

#[test]
fn the_documents_of_the_keys_are_up_to_date() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let made: Value = serde_json::from_str(&file("docs/config.schema.json")).unwrap();
    assert_eq!(made, schema(), "make it anew: cdc-to-s3 config --schema > docs/config.schema.json");
    let made = file("docs/configuration.md");
    assert!(made == reference(), "make it anew: cdc-to-s3 config --reference > docs/configuration.md");
    for name in keys::names(&keys::SQLSERVER).into_iter().chain(keys::names(&keys::CAPTURED_TABLE)).skip(1) {
        assert!(file("docs/sqlserver.md").contains(&format!("`{name}`")), "docs/sqlserver.md lacks {name}");
    }
}
