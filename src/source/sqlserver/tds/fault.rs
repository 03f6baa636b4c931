//! Every error of this client, in one place: its kind, its code, what the operator does.
//!
//! The server's own messages may quote values of cells ("conversion failed when converting …"), so none is passed on: the
//! error's number says the same to everybody who looks it up.

use std::time::Duration;

use tiberius::error::{Error as TdsError, IoErrorKind, TokenError};

use super::columns::Misfit;
use crate::error::{Error, Kind};

/// The code for an object that the server does not know.
pub(super) const MISSING: &str = "InstanceMissing";

/// The number with which a server refuses to open a database.
const CANNOT_OPEN_DATABASE: u32 = 4060;

/// From here on, the server has given the connection up.
const FATAL_CLASS: u8 = 20;

/// What an error of the driver or of the server means while `doing` something ("reading the changes of dbo.Orders").
pub(super) fn of(error: TdsError, doing: &str) -> Error {
    match error {
        TdsError::Server(token) => server(&ServerError::of(&token), doing),
        TdsError::Io { kind: IoErrorKind::TimedOut, .. } => {
            Error::transient("SqlServerTimeout", format!("SQL Server stopped answering while {doing}"))
                .hint("the next run goes on from there; look at the server's load and at blocking sessions")
        }
        TdsError::Io { .. } => cut(doing).caused_by(error),
        TdsError::Tls(text) => tls(doing).caused_by(std::io::Error::other(first_sentence(&text).to_owned())),
        TdsError::Routing { .. } => {
            Error::transient("SqlServerRouting", format!("SQL Server keeps sending us elsewhere while {doing}"))
                .hint("check the read-only routing list of the availability group, or name a replica in `source.host`")
        }
        TdsError::Protocol(ref text) if text.contains("requested encryption level") => no_encryption(doing),
        TdsError::Encoding(_) | TdsError::Utf8 | TdsError::Utf16 => {
            Error::data("TextGarbled", format!("SQL Server sent text that is none of its code page while {doing}"))
                .hint("repair the value in the source, or exclude its column from the capture instance")
        }
        _ => Error::transient("SqlServerProtocol", format!("SQL Server was not understood while {doing}"))
            .hint(
                "if it repeats, say so with the server's version; a proxy that speaks another protocol looks like this",
            )
            .caused_by(error),
    }
}

/// The stream of an answer ended early.
pub(super) fn cut(doing: &str) -> Error {
    Error::transient("SqlServerCut", format!("the connection to SQL Server was cut while {doing}"))
        .hint("the next run goes on from there; if it repeats, look at firewalls, failovers and the server's log")
}

/// The server cannot be reached.
pub(super) fn unreachable(place: &str, error: std::io::Error) -> Error {
    let kind = if error.kind() == IoErrorKind::NotFound { Kind::Config } else { Kind::Transient };
    Error::new(kind, "SqlServerUnreachable", format!("cannot connect to SQL Server at {place}"))
        .hint("check `source.host` and `source.port`, the security group or firewall, and the function's VPC settings")
        .caused_by(error)
}

/// Nobody answered at all in that time.
pub(super) fn no_connection(place: &str, waited: Duration) -> Error {
    let seconds = waited.as_secs_f32();
    Error::transient(
        "SqlServerUnreachable",
        format!("SQL Server at {place} did not accept a connection in {seconds:.0} s"),
    )
    .hint("check `source.host` and `source.port`, the security group or firewall, and the function's VPC settings")
}

/// A value that does not go into its column.
pub(super) fn misfit(misfit: Misfit, column: &str, doing: &str) -> Error {
    match misfit {
        Misfit::Type => Error::transient(
            "ColumnChanged",
            format!("the column `{column}` has another type than a moment ago while {doing}"),
        )
        .hint("the next run reads the new type; if it repeats, make a new capture instance for the table"),
        Misfit::Range => Error::data(
            "ValueOutOfRange",
            format!("the column `{column}` holds a value outside its type while {doing}"),
        )
        .hint("repair the value in the source, or exclude the column from the capture instance"),
        Misfit::TooLong => {
            Error::data("ValueTooLong", format!("the column `{column}` holds a value of more than 1 GiB while {doing}"))
                .hint("exclude the column from the capture instance")
        }
    }
}

