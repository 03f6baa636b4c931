//! The values of a row of the catalog, by their place.

use chrono::{DateTime, NaiveDateTime, Utc};
use tiberius::{ColumnData, Row};

use super::{fault, times};
use crate::error::Result;
use crate::position::Lsn;

/// A row, and what was being done when it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells<'r> {
    row: &'r Row,
    doing: &'r str,
}

impl<'r> Cells<'r> {
    pub(super) fn new(row: &'r Row, doing: &'r str) -> Self {
        Self { row, doing }
    }

    /// A text; `None` for NULL.
    pub(super) fn text(&self, index: usize) -> Result<Option<&'r str>> {
        self.row.try_get(index).map_err(|error| fault::of(error, self.doing))
    }

    /// A text that is never NULL.
    pub(super) fn name(&self, index: usize) -> Result<&'r str> {
        self.text(index)?.ok_or_else(|| fault::answer("name", self.doing))
    }

    /// A whole number of whatever width; `None` for NULL.
    pub(super) fn number(&self, index: usize) -> Result<Option<i64>> {
        let number = match self.value(index)? {
            ColumnData::U8(value) => value.map(i64::from),
            ColumnData::I16(value) => value.map(i64::from),
            ColumnData::I32(value) => value.map(i64::from),
            ColumnData::I64(value) => *value,
            _ => return Err(fault::answer("number", self.doing)),
        };
        Ok(number)
    }

    /// A whole number that is never NULL and fits into `T`.
    pub(super) fn id<T: TryFrom<i64>>(&self, index: usize) -> Result<T> {
        let number = self.number(index)?.and_then(|number| number.try_into().ok());
        number.ok_or_else(|| fault::answer("number", self.doing))
    }

    /// A bit; NULL is false.
    pub(super) fn flag(&self, index: usize) -> Result<bool> {
        let flag: Option<bool> = self.row.try_get(index).map_err(|error| fault::of(error, self.doing))?;
        Ok(flag.unwrap_or(false))
    }

    /// A log sequence number; `None` for NULL.
    pub(super) fn lsn(&self, index: usize) -> Result<Option<Lsn>> {
        match self.value(index)? {
            ColumnData::Binary(None) => Ok(None),
            ColumnData::Binary(Some(bytes)) => {
                Lsn::from_slice(bytes).map(Some).ok_or_else(|| fault::answer("LSN", self.doing))
            }
            _ => Err(fault::answer("LSN", self.doing)),
        }
    }

    /// A `datetime2` as microseconds since 1970-01-01; `None` for NULL.
    pub(super) fn micros(&self, index: usize) -> Result<Option<i64>> {
        match self.value(index)? {
            ColumnData::DateTime2(None) => Ok(None),
            ColumnData::DateTime2(Some(at)) => {
                times::datetime2(*at).map(Some).ok_or_else(|| fault::answer("time", self.doing))
            }
            _ => Err(fault::answer("time", self.doing)),
        }
    }

    /// A `datetime2` that is never NULL, of no zone.
    pub(super) fn local(&self, index: usize) -> Result<NaiveDateTime> {
        self.micros(index)?.and_then(times::naive).ok_or_else(|| fault::answer("time", self.doing))
    }

    /// A `datetime2` that is never NULL, of UTC.
    pub(super) fn utc(&self, index: usize) -> Result<DateTime<Utc>> {
        self.local(index).map(|time| time.and_utc())
    }

    fn value(&self, index: usize) -> Result<&'r ColumnData<'static>> {
        self.row.get_column_data(index).map_err(|error| fault::of(error, self.doing))
    }
}
