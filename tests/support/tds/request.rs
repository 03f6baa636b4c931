//! What a client asks: a batch of SQL, or `sp_executesql` with parameters.

use super::bytes::{Cursor, Malformed, utf16};
use super::packet::{Message, kind};
use super::parameter;
use super::value::{SqlType, Value};

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As SQL alone.
    Batch,
    /// As a call of `sp_executesql`, by its number or by its name.
    Procedure,
    /// As one of the messages that begin and end transactions.
    Transaction,
}

/// A parameter of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameter {
    /// With its `@`.
    pub(crate) name: String,
    pub(crate) kind: SqlType,
    pub(crate) value: Value,
}

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) way: Way,
    pub(crate) text: String,
    /// The declarations of the parameters, as in `@P1 int`.
    pub(crate) declarations: String,
    pub(crate) parameters: Vec<Parameter>,
}

const EXECUTE_SQL: u16 = 10;
const BY_NUMBER: u16 = 0xFFFF;

impl Request {
    pub(super) fn decode(message: &Message) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(&message.payload);
        let headers = cursor.u32()? as usize;
        cursor.take(headers.checked_sub(4).ok_or(Malformed("headers that are shorter than their length"))?)?;
        match message.kind {
            kind::BATCH => Ok(Self::plain(Way::Batch, utf16(cursor.rest()))),
            kind::RPC => procedure(cursor),
            kind::TRANSACTION => transaction(cursor),
            _ => Err(Malformed("a message of a kind that is not served")),
        }
    }

    fn plain(way: Way, text: String) -> Self {
        Self { way, text, declarations: String::new(), parameters: Vec::new() }
    }

    /// The text in one line, with single blanks and without a `;` at its end.
    pub(crate) fn normal_text(&self) -> String {
        normal(&self.text)
    }

    /// The value of a parameter, if it is there.
    pub(crate) fn parameter(&self, name: &str) -> Option<&Value> {
        self.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| &parameter.value)
    }
}

/// SQL in one line.
pub(crate) fn normal(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_end_matches([';', ' ']).to_owned()
}

fn procedure(mut cursor: Cursor<'_>) -> Result<Request, Malformed> {
    let known = match cursor.u16()? {
        BY_NUMBER => cursor.u16()? == EXECUTE_SQL,
        chars => cursor.text(usize::from(chars))?.eq_ignore_ascii_case("sp_executesql"),
    };
    // Options, which concern neither the text nor the values.
    cursor.u16()?;
    if !known {
        return Err(Malformed("a procedure other than sp_executesql"));
    }
    let mut parameters = Vec::new();
    while !cursor.is_empty() {
        parameters.push(parameter::decode(&mut cursor)?);
    }
    let mut parameters = parameters.into_iter();
    let text = parameters.next().ok_or(Malformed("sp_executesql without a statement"))?;
    let declarations = parameters.next().map_or(Value::Null, |parameter| parameter.value);
    let Value::Text(text) = text.value else {
        return Err(Malformed("sp_executesql whose statement is not a text"));
    };
    let declarations = if let Value::Text(text) = declarations { text } else { String::new() };
    Ok(Request { way: Way::Procedure, text, declarations, parameters: parameters.collect() })
}

/// Begin, commit or roll back, as the SQL that says so.
fn transaction(mut cursor: Cursor<'_>) -> Result<Request, Malformed> {
    let text = match cursor.u16()? {
        5 => match cursor.u8()? {
            0 => "BEGIN TRANSACTION",
            1 => "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; BEGIN TRANSACTION",
            2 => "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN TRANSACTION",
            3 => "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; BEGIN TRANSACTION",
            4 => "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; BEGIN TRANSACTION",
            5 => "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION",
            _ => return Err(Malformed("an isolation level that there is not")),
        },
        7 => "COMMIT TRANSACTION",
        8 => "ROLLBACK TRANSACTION",
        _ => return Err(Malformed("a transaction request that is not served")),
    };
    Ok(Request::plain(Way::Transaction, text.to_owned()))
}