/// An answer without a value that it must have.
pub(super) fn answer(what: &str, doing: &str) -> Error {
    Error::internal("SqlServerAnswer", format!("SQL Server's answer has no usable {what} while {doing}"))
        .hint("if it repeats, say so with the server's version")
}

/// An instance was made or dropped between two looks at the catalog.
pub(super) fn changing(instance: &str) -> Error {
    Error::transient("InstancesChanging", format!("the capture instance `{instance}` is being made or dropped"))
        .hint("the next run reads what is there then; if it repeats, this login may not see the change table's columns")
}

/// An instance that the catalog no longer has.
pub(super) fn missing(instance: &str) -> Error {
    Error::data("InstanceMissing", format!("the capture instance `{instance}` is no longer there"))
        .hint("it was dropped, or the login may no longer see its table; run again to read what is there")
}

/// The server counted other rows than came.
pub(super) fn incomplete(came: u64, counted: u64, doing: &str) -> Error {
    Error::transient("SqlServerCut", format!("{came} of {counted} rows came while {doing}"))
        .hint("the next run reads them again; if it repeats, something between here and the server loses data")
}

/// Arrow refuses a batch: a fault of this program.
pub(super) fn batch(error: arrow::error::ArrowError, doing: &str) -> Error {
    Error::internal("BatchMisbuilt", format!("cannot build a batch while {doing}")).caused_by(error)
}

fn server(answer: &ServerError, doing: &str) -> Error {
    let number = answer.number;
    let error = match number {
        313 => Error::data("PositionOutOfRange", format!("SQL Server no longer covers the range of changes while {doing}"))
            .hint("the clean-up job has passed the position, or the log was set back: run again to learn which")
            ,
        208 | 4902 => Error::data(MISSING, format!("SQL Server no longer knows an object while {doing}"))
            .hint("change data capture was switched off, or the capture instance dropped; run again to read what is there"),
        207 => Error::transient("ColumnChanged", format!("SQL Server no longer knows a column while {doing}"))
            .hint("the next run reads the new list of columns"),
        18456 | 18452 | 18470 | 18486 | 18487 | 18488 | 40607 => unauthorized(number),
        CANNOT_OPEN_DATABASE | 911 | 916 | 4064 => Error::config("DatabaseNotFound", "SQL Server does not open the database for this login")
            .hint("check `source.database`, and that the login has a user in it; during a failover this passes with the next run"),
        40615 | 40914 => Error::config("SqlServerDenied", "the server's firewall does not let this address in")
            .hint("add the address that the function has outside, or use a private endpoint"),
        229 | 230 | 262 | 297 | 300 | 301 | 371 | 15247 => denied(doing),
        22901..=22999 => Error::config("CdcDisabled", format!("SQL Server says that change data capture is not set up while {doing}"))
            .hint("run sys.sp_cdc_enable_db in the database and sys.sp_cdc_enable_table for each table"),
        1205 => passing("SqlServerDeadlock", "SQL Server broke a deadlock by ending this query", doing),
        1222 => passing("SqlServerLocked", "another session holds a lock for too long", doing),
        3960 | 3961 | 3958 | 601 => passing("SqlServerMoved", "the data were changed under the query", doing),
        3971 => passing("SqlServerMoved", "the server could not resume the session's transaction", doing),
        3952 => passing("SqlServerMoved", "SNAPSHOT isolation was switched off", doing),
        40197 | 40501 | 40540 | 40549 | 40550 | 40551 | 40552 | 40553 | 40613 | 40143 | 49918..=49920 | 10928 | 10929 | 4221 | 615 => {
            passing("SqlServerBusy", "the service is busy or moving the database", doing)
        }
        701 | 802 | 8645 | 8651 | 1204 | 1105 | 9002 => passing("SqlServerBusy", "the server is out of a resource", doing),
        921..=927 | 976 | 978 | 982 | 983 | 945 | 6005 | 6006 | 596 | 17142 | 18401 | 18461 => {
            passing("SqlServerUnavailable", "the database is not available at the moment", doing)
        }
        64 | 121 | 233 | 10053 | 10054 | 10060 => cut(doing),
        _ if answer.class >= FATAL_CLASS => cut(doing),
        _ => refused(doing),
    };
    error.caused_by(*answer)
}

