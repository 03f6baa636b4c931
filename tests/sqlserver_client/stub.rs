//! A database of one captured table, as plain as it can be: what the client asks of the catalog, and the changes and rows that
//! a test writes down. It keeps no promise of a real one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cdc_to_s3::config::{Encryption, SqlServerConnection, TimesAsText};
use cdc_to_s3::secrets::{LoginCache, Secret, SqlServerLogin};
use cdc_to_s3::source::sqlserver::tds::{Settings, TdsServer};

use super::tds::{
    Admission, Answer, Answers, Column, Length, Login, Request, Row, ServerError, Session, SqlType, Value,
};

/// The object id of its change table.
const CHANGE_TABLE: i64 = 101;

/// A captured column as the catalog describes it, and as the wire has it.
#[derive(Clone)]
pub(crate) struct Captured {
    pub(crate) name: String,
    /// The name of its type, its length, precision, scale and code page.
    pub(crate) catalog: (String, i64, i64, i64, Option<i64>),
    pub(crate) wire: Column,
}

impl Captured {
    /// A column whose type needs no more than its name.
    pub(crate) fn new(name: &str, type_name: &str, kind: SqlType) -> Self {
        Self::sized(name, type_name, kind, (8, 0, 0))
    }

    /// A column of a length, precision and scale.
    pub(crate) fn sized(name: &str, type_name: &str, kind: SqlType, size: (i64, i64, i64)) -> Self {
        let (length, precision, scale) = size;
        let catalog = (type_name.to_owned(), length, precision, scale, Some(1252));
        Self { name: name.to_owned(), catalog, wire: Column::new(name, kind) }
    }
}

type Make = Box<dyn Fn(&[Column]) -> Answer + Send + Sync>;
type Reply = Box<dyn Fn(&Request) -> Answer + Send + Sync>;

/// The database.
pub(crate) struct Stub {
    /// The name of its capture instance.
    pub(crate) instance: String,
    pub(crate) columns: Vec<Captured>,
    pub(crate) key: Vec<String>,
    /// Whether the change table may be read itself.
    pub(crate) is_direct: bool,
    pub(crate) allows_snapshots: bool,
    /// Commits, and when they were, in 100 ns of 2026-11-20.
    pub(crate) commits: Vec<([u8; 10], u64)>,
    /// The result of a query of changes, without its count.
    pub(crate) changes: Make,
    /// The number that follows, if one does.
    pub(crate) changes_counted: Option<i64>,
    /// The rows of the table.
    pub(crate) rows: Vec<Row>,
    /// Answers to other questions, or to these in another way, by the name that a question begins with.
    pub(crate) replies: BTreeMap<&'static str, Reply>,
    /// Why nobody may log in.
    pub(crate) refusal: Option<ServerError>,
    /// What whoever logs in has to know, if it matters.
    pub(crate) password: Option<Arc<Mutex<String>>>,
}

impl Stub {
    /// A table of these columns, the first of which is its key.
    pub(crate) fn new(columns: Vec<Captured>) -> Self {
        let key = columns.first().map(|column| column.name.clone()).into_iter().collect();
        let changes: Make = Box::new(|columns| Answer::rows(columns.to_vec(), []));
        Self {
            instance: "dbo_Orders".to_owned(),
            columns,
            key,
            is_direct: true,
            allows_snapshots: false,
            commits: Vec::new(),
            changes,
            changes_counted: Some(0),
            rows: Vec::new(),
            replies: BTreeMap::new(),
            refusal: None,
            password: None,
        }
    }

    /// With these changes.
    pub(crate) fn with_changes(self, rows: Vec<Row>) -> Self {
        let changes_counted = Some(rows.len() as i64);
        let changes: Make = Box::new(move |columns| Answer::rows(columns.to_vec(), rows.clone()));
        Self { changes, changes_counted, ..self }
    }

    /// With this answer to a question.
    pub(crate) fn on(mut self, name: &'static str, reply: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        self.replies.insert(name, Box::new(reply));
        self
    }

    /// The columns of a query of changes.
    pub(crate) fn change_columns(&self) -> Vec<Column> {
        let own = [
            Column::required("__$start_lsn", SqlType::Binary(10)),
            Column::required("__$seqval", SqlType::Binary(10)),
            Column::required("__$operation", SqlType::Int),
            Column::new("__$update_mask", SqlType::VarBinary(Length::Of(128))),
            Column::new("__$command_id", SqlType::Int),
        ];
        own.into_iter().chain(self.columns.iter().map(|column| column.wire.clone())).collect()
    }

    fn session(&self) -> Answer {
        Answer::rows(
            vec![Column::new("a", SqlType::Bit), Column::new("b", SqlType::Bit)],
            [vec![Value::Bit(self.allows_snapshots), Value::Bit(true)]],
        )
    }

    fn instances(&self) -> Answer {
        self.heads().then(self.captured_columns()).then(self.keys()).then(Answer::rows(vec![int(), name()], []))
    }

