//! What the server makes of logins, batches, calls with parameters, transactions and attention.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use tiberius::{AuthMethod, IsolationLevel, ToSql, error::Error, numeric::Numeric};

use super::client::{Connection, config, connect};
use crate::support::tds::{
    Answer, Column, Fault, Harm, Length, Line, Login, Script, Server, ServerError, Settings, SqlType, Stage, Value, Way,
};

fn one() -> Answer {
    Answer::value(Column::new("one", SqlType::Int), 1)
}

async fn server(script: Script) -> Server {
    Server::start(Settings::default(), Arc::new(script)).await.unwrap()
}

#[tokio::test]
async fn a_login_says_who_comes_and_what_for() {
    let server = server(Script::default()).await;
    let mut wishes = config(&server);
    wishes.application_name("cdc-to-s3");
    wishes.client_name("lambda");
    wishes.readonly(true);
    connect(wishes).await.unwrap();
    let expected = Login {
        version: 0x7400_0004,
        packet_size: 4096,
        host: "lambda".to_owned(),
        user: "reader".to_owned(),
        password: "s3cret{}ö".to_owned(),
        application: "cdc-to-s3".to_owned(),
        server: "127.0.0.1".to_owned(),
        database: "shop".to_owned(),
        read_only: true,
    };
    assert_eq!(server.logins(), [expected]);
}

#[tokio::test]
async fn wrong_users_and_databases_are_refused() {
    let server = server(Script::default().user("reader", "s3cret{}ö").databases(&["shop"])).await;
    connect(config(&server)).await.unwrap();
    let mut wrong = config(&server);
    wrong.authentication(AuthMethod::sql_server("reader", "guess"));
    assert_eq!(connect(wrong).await.unwrap_err().code(), Some(18456));
    let mut elsewhere = config(&server);
    elsewhere.database("attic");
    assert_eq!(connect(elsewhere).await.unwrap_err().code(), Some(4060));
    server.fault(Stage::Login, Fault::now(Harm::Error(ServerError::login_failed("reader"))));
    assert_eq!(connect(config(&server)).await.unwrap_err().code(), Some(18456));
    connect(config(&server)).await.unwrap();
}

#[tokio::test]
async fn a_client_is_sent_to_another_server() {
    let gateway = server(Script::default().elsewhere("replica.example", 14_330)).await;
    let error = connect(config(&gateway)).await.unwrap_err();
    assert_eq!(error, Error::Routing { host: "replica.example".to_owned(), port: 14_330 });
}

async fn failure(client: &mut Connection, query: &str, parameters: &[&dyn ToSql]) -> Error {
    let answer = match client.query(query, parameters).await {
        Ok(answer) => answer.into_results().await.map(drop),
        Err(error) => Err(error),
    };
    answer.unwrap_err()
}

#[tokio::test]
async fn a_query_that_is_not_known_is_an_error_that_names_it() {
    let script = Script::default().on("SELECT 3", |_| Answer::error(ServerError::invalid_object("t")));
    let server = server(script).await;
    let mut client = connect(config(&server)).await.unwrap();
    assert_eq!(failure(&mut client, "SELECT 3", &[]).await.code(), Some(208));
    let error = failure(&mut client, "SELECT\n  @@VERSION;", &[]).await;
    assert_eq!(error.code(), Some(50_000));
    assert!(error.to_string().contains("the stand-in has no answer to: SELECT @@VERSION"), "{error}");
    let error = failure(&mut client, "SELECT 2", &[&1_i32]).await;
    assert!(error.to_string().contains("SELECT 2"), "{error}");
}

#[tokio::test]
async fn parameters_are_decoded() {
    let server = server(Script::default().on("SELECT 1", |_| one())).await;
    let mut client = connect(config(&server)).await.unwrap();
    let long = "é".repeat(5000);
    let (lsn, nothing): (&[u8], Option<i32>) = (&[0, 0, 0, 1, 0, 0, 0, 2, 0, 3], None);
    let decimal = Numeric::new_with_scale(-12_345, 2);
    let row = client
        .query(
            "SELECT 1",
            &[&lsn, &1_u8, &-2_i16, &3_i32, &i64::MIN, &"São", &long.as_str(), &true, &1.5_f64, &decimal, &nothing],
        )
        .await
        .unwrap()
        .into_row()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.get::<i32, _>(0), Some(1));
    let request = server.seen().remove(0).request;
    assert_eq!(request.way, Way::Procedure);
    assert!(request.declarations.starts_with("@P1 varbinary(8000),@P2 tinyint"), "{}", request.declarations);
    let expected = [
        Value::Bytes(lsn.to_owned()),
        Value::Int(1),
        Value::Int(-2),
        Value::Int(3),
        Value::Int(i64::MIN),
        "São".into(),
        Value::Text(long),
        Value::Bit(true),
        Value::Float(1.5),
        Value::Decimal(-12_345),
        Value::Null,
    ];
    let values: Vec<_> = request.parameters.iter().map(|parameter| parameter.value.clone()).collect();
    assert_eq!(values, expected);
    assert_eq!(request.parameters[3].kind, SqlType::Int);
    assert_eq!(request.parameter("@P4"), Some(&Value::Int(3)));
}

