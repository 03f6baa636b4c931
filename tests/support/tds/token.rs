//! The tokens of a reply other than rows.

use bytes::{BufMut, BytesMut};

use super::bytes::Put;

/// What a server says when something went wrong, or is worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerError {
    pub(crate) number: u32,
    /// The severity: 10 and less is information, 20 and more ends the connection.
    pub(crate) class: u8,
    pub(crate) state: u8,
    pub(crate) message: String,
    /// Empty outside of one.
    pub(crate) procedure: String,
    pub(crate) line: u32,
}

impl ServerError {
    /// An error of the usual severity.
    pub(crate) fn new(number: u32, message: &str) -> Self {
        Self { number, class: 16, state: 1, message: message.to_owned(), procedure: String::new(), line: 1 }
    }

    /// The same with another severity.
    pub(crate) fn class(self, class: u8) -> Self {
        Self { class, ..self }
    }

    /// "Login failed for user": the reason is kept from the client.
    pub(crate) fn login_failed(user: &str) -> Self {
        Self::new(18456, &format!("Login failed for user '{user}'.")).class(14)
    }

    /// What comes before [`Self::login_failed`] when the database is not there, or not for this user.
    pub(crate) fn cannot_open(database: &str) -> Self {
        let message = format!("Cannot open database \"{database}\" requested by the login. The login failed.");
        Self::new(4060, &message).class(11)
    }

    pub(crate) fn invalid_object(name: &str) -> Self {
        Self::new(208, &format!("Invalid object name '{name}'."))
    }

    /// What a query function of CDC says to bounds that it does not have.
    pub(crate) fn insufficient_arguments(function: &str) -> Self {
        Self::new(
            313,
            &format!(
                "An insufficient number of arguments were supplied for the procedure or function {function} ... ."
            ),
        )
    }

    pub(crate) fn select_denied(object: &str, database: &str, schema: &str) -> Self {
        let permission = "The SELECT permission was denied on the object";
        Self::new(229, &format!("{permission} '{object}', database '{database}', schema '{schema}'.")).class(14)
    }

    pub(crate) fn deadlock() -> Self {
        let message = "Transaction (Process ID 52) was deadlocked on lock resources with another process and has been \
                       chosen as the deadlock victim. Rerun the transaction.";
        Self::new(1205, message).class(13)
    }
}

const ORDER: u8 = 0xA9;
const ERROR: u8 = 0xAA;
const INFO: u8 = 0xAB;
const RETURN_STATUS: u8 = 0x79;
const LOGIN_ACK: u8 = 0xAD;
const ENV_CHANGE: u8 = 0xE3;
const SELECT: u16 = 0xC1;

/// The bits of a DONE.
pub(super) mod status {
    pub(crate) const MORE: u16 = 1;
    pub(crate) const ERROR: u16 = 2;
    pub(crate) const COUNT: u16 = 0x10;
    pub(crate) const ATTENTION: u16 = 0x20;
}

/// What has ended.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Done {
    Statement = 0xFD,
    Procedure = 0xFE,
    StatementInProcedure = 0xFF,
}

pub(super) fn put_done(out: &mut BytesMut, done: Done, status: u16, rows: u64) {
    out.put_u8(done as u8);
    out.put_u16_le(status);
    out.put_u16_le(if status & status::COUNT != 0 { SELECT } else { 0 });
    out.put_u64_le(rows);
}

pub(super) fn put_return_status(out: &mut BytesMut, status: i32) {
    out.put_u8(RETURN_STATUS);
    out.put_i32_le(status);
}

/// The columns, from 1, by which the rows are ordered.
pub(super) fn put_order(out: &mut BytesMut, columns: &[u16]) {
    out.put_u8(ORDER);
    out.put_u16_le(columns.len() as u16 * 2);
    columns.iter().for_each(|column| out.put_u16_le(*column));
}

pub(super) fn put_error(out: &mut BytesMut, error: &ServerError) {
    put_message(out, if error.class > 10 { ERROR } else { INFO }, error);
}

fn put_message(out: &mut BytesMut, token: u8, error: &ServerError) {
    let mut body = Vec::new();
    body.put_u32_le(error.number);
    body.put_u8(error.state);
    body.put_u8(error.class);
    body.put_us_varchar(&error.message);
    body.put_b_varchar("stand-in");
    body.put_b_varchar(&error.procedure);
    body.put_u32_le(error.line);
    put_sized(out, token, &body);
}

/// `version` is the client's, or the highest that is spoken here.
pub(super) fn put_login_ack(out: &mut BytesMut, version: u32) {
    let mut body = vec![1];
    body.put_u32(version);
    body.put_b_varchar("Microsoft SQL Server");
    body.put_slice(&[16, 0, 0x10, 0x04]);
    put_sized(out, LOGIN_ACK, &body);
}

/// The kinds of ENVCHANGE whose values are texts.
pub(super) mod environment {
    pub(crate) const DATABASE: u8 = 1;
    pub(crate) const LANGUAGE: u8 = 2;
    pub(crate) const PACKET_SIZE: u8 = 4;
    pub(crate) const COLLATION: u8 = 7;
    pub(crate) const BEGIN: u8 = 8;
    pub(crate) const COMMIT: u8 = 9;
    pub(crate) const ROLLBACK: u8 = 10;
    pub(crate) const ROUTING: u8 = 20;
}

pub(super) fn put_change(out: &mut BytesMut, kind: u8, new: &str, old: &str) {
    let mut body = vec![kind];
    body.put_b_varchar(new);
    body.put_b_varchar(old);
    put_sized(out, ENV_CHANGE, &body);
}

/// An ENVCHANGE whose values are bytes.
pub(super) fn put_binary_change(out: &mut BytesMut, kind: u8, new: &[u8], old: &[u8]) {
    let mut body = vec![kind];
    for value in [new, old] {
        body.put_u8(value.len() as u8);
        body.put_slice(value);
    }
    put_sized(out, ENV_CHANGE, &body);
}

/// The ENVCHANGE that sends a client to another server.
pub(super) fn put_routing(out: &mut BytesMut, host: &str, port: u16) {
    // By TCP, which is protocol 0.
    let mut route = vec![0];
    route.put_u16_le(port);
    route.put_us_varchar(host);
    let mut body = vec![environment::ROUTING];
    body.put_u16_le(route.len() as u16);
    body.put_slice(&route);
    // There is no old value.
    body.put_u16_le(0);
    put_sized(out, ENV_CHANGE, &body);
}

fn put_sized(out: &mut BytesMut, token: u8, body: &[u8]) {
    out.put_u8(token);
    out.put_u16_le(body.len() as u16);
    out.put_slice(body);
}
