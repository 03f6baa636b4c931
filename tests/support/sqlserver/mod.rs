//! A stand-in for a SQL Server database with change data capture: it answers the queries of this program's client.
//!
//! It knows each query by the comment at its begin, and takes seriously what changes from query to query: names, lists of
//! columns, conditions, parameters. Its catalog and its database have two collations. Anything else is an error that names it. It sits above [`super::tds`], so that all
//! faults of the line can be scripted there.

mod catalog;
mod changes;
mod client;
mod collation;
mod contents;
mod expression;
mod rows;
mod sql_type;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::tds::{Admission, Answer, Answers, Login, Request, ServerError, Session};

pub(crate) use self::client::client;
pub(crate) use self::contents::{
    Access, Change, Changes, Commit, Contents, Holdings, Instance, LsnBytes, Plain, Table, lsn,
};

/// The answers to the client's queries, over contents that may change.
pub(crate) struct Database<H> {
    pub(crate) holdings: H,
    user: String,
    password: String,
    /// What sessions in a transaction of one instant see.
    instants: Mutex<BTreeMap<u64, Arc<Contents>>>,
}

/// A query that the stand-in could not answer: what the server says.
type Outcome = Result<Answer, ServerError>;

impl<H: Holdings> Database<H> {
    /// A database for one user.
    pub(crate) fn new(holdings: H, user: &str, password: &str) -> Self {
        Self { holdings, user: user.to_owned(), password: password.to_owned(), instants: Mutex::default() }
    }

    /// What this request sees.
    fn contents(&self, session: &Session, request: &Request) -> Result<Arc<Contents>, ServerError> {
        let current = self.holdings.contents(request)?;
        let mut instants = self.instants.lock().unwrap_or_else(PoisonError::into_inner);
        if !session.in_transaction || session.isolation != "SNAPSHOT" {
            instants.remove(&session.number);
            return Ok(current);
        }
        Ok(Arc::clone(instants.entry(session.number).or_insert(current)))
    }
}

impl<H: Holdings> Answers for Database<H> {
    fn admit(&self, login: &Login) -> Admission {
        if (&login.user, &login.password) == (&self.user, &self.password) {
            Admission::Welcome
        } else {
            Admission::Refused(vec![ServerError::login_failed(&login.user)])
        }
    }

    fn answer(&self, session: &Session, request: &Request) -> Option<Answer> {
        let text = request.normal_text();
        let (name, sql) = text.strip_prefix("/* cdc-to-s3: ")?.split_once(" */ ")?;
        let contents = match self.contents(session, request) {
            Ok(contents) => contents,
            Err(error) => return Some(Answer::error(error)),
        };
        if session.login.database != contents.database {
            return Some(Answer::error(ServerError::cannot_open(&session.login.database)));
        }
        if let Err(error) = collation::check(sql) {
            return Some(Answer::error(error));
        }
        let outcome = match name {
            "changes" => changes::answer(&contents, sql, request),
            "rows" => rows::answer(&contents, session, sql, request),
            name => catalog::answer(&contents, name, sql, request)?,
        };
        Some(outcome.unwrap_or_else(Answer::error))
    }
}

/// The error for a query whose begin is known, but not the rest.
fn not_understood(what: &str) -> ServerError {
    ServerError::new(50_000, &format!("the stand-in does not understand: {what}"))
}
