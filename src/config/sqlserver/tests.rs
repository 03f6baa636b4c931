use std::time::Duration;

use super::*;
use crate::config::{Config, ConfigText, Overrides, SourceConfig};
use crate::error::Result;
use crate::position::Lsn;

fn read_in(text: &str, environment: &Environment) -> Result<Config> {
    let text = ConfigText { origin: "config.json".to_owned(), text: text.to_owned() };
    Config::from_json(&text, environment, &Overrides::default())
}

fn of(config: Config) -> SqlServerConfig {
    assert!(config.tables.is_empty());
    let SourceConfig::SqlServer(source) = config.source else { panic!("SQL Server") };
    *source
}

fn read(text: &str) -> SqlServerConfig {
    of(read_in(text, &Environment::default()).unwrap())
}

/// A document whose source has `keys` beside what it needs, and whose other keys are `root`.
fn with(keys: &str, root: &str) -> String {
    format!(
        r#"{{"aws": {{"bucket": "lake"}}, {root}
            "source": {{"type": "sqlserver", "host": "db", "database": "Sales", "secret_id": "s" {keys}}}}}"#
    )
}

/// The faults of a document, without the heading.
fn faults(text: &str) -> Vec<String> {
    let error = read_in(text, &Environment::default()).unwrap_err();
    assert_eq!(error.code(), "InvalidConfig");
    error.to_string().lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn a_source_without_options_reads_all_tables_encrypted_from_a_snapshot_on() {
    let source = read(&with("", ""));
    assert_eq!(source.feed, Feed::default());
    assert_eq!(source.as_text, TimesAsText::default());
    let connection = source.connection;
    assert_eq!((connection.host.as_deref(), connection.database.as_deref()), (Some("db"), Some("Sales")));
    assert_eq!((connection.port, connection.encryption), (None, Encryption::Required));
    assert_eq!((connection.secret_id.as_deref(), connection.trust_ca), (Some("s"), None));
    assert!(!connection.read_only_intent);
    assert_eq!(read(&with("", r#""tables": [],"#)).feed.tables, None);
}

#[test]
fn every_option_is_taken() {
    let source = read(&with(
        r#", "port": 14330, "encrypt": "Strict", "trust_ca": "s3://certs/rds.pem", "host_in_certificate": "db.internal",
            "read_only_intent": true, "schema_in_path": true, "metadata_columns": "native", "idle_after_minutes": 60,
            "not_ready_after_minutes": 0, "as_text": ["datetimeoffset", "TIME"], "start": "now", "images": "before_and_after""#,
        r#""tables": [{"name": "dbo.Orders", "start": "lsn:0x0000002A000001F80003", "images": "after"},
            {"name": "[a.b].[Order Details]", "start": "time:2026-11-20T09:00:00-03:00"}, {"name": "dbo.Items"}],"#,
    ));
    let SqlServerConnection { port, encryption, trust_ca, host_in_certificate, read_only_intent, .. } =
        source.connection;
    assert_eq!((port, encryption, read_only_intent), (Some(14330), Encryption::Strict, true));
    assert_eq!(trust_ca, Some(TrustedCa::S3 { bucket: "certs".to_owned(), key: "rds.pem".to_owned() }));
    assert_eq!(host_in_certificate.as_deref(), Some("db.internal"));
    assert_eq!(source.as_text, TimesAsText { datetime2: false, datetimeoffset: true, time: true });
    let Feed { tables, defaults, metadata_columns, schema_in_path, idle_after, not_ready_after } = source.feed;
    assert_eq!((metadata_columns, schema_in_path), (MetadataColumns::Native, true));
    assert_eq!((idle_after, not_ready_after), (Some(Duration::from_secs(3600)), None));
    assert_eq!(defaults, TableOptions { start: Start::Now, images: Images::BeforeAndAfter });
    let tables = tables.unwrap();
    let lsn: Lsn = "0x0000002A000001F80003".parse().unwrap();
    assert_eq!(tables[0].options, TableOptions { start: Start::Lsn(lsn), images: Images::After });
    assert_eq!((tables[1].schema.as_str(), tables[1].name.as_str()), ("a.b", "Order Details"));
    assert_eq!(tables[1].options.start, Start::Time("2026-11-20T12:00:00Z".parse().unwrap()));
    assert_eq!(tables[2].options, defaults);
}

#[test]
fn the_environment_says_who_logs_in_over_the_document() {
    let bare = r#"{"aws": {"bucket": "lake"}, "source": {"type": "sqlserver"}}"#;
    let secret = Environment::from_pairs([("SQLSERVER_SECRET_ID", "other")]);
    let connection = of(read_in(bare, &secret).unwrap()).connection;
    assert_eq!((connection.secret_id.as_deref(), connection.host), (Some("other"), None));
    assert_eq!(of(read_in(&with("", ""), &secret).unwrap()).connection.secret_id.as_deref(), Some("other"));
    // A login of the environment says nothing of where the server is.
    let user = Environment::from_pairs([("SQLSERVER_USER", "u"), ("SQLSERVER_PASSWORD", "hunter2")]);
    let error = read_in(bare, &user).unwrap_err().to_string();
    assert!(error.contains("`source.host` is missing") && error.contains("`source.database` is missing"), "{error}");
    assert!(!error.contains("hunter2"));
    assert!(read_in(&with("", ""), &user).is_ok());
}

#[test]
fn each_fault_is_named_with_its_path() {
    let cases = [
        (with("", r#""dataset_name": "o/s","#), "`dataset_name` does not go with a SQL Server source"),
        (with("", r#""limits": {},"#), "`limits` does not go with a SQL Server source"),
        (with(r#", "hots": "x""#, ""), "`source.hots` is an unknown key"),
        (with(r#", "port": 70000"#, ""), "`source.port` must be a TCP port"),
        (with(r#", "encrypt": "on""#, ""), "`source.encrypt` is `on`; it can be strict, required, off"),
        (with(r#", "trust_ca": "https://ca""#, ""), "`source.trust_ca` must be a path"),
        (with(r#", "host_in_certificate": "a b""#, ""), "`source.host_in_certificate` must be a host name or"),
        (with(r#", "read_only_intent": 1"#, ""), "`source.read_only_intent` must be true or false"),
        (with(r#", "metadata_columns": "natve""#, ""), "`source.metadata_columns` is `natve`; did you mean `native`?"),
        (with(r#", "as_text": ["date"]"#, ""), "`source.as_text` holds `date`; it can hold datetime2"),
        (with(r#", "idle_after_minutes": -1"#, ""), "`source.idle_after_minutes` must be a number of minutes"),
        (
            with(r#", "not_ready_after_minutes": -1"#, ""),
            "`source.not_ready_after_minutes` must be a number of minutes",
        ),
        (with(r#", "start": "erliest""#, ""), "`source.start` is `erliest`; did you mean `earliest`?"),
        (with(r#", "start": "lsn:0x12""#, ""), "`source.start` is `lsn:0x12`: write an LSN as"),
        (with(r#", "start": "time:yesterday""#, ""), "`source.start` is `time:yesterday`: write a time"),
        (with(r#", "images": "all""#, ""), "`source.images` is `all`; it can be after, before_and_after"),
        (with("", r#""tables": [{"name": "Orders"}],"#), "`tables[0].name` is `Orders`, which names no schema"),
        (with("", r#""tables": [{"name": "x.dbo.Orders"}],"#), "`tables[0].name` is `x.dbo.Orders`, which has more"),
        (with("", r#""tables": [{"name": "dbo.a/b"}],"#), "`tables[0].name` holds `a/b`, which holds a character"),
        (with("", r#""tables": [{"name": "dbo.t", "pk": "id"}],"#), "`tables[0].pk` does not go with a SQL Server"),
        (with("", r#""tables": [{"name": "dbo.t", "satrt": "now"}],"#), "`tables[0].satrt` is an unknown key; did you"),
        (
            with("", r#""tables": [{"name": "dbo.t"}, {"name": "DBO.T"}],"#),
            "`tables[1].name` is `DBO.T`, the same table as tables[0] (case does not count)",
        ),
        (
            with("", r#""tables": [{"name": "a.t"}, {"name": "b.t"}],"#),
            "`tables[1].name` is `b.t`, whose objects would lie among those of tables[0]; set `source.schema_in_path`",
        ),
    ];
    for (text, expected) in cases {
        let found = faults(&text);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{text}: {found:?}");
    }
    let two_schemas = r#""tables": [{"name": "a.t"}, {"name": "b.t"}],"#;
    assert_eq!(read(&with(r#", "schema_in_path": true"#, two_schemas)).feed.tables.unwrap().len(), 2);
}

#[test]
fn a_source_that_names_nothing_hears_of_everything_that_is_missing() {
    let found = faults(r#"{"aws": {"bucket": "lake"}, "source": {"type": "sqlserver", "host": "db\\INSTANCE"}}"#);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("`source.database` is missing"));
    assert!(found[1].starts_with("`source.secret_id` is missing"));
    assert!(found[2].starts_with("`source.host` must be a host name alone; give the port"));
}