#[tokio::test]
async fn times_travel_as_parameters() {
    use tiberius::time::{Date, DateTime2, DateTimeOffset, Time};
    use tiberius::{ColumnData, Query};
    let server = server(Script::default().on("SELECT 1", |_| one())).await;
    let mut client = connect(config(&server)).await.unwrap();
    let instant = DateTime2::new(Date::new(739_000), Time::new(452_961_234_567, 7));
    let mut query = Query::new("SELECT 1");
    query.bind(Raw(ColumnData::DateTime2(Some(instant))));
    query.bind(Raw(ColumnData::DateTimeOffset(Some(DateTimeOffset::new(instant, -60)))));
    query.bind(Raw(ColumnData::Date(Some(Date::new(1)))));
    query.bind(Raw(ColumnData::Time(Some(Time::new(12_345, 3)))));
    query.query(&mut client).await.unwrap().into_row().await.unwrap();
    let values: Vec<_> = server.seen()[0].request.parameters.iter().map(|parameter| parameter.value.clone()).collect();
    let ticks = 452_961_234_567;
    let expected = [
        Value::DateTime2(739_000, ticks),
        Value::DateTimeOffset(739_000, ticks, -60),
        Value::Date(1),
        Value::Time(123_450_000),
    ];
    assert_eq!(values, expected);
}

/// A value as tiberius sends it.
struct Raw(tiberius::ColumnData<'static>);

impl tiberius::IntoSql<'static> for Raw {
    fn into_sql(self) -> tiberius::ColumnData<'static> {
        self.0
    }
}

#[tokio::test]
async fn several_results_come_one_after_the_other() {
    let text = Column::new("name", SqlType::VarChar(Length::Of(5)));
    let script = Script::default().on("both", move |_| {
        let info = ServerError::new(50_001, "half way").class(10);
        one().then_message(info).then(Answer::affected(3)).then(Answer::value(text.clone(), "x"))
    });
    let server = server(script).await;
    let mut client = connect(config(&server)).await.unwrap();
    for parameters in [&[][..], &[&1_i32 as &dyn ToSql]] {
        let results = client.query("both", parameters).await.unwrap().into_results().await.unwrap();
        let lens: Vec<_> = results.iter().map(Vec::len).collect();
        assert_eq!(lens, [1, 1]);
        assert_eq!(results[1][0].get::<&str, _>(0), Some("x"));
    }
}

#[tokio::test]
async fn the_isolation_level_and_the_transaction_of_a_request_are_known() {
    let server = server(Script::default().on("SELECT 1", |_| one())).await;
    let mut client = connect(config(&server)).await.unwrap();
    let batches = ["SET TRANSACTION ISOLATION LEVEL SNAPSHOT", "BEGIN TRANSACTION", "SELECT 1", "COMMIT", "SELECT 1"];
    for batch in batches {
        client.simple_query(batch).await.unwrap().into_results().await.unwrap();
    }
    client.begin_transaction_with_isolation(IsolationLevel::Serializable).await.unwrap();
    client.simple_query("SELECT 1").await.unwrap().into_results().await.unwrap();
    client.rollback_transaction().await.unwrap();
    let seen = server.seen();
    let selects = seen.iter().filter(|seen| seen.request.text == "SELECT 1");
    let sessions: Vec<_> = selects.map(|seen| (seen.session.isolation.as_str(), seen.session.in_transaction)).collect();
    assert_eq!(sessions, [("SNAPSHOT", true), ("SNAPSHOT", false), ("SERIALIZABLE", true)]);
    assert_eq!((seen[0].session.number, seen[0].session.line), (1, Line::Plain));
}

#[tokio::test]
async fn a_client_can_call_an_answer_off() {
    let columns = vec![Column::required("id", SqlType::BigInt)];
    let endless = columns.clone();
    let script = Script::default()
        .on("SELECT 1", |_| one())
        .on("endless", move |_| Answer::rows(endless.clone(), (0..).map(|id| vec![Value::Int(id)])))
        .on("slow", move |_| Answer::rows(columns.clone(), [vec![Value::Int(1)]]).then_wait(Duration::from_secs(3600)));
    let server = server(script).await;
    let mut client = connect(config(&server)).await.unwrap();
    for query in ["endless", "slow"] {
        let mut rows = client.simple_query(query).await.unwrap().into_row_stream();
        rows.try_next().await.unwrap().unwrap();
        drop(rows);
        client.cancel_query().await.unwrap();
        client.simple_query("SELECT 1").await.unwrap().into_row().await.unwrap().unwrap();
    }
    assert_eq!(server.attentions(), 2);
}

#[tokio::test]
async fn a_row_that_does_not_fit_its_columns_is_an_error_that_says_so() {
    let script = Script::default().on("wrong", |_| Answer::value(Column::new("small", SqlType::TinyInt), 256));
    let server = server(script).await;
    let mut client = connect(config(&server)).await.unwrap();
    let error = failure(&mut client, "wrong", &[]).await;
    let Error::Server(error) = error else { panic!("{error}") };
    assert_eq!(error.message(), "the script is wrong: small is a TinyInt, which cannot hold Int(256)");
}
