//! What the server answers a request with.

use std::time::Duration;

use bytes::Bytes;

use super::token::ServerError;
use super::value::{Column, Value};

/// One row.
pub(crate) type Row = Vec<Value>;

/// Rows that were written as tokens before: for answers that have to be fast.
pub(crate) struct Encoded {
    pub(crate) bytes: Bytes,
    pub(crate) rows: u64,
}

/// A piece of an answer.
pub(super) enum Part {
    /// A result begins.
    Columns(Vec<Column>),
    /// The columns, from 1, by which it is ordered.
    Order(Vec<u16>),
    Rows(Box<dyn Iterator<Item = Row> + Send>),
    Encoded(Box<dyn Iterator<Item = Encoded> + Send>),
    /// An error ends the answer; information does not.
    Message(ServerError),
    /// A statement without a result that touched so many rows.
    Affected(u64),
    Wait(Duration),
}

/// An answer: results, messages and pauses, in order.
#[derive(Default)]
pub(crate) struct Answer {
    pub(super) parts: Vec<Part>,
}

impl Answer {
    /// One result.
    pub(crate) fn rows<I>(columns: Vec<Column>, rows: I) -> Self
    where
        I: IntoIterator<Item = Row>,
        I::IntoIter: Send + 'static,
    {
        Self::default().with(Part::Columns(columns)).with(Part::Rows(Box::new(rows.into_iter())))
    }

    /// One result whose rows are tokens already.
    pub(crate) fn encoded<I>(columns: Vec<Column>, rows: I) -> Self
    where
        I: IntoIterator<Item = Encoded>,
        I::IntoIter: Send + 'static,
    {
        Self::default().with(Part::Columns(columns)).with(Part::Encoded(Box::new(rows.into_iter())))
    }

    /// One value.
    pub(crate) fn value(column: Column, value: impl Into<Value>) -> Self {
        Self::rows(vec![column], [vec![value.into()]])
    }

    /// No result, but success.
    pub(crate) fn affected(rows: u64) -> Self {
        Self::default().with(Part::Affected(rows))
    }

    /// An error at once.
    pub(crate) fn error(error: ServerError) -> Self {
        Self::default().then_message(error)
    }

    /// Then an error, which ends the answer, or information (class 10 and less), which does not.
    pub(crate) fn then_message(self, message: ServerError) -> Self {
        self.with(Part::Message(message))
    }

    /// Then a pause.
    pub(crate) fn then_wait(self, pause: Duration) -> Self {
        self.with(Part::Wait(pause))
    }

    /// Then another answer.
    pub(crate) fn then(mut self, answer: Self) -> Self {
        self.parts.extend(answer.parts);
        self
    }

    /// With the columns, from 1, by which the one result is ordered.
    pub(crate) fn ordered(mut self, columns: &[u16]) -> Self {
        self.parts.insert(1, Part::Order(columns.to_owned()));
        self
    }

    fn with(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }
}
