//! The server held to clients that share no code with it, with tiberius or with each other: python-tds, and FreeTDS as
//! pymssql (with OpenSSL) and, where it is installed, as `tsql` (with GnuTLS). What only our own client understood would
//! prove nothing.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::matrix::{Case, cases};
use super::types::script;
use crate::support::tds::{
    Answer, Certificate, Column, Encryption, Length, Line, RowStyle, Script, Server, ServerError, Settings, Splits,
    SqlType, Value, Way,
};

/// A client, and where it finds the server.
enum Foreign {
    PythonTds,
    /// With FreeTDS's `encryption`, and the authority that it trusts.
    PyMssql(&'static str, Option<String>),
}

impl Foreign {
    /// The answers to questions; `Err` with what the client said when it did not come so far.
    async fn ask(self, server: &Server, questions: Json) -> Result<Vec<Json>, String> {
        let port = server.address().port();
        tokio::task::spawn_blocking(move || self.run(port, &questions)).await.unwrap()
    }

    fn run(self, port: u16, questions: &Json) -> Result<Vec<Json>, String> {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(python());
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tds/foreign.py"));
        match self {
            Self::PythonTds => command.arg("python-tds"),
            Self::PyMssql(encryption, authority) => {
                command.env("FREETDSCONF", freetds_conf(&home, port, encryption, authority.as_deref())).arg("pymssql")
            }
        };
        command.arg(port.to_string());
        let answers = run(&mut command, &questions.to_string())?;
        Ok(serde_json::from_str(&answers).unwrap())
    }
}

/// The interpreter that has the clients.
#[allow(clippy::disallowed_methods, reason = "a test is a shell of its own")]
fn python() -> PathBuf {
    let project = || Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv");
    let python = std::env::var_os("CDC_TEST_VENV").map_or_else(project, PathBuf::from).join("bin/python");
    assert!(python.exists(), "there is no {}: run `make test`", python.display());
    python
}

fn freetds_conf(home: &TempDir, port: u16, encryption: &str, authority: Option<&str>) -> PathBuf {
    let mut conf = format!(
        "[stand-in]\nhost = 127.0.0.1\nport = {port}\ntds version = 7.4\nclient charset = UTF-8\nencryption = {encryption}\n"
    );
    if let Some(authority) = authority {
        let path = home.path().join("authority.pem");
        fs::write(&path, authority).unwrap();
        conf.push_str(&format!("ca file = {}\ncheck certificate hostname = no\n", path.display()));
    }
    let path = home.path().join("freetds.conf");
    fs::write(&path, conf).unwrap();
    path
}

/// What a program prints; `Err` with its complaints if it fails.
fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn questions(cases: &[Case]) -> Json {
    cases.iter().map(|case| json!([case.column.name])).collect()
}

/// A case's texts as Python can have them: microseconds, no `real`.
fn expected(case: &Case) -> Vec<Option<String>> {
    case.values.iter().map(|(value, text)| text.as_deref().map(|text| of_python(value, text))).collect()
}

fn of_python(value: &Value, text: &str) -> String {
    match value {
        Value::Variant(inside) => of_python(&inside.1, text),
        Value::Real(number) => format!("{:016X}", f64::from(*number).to_bits()),
        Value::Time(_) => text[..15].to_owned(),
        Value::DateTime2(..) => text[..26].to_owned(),
        Value::DateTimeOffset(..) => format!("{}{}", &text[..26], &text[27..]),
        Value::DateTime(..) | Value::SmallDateTime(..) => format!("{text}000"),
        _ => text.to_owned(),
    }
}

/// A decimal without the zeros at its end, which python-tds leaves out.
fn shortest(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

fn check(case: &Case, answer: &Json) {
    assert_eq!(answer["error"], Json::Null, "{}", case.column.name);
    let rows = answer["rows"].as_array().unwrap();
    let values: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
    let expected = expected(case);
    let is_decimal = |value: &Value| match value {
        Value::Decimal(_) | Value::Money(_) => true,
        Value::Variant(inside) => matches!(inside.1, Value::Decimal(_) | Value::Money(_)),
        _ => false,
    };
    assert_eq!(values.len(), expected.len(), "{}", case.column.name);
    for ((value, expected), (kind, _)) in values.into_iter().zip(&expected).zip(&case.values) {
        let expected = expected.as_deref();
        match is_decimal(kind) {
            true => assert_eq!(value.map(shortest), expected.map(shortest), "{}", case.column.name),
            false => assert_eq!(value, expected, "{}", case.column.name),
        }
    }
}

/// Row styles and packets that differ as much as they can.
fn settings() -> [Settings; 2] {
    let rows = RowStyle { null_bitmap: false, known_length: false, chunk: 1001 };
    let splits = Splits { sizes: vec![700, 1, 4088, 13], ..Splits::default() };
    [Settings::default(), Settings { rows, splits, ..Settings::default() }]
}

#[tokio::test]
async fn python_tds_reads_every_value_of_every_type() {
    let cases = cases();
    for settings in settings() {
        let server = Server::start(settings, Arc::new(script(&cases))).await.unwrap();
        let answers = Foreign::PythonTds.ask(&server, questions(&cases)).await.unwrap();
        cases.iter().zip(&answers).for_each(|(case, answer)| check(case, answer));
    }
}

#[tokio::test]
async fn freetds_reads_every_value_of_every_type() {
    let mut cases = cases();
    // pymssql hands out the bytes of a variant; `tsql`, below, reads it.
    cases.retain(|case| case.column.kind != SqlType::Variant);
    for settings in settings() {
        let server = Server::start(settings, Arc::new(script(&cases))).await.unwrap();
        let answers = Foreign::PyMssql("off", None).ask(&server, questions(&cases)).await.unwrap();
        cases.iter().zip(&answers).for_each(|(case, answer)| check(case, answer));
    }
}

#[tokio::test]
async fn python_tds_calls_procedures_with_parameters() {
    let script = Script::default().on("SELECT @P1, @P2, @P3, @P4", |request| {
        let kinds = [SqlType::Int, SqlType::Float, SqlType::Bit, SqlType::NVarChar(Length::Of(20))];
        let columns = kinds.into_iter().map(|kind| Column::new("echo", kind)).collect();
        let echo = request.parameters.iter().map(|parameter| parameter.value.clone()).collect();
        Answer::rows(columns, [echo])
    });
    let server = Server::start(Settings::default(), Arc::new(script)).await.unwrap();
    let questions = json!([["SELECT %s, %s, %s, %s", -42, 0.1, true, "ação 😀"]]);
    let answers = Foreign::PythonTds.ask(&server, questions).await.unwrap();
    assert_eq!(answers, [json!({"rows": [["-42", "3FB999999999999A", "true", "ação 😀"]], "error": null})]);
    let request = server.seen().pop().unwrap().request;
    assert_eq!(request.way, Way::Procedure);
    assert!(request.declarations.to_lowercase().starts_with("@p1 int"), "{}", request.declarations);
}

#[tokio::test]
async fn errors_arrive_everywhere() {
    let rows = || Answer::rows(vec![Column::new("id", SqlType::Int)], [vec![Value::Int(1)]]);
    let script = || {
        Script::default()
            .on("gap", |_| Answer::error(ServerError::insufficient_arguments("f")))
            .on("victim", move |_| rows().then_message(ServerError::deadlock()))
            .on("fine", move |_| rows().then_message(ServerError::new(0, "a remark").class(0)))
    };
    let questions = || json!([["gap"], ["fine"], ["victim"], ["unknown"], ["fine"]]);
    for foreign in [Foreign::PythonTds, Foreign::PyMssql("off", None)] {
        let server = Server::start(Settings::default(), Arc::new(script())).await.unwrap();
        let answers = foreign.ask(&server, questions()).await.unwrap();
        let errors: Vec<_> = answers.iter().map(|answer| answer["error"].as_u64()).collect();
        assert_eq!(errors, [Some(313), None, Some(1205), Some(50_000), None]);
        assert_eq!(answers[1]["rows"], json!([["1"]]));
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_to_be_one() {
    for foreign in [Foreign::PythonTds, Foreign::PyMssql("off", None)] {
        let script = Script::default().user("reader", "another");
        let server = Server::start(Settings::default(), Arc::new(script)).await.unwrap();
        let complaint = foreign.ask(&server, json!([])).await.unwrap_err();
        assert!(complaint.contains("Login failed for user 'reader'"), "{complaint}");
    }
}

#[tokio::test]
async fn freetds_agrees_on_every_kind_of_tls() {
    let certificate = Arc::new(Certificate::new(&["127.0.0.1"]).unwrap());
    let stranger = Certificate::new(&["stranger.example"]).unwrap();
    let agreed = [
        (Encryption::Possible, "off", Line::Plain),
        (Encryption::Possible, "request", Line::PlainAfterLogin),
        (Encryption::Possible, "require", Line::Tls),
        (Encryption::Forced, "request", Line::Tls),
        (Encryption::Strict, "strict", Line::Strict),
    ];
    let cases = cases();
    for (encryption, wish, line) in agreed {
        let settings = Settings { encryption, certificate: Some(Arc::clone(&certificate)), ..Settings::default() };
        let server = Server::start(settings, Arc::new(script(&cases))).await.unwrap();
        let foreign = Foreign::PyMssql(wish, Some(certificate.authority.clone()));
        let answers = foreign.ask(&server, json!([["nvarchar(max)"]])).await.unwrap();
        check(cases.iter().find(|case| case.column.name == "nvarchar(max)").unwrap(), &answers[0]);
        assert_eq!(server.seen().last().unwrap().session.line, line, "{encryption:?}, {wish}");
        if line != Line::Plain {
            let foreign = Foreign::PyMssql(wish, Some(stranger.authority.clone()));
            foreign.ask(&server, json!([])).await.unwrap_err();
            assert_eq!(server.logins().len(), 1, "{encryption:?}, {wish}");
        }
    }
}

/// `tsql` prints what it reads; times only to the minute, which is why they are not here.
#[tokio::test]
async fn tsql_reads_numbers_texts_and_bytes_with_and_without_tls() {
    if Command::new("tsql").arg("-C").output().is_err() {
        println!("left out: there is no tsql here (Debian: freetds-bin)");
        return;
    }
    let certificate = Arc::new(Certificate::new(&["127.0.0.1"]).unwrap());
    let cases = cases();
    for (encryption, wish, line) in [
        (Encryption::NotSupported, "off", Line::Plain),
        (Encryption::Possible, "request", Line::PlainAfterLogin),
        (Encryption::Forced, "require", Line::Tls),
    ] {
        let settings = Settings { encryption, certificate: Some(Arc::clone(&certificate)), ..Settings::default() };
        let server = Server::start(settings, Arc::new(script(&cases))).await.unwrap();
        let (port, authority) = (server.address().port(), certificate.authority.clone());
        let names = [
            "bigint",
            "decimal(38,0)",
            "money",
            "varchar(50)",
            "ntext",
            "binary(10)",
            "uniqueidentifier",
            "sql_variant",
        ];
        let printed = tokio::task::spawn_blocking(move || tsql(port, wish, &authority, &names)).await.unwrap();
        for text in [
            "-9223372036854775808\n9223372036854775807\n9007199254740993\n",
            "99999999999999999999999999999999999999\n-99999999999999999999999999999999999999\n",
            "-1234.5000\n858993.4592\n",
            "\n \nO'Brien; ação €\n",
            "Zażółć gęślą jaźń 😀 日本語 Zażółć",
            "00002a00000001f00003\n01000000000000000000\n",
            "6F9619FF-8B86-D011-B42D-00C04FC964FF\n",
            "\n1\n255\n-7\n9223372036854775807\n0.10000000000000001\n-123.45\n1.2500\n0102\nFeb 29 2024 12:00AM\n",
        ] {
            assert!(printed.contains(text), "{text:?} is not in {printed:?}");
        }
        assert_eq!(server.seen().last().unwrap().session.line, line, "{encryption:?}, {wish}");
    }
}

fn tsql(port: u16, encryption: &str, authority: &str, queries: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("tsql");
    command.env("FREETDSCONF", freetds_conf(&home, port, encryption, Some(authority)));
    command.args(["-S", "stand-in", "-U", "reader", "-P", "secret", "-D", "shop", "-o", "q"]);
    let input: String = queries.iter().map(|query| format!("{query}\ngo\n")).collect();
    run(&mut command, &format!("{input}exit\n")).unwrap()
}