    fn heads(&self) -> Answer {
        let columns = vec![
            int(),
            name(),
            int(),
            name(),
            name(),
            Column::new("l", SqlType::Binary(10)),
            Column::new("t", SqlType::DateTime2(3)),
            name(),
            Column::new("d", SqlType::Bit),
            Column::new("c", SqlType::Bit),
        ];
        let row = vec![
            Value::Int(CHANGE_TABLE),
            self.instance.as_str().into(),
            Value::Int(7),
            "dbo".into(),
            "Orders".into(),
            Value::Bytes(vec![0, 0, 0, 1, 0, 0, 0, 0, 0, 1]),
            Value::DateTime2(739_574, 0),
            Value::Null,
            Value::Bit(self.is_direct),
            Value::Bit(self.is_direct),
        ];
        Answer::rows(columns, [row])
    }

    fn captured_columns(&self) -> Answer {
        let columns = vec![
            int(),
            name(),
            int(),
            Column::new("k", SqlType::Bit),
            name(),
            int(),
            int(),
            int(),
            name(),
            int(),
            name(),
        ];
        let rows: Vec<Row> = self
            .columns
            .iter()
            .zip(1..)
            .map(|(column, ordinal)| {
                let (type_name, length, precision, scale, code_page) = &column.catalog;
                let collation = code_page.map(|_| "SQL_Latin1_General_CP1_CI_AS");
                vec![
                    Value::Int(CHANGE_TABLE),
                    column.name.as_str().into(),
                    Value::Int(ordinal),
                    Value::Bit(false),
                    type_name.as_str().into(),
                    Value::Int(*length),
                    Value::Int(*precision),
                    Value::Int(*scale),
                    collation.into(),
                    (*code_page).into(),
                    column.name.as_str().into(),
                ]
            })
            .collect();
        Answer::rows(columns, rows)
    }

    fn keys(&self) -> Answer {
        let rows: Vec<Row> =
            self.key.iter().map(|column| vec![Value::Int(CHANGE_TABLE), column.as_str().into()]).collect();
        Answer::rows(vec![int(), name()], rows)
    }

    fn commits(&self) -> Answer {
        let columns = vec![Column::new("l", SqlType::Binary(10)), Column::new("t", SqlType::DateTime2(3))];
        let rows: Vec<Row> = self
            .commits
            .iter()
            .map(|(lsn, ticks)| vec![Value::Bytes(lsn.to_vec()), Value::DateTime2(739_574, *ticks)])
            .collect();
        Answer::rows(columns, rows)
    }

    fn table_rows(&self) -> Answer {
        let columns = self.columns.iter().map(|column| column.wire.clone()).collect();
        Answer::rows(columns, self.rows.clone()).then(count(self.rows.len() as i64))
    }
}

impl Answers for Stub {
    fn admit(&self, login: &Login) -> Admission {
        if self.password.as_ref().is_some_and(|password| *password.lock().unwrap() != login.password) {
            return Admission::Refused(vec![ServerError::login_failed(&login.user)]);
        }
        self.refusal.clone().map_or(Admission::Welcome, |refusal| Admission::Refused(vec![refusal]))
    }

    fn answer(&self, _session: &Session, request: &Request) -> Option<Answer> {
        let (marker, _) = request.text.strip_prefix("/* cdc-to-s3: ")?.split_once(" */")?;
        if let Some(reply) = self.replies.get(marker) {
            return Some(reply(request));
        }
        match marker {
            "session" => Some(self.session()),
            "instances" => Some(self.instances()),
            "commits" => Some(self.commits()),
            "changes" => {
                let changes = (self.changes)(&self.change_columns());
                Some(match self.changes_counted {
                    Some(rows) => changes.then(count(rows)),
                    None => changes,
                })
            }
            "rows" => Some(self.table_rows()),
            "begin" | "clock" => {
                Some(Answer::value(Column::new("t", SqlType::DateTime2(7)), Value::DateTime2(739_574, 0)))
            }
            _ => None,
        }
    }
}

/// What a query says last.
pub(crate) fn count(rows: i64) -> Answer {
    Answer::value(Column::new("n", SqlType::BigInt), rows)
}

/// The way to a server at `port` of loopback, without encryption.
pub(crate) fn connection(port: u16) -> SqlServerConnection {
    SqlServerConnection {
        host: Some("127.0.0.1".to_owned()),
        port: Some(port),
        database: Some("shop".to_owned()),
        secret_id: None,
        encryption: Encryption::Off,
        trust_ca: None,
        host_in_certificate: None,
        read_only_intent: false,
    }
}

/// The user that everything is asked as.
pub(crate) fn login() -> LoginCache {
    LoginCache::fixed(SqlServerLogin {
        username: "reader".to_owned(),
        password: Secret::new("s3cret{}ö"),
        host: None,
        port: None,
        database: None,
    })
}

/// The client of a server at `port` of loopback.
pub(crate) fn client(port: u16, settings: Settings) -> TdsServer {
    TdsServer::new(connection(port), None, login().into(), TimesAsText::default(), settings)
}

/// The column of a place in the log.
pub(crate) fn lsn_column() -> Column {
    Column::new("l", SqlType::Binary(10))
}

fn int() -> Column {
    Column::new("i", SqlType::Int)
}

fn name() -> Column {
    Column::new("n", SqlType::NVarChar(Length::Of(128)))
}