fn unauthorized(number: u32) -> Error {
    let why = match number {
        18470 => "the login is disabled",
        18486 => "the login is locked",
        18487 | 18488 => "the login's password has expired or must be changed",
        18452 => "the server takes no logins with a password, or the login is of Windows",
        _ => "it refuses the user name or the password",
    };
    Error::config("SqlServerUnauthorized", format!("SQL Server lets nobody in: {why}")).hint(
        "correct the user and password in the secret (or SQLSERVER_USER and SQLSERVER_PASSWORD), and enable the login",
    )
}

fn denied(doing: &str) -> Error {
    Error::config("SqlServerDenied", format!("this login lacks a permission while {doing}")).hint(
        "GRANT SELECT ON SCHEMA::cdc and SELECT on the captured tables to its user, and add it to the gating role if there is one",
    )
}

fn passing(code: &'static str, why: &str, doing: &str) -> Error {
    Error::transient(code, format!("{why}, while {doing}")).hint("the next run goes on from there")
}

fn refused(doing: &str) -> Error {
    Error::data("SqlServerRefused", format!("SQL Server refuses the query while {doing}"))
        .hint("look the error's number up in sys.messages; if the query is at fault, say so with the server's version")
}

fn tls(doing: &str) -> Error {
    Error::config("SqlServerTls", format!("no trusted connection to SQL Server could be made while {doing}")).hint(
        "name the certification authority's certificates in `source.trust_ca` (for RDS its bundle), and in \
         `source.host_in_certificate` the name that the certificate has",
    )
}

/// The driver's text goes on with what to do in its own terms.
fn first_sentence(text: &str) -> &str {
    text.split_once(" To connect anyway").map_or(text, |(reason, _)| reason)
}

fn no_encryption(doing: &str) -> Error {
    Error::config("SqlServerTls", format!("SQL Server does not offer the encryption that is asked for while {doing}"))
        .hint("enable encryption on the server, or choose another `source.encrypt`")
}

/// Whether a server did not take up a TLS handshake: it hung up, or answered in another protocol.
pub(super) fn is_no_answer_in_tls(error: &TdsError) -> bool {
    match error {
        TdsError::Io { kind: IoErrorKind::UnexpectedEof, message } => message.contains("handshake"),
        TdsError::Io { kind, .. } => matches!(kind, IoErrorKind::ConnectionReset | IoErrorKind::InvalidData),
        TdsError::Tls(text) => text.contains("handshake eof") || text.contains("InvalidContentType"),
        _ => false,
    }
}

/// A server that knows TDS 7 only, where everything was to be encrypted from the first byte.
pub(super) fn no_tds8(doing: &str) -> Error {
    Error::config(
        "SqlServerTls",
        format!(
            "SQL Server did not take up the encryption that `source.encrypt: strict` starts with while {doing}: that is TDS 8, \
             which SQL Server knows from 2022 on"
        ),
    )
    .hint(
        "set `source.encrypt` to `required`, which encrypts everything after a short negotiation and checks the certificate as \
         well; if the server does know TDS 8, look at firewalls and proxies on the way",
    )
}

/// Whether the server refused to open the database.
pub(super) fn is_closed_database(error: &TdsError) -> bool {
    matches!(error, TdsError::Server(token) if token.code() == CANNOT_OPEN_DATABASE)
}

/// The database was open to this login a moment ago, and is not now: it is failing over, or was just dropped.
pub(super) fn database_moving(doing: &str) -> Error {
    passing("SqlServerUnavailable", "the database was open a moment ago and is not now, as during a failover", doing)
}

/// What may be told of a server's error.
#[derive(Clone, Copy, Debug)]
struct ServerError {
    number: u32,
    class: u8,
    state: u8,
    line: u32,
}

impl ServerError {
    fn of(token: &TokenError) -> Self {
        Self { number: token.code(), class: token.class(), state: token.state(), line: token.line() }
    }
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { number, class, state, line } = self;
        write!(f, "error {number} (severity {class}, state {state}, line {line})")
    }
}

impl std::error::Error for ServerError {}

#[cfg(test)]
mod tests;
