//! ROW and NBCROW: the values of a result.

use bytes::{BufMut, BytesMut};

use super::metadata::{decimal_len, fixed};
use super::value::{Collation, Column, Length, SqlType, Value};

const ROW: u8 = 0xD1;
const NBC_ROW: u8 = 0xD2;

const PLP_NULL: u64 = u64::MAX;
const PLP_UNKNOWN: u64 = u64::MAX - 1;
const SHORT_NULL: u16 = u16::MAX;

/// How rows are written where the protocol leaves a choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowStyle {
    /// Rows that have a NULL come with a bitmap of the NULLs (NBCROW).
    pub(crate) null_bitmap: bool,
    /// Values of `(max)` types say their length first.
    pub(crate) known_length: bool,
    /// Bytes of a chunk of such values.
    pub(crate) chunk: usize,
}

impl Default for RowStyle {
    fn default() -> Self {
        Self { null_bitmap: true, known_length: true, chunk: 8000 }
    }
}

/// A value that its column cannot hold: a mistake in a test.
#[derive(Clone, Debug)]
pub(super) struct Misfit(pub(super) String);

/// Writes a row, or nothing.
pub(super) fn put(out: &mut BytesMut, columns: &[Column], row: &[Value], style: RowStyle) -> Result<(), Misfit> {
    let begin = out.len();
    let written = put_values(out, columns, row, style);
    if written.is_err() {
        out.truncate(begin);
    }
    written
}

fn put_values(out: &mut BytesMut, columns: &[Column], row: &[Value], style: RowStyle) -> Result<(), Misfit> {
    if columns.len() != row.len() {
        return Err(Misfit(format!("{} columns, but a row of {}", columns.len(), row.len())));
    }
    let bitmap = style.null_bitmap && row.contains(&Value::Null);
    out.put_u8(if bitmap { NBC_ROW } else { ROW });
    if bitmap {
        put_bitmap(out, row);
    }
    for (column, value) in columns.iter().zip(row) {
        match value {
            Value::Null if !column.nullable => return Err(Misfit(format!("{} is NULL", column.name))),
            Value::Null if bitmap => {}
            Value::Null => put_null(out, &column.kind),
            value => put_value(out, column, value, style)?,
        }
    }
    Ok(())
}

fn put_bitmap(out: &mut BytesMut, row: &[Value]) {
    for values in row.chunks(8) {
        let bits = values.iter().enumerate().map(|(bit, value)| u8::from(*value == Value::Null) << bit);
        out.put_u8(bits.sum());
    }
}

fn put_null(out: &mut BytesMut, kind: &SqlType) {
    match layout(kind) {
        Layout::Byte | Layout::Pointer => out.put_u8(0),
        Layout::Short => out.put_u16_le(SHORT_NULL),
        Layout::Chunks => out.put_u64_le(PLP_NULL),
        Layout::Long => out.put_u32_le(0),
    }
}

/// How a value says its length.
enum Layout {
    Byte,
    Short,
    Long,
    Chunks,
    /// The old large types: behind a pointer and a timestamp.
    Pointer,
}

fn layout(kind: &SqlType) -> Layout {
    match kind {
        SqlType::Char(_) | SqlType::NChar(_) | SqlType::Binary(_) | SqlType::RowVersion => Layout::Short,
        SqlType::VarChar(Length::Of(_)) | SqlType::NVarChar(Length::Of(_)) | SqlType::VarBinary(Length::Of(_)) => {
            Layout::Short
        }
        SqlType::VarChar(Length::Max) | SqlType::NVarChar(Length::Max) | SqlType::VarBinary(Length::Max) => {
            Layout::Chunks
        }
        SqlType::Xml | SqlType::Clr(_) => Layout::Chunks,
        SqlType::Text | SqlType::NText | SqlType::Image => Layout::Pointer,
        SqlType::Variant => Layout::Long,
        _ => Layout::Byte,
    }
}

fn put_value(out: &mut BytesMut, column: &Column, value: &Value, style: RowStyle) -> Result<(), Misfit> {
    let kind = &column.kind;
    if let (SqlType::Variant, Value::Variant(inner)) = (kind, value) {
        return put_variant(out, column, &inner.0, &inner.1);
    }
    let body = body(kind, column.collation, value)
        .ok_or_else(|| Misfit(format!("{} is a {kind:?}, which cannot hold {value:?}", column.name)))?;
    match layout(kind) {
        Layout::Byte if !column.nullable && fixed(kind).is_some() => {}
        Layout::Byte => out.put_u8(body.len() as u8),
        Layout::Short => out.put_u16_le(body.len() as u16),
        Layout::Long => out.put_u32_le(body.len() as u32),
        Layout::Chunks => {
            put_chunks(out, &body, style);
            return Ok(());
        }
        Layout::Pointer => {
            out.put_u8(16);
            out.put_bytes(0xFE, 16);
            out.put_bytes(0, 8);
            out.put_u32_le(body.len() as u32);
        }
    }
    out.put_slice(&body);
    Ok(())
}

fn put_chunks(out: &mut BytesMut, body: &[u8], style: RowStyle) {
    out.put_u64_le(if style.known_length { body.len() as u64 } else { PLP_UNKNOWN });
    for chunk in body.chunks(style.chunk.max(1)) {
        out.put_u32_le(chunk.len() as u32);
        out.put_slice(chunk);
    }
    out.put_u32_le(0);
}

/// The bytes of a value without its length.
fn body(kind: &SqlType, collation: Collation, value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match (kind, value) {
        (SqlType::Bit, Value::Bit(bit)) => out.put_u8(u8::from(*bit)),
        (SqlType::TinyInt, Value::Int(number)) => out.put_u8(u8::try_from(*number).ok()?),
        (SqlType::SmallInt, Value::Int(number)) => out.put_i16_le(i16::try_from(*number).ok()?),
        (SqlType::Int, Value::Int(number)) => out.put_i32_le(i32::try_from(*number).ok()?),
        (SqlType::BigInt, Value::Int(number)) => out.put_i64_le(*number),
        (SqlType::Real, Value::Real(number)) => out.put_f32_le(*number),
        (SqlType::Float, Value::Float(number)) => out.put_f64_le(*number),
        (SqlType::Decimal(precision, _) | SqlType::Numeric(precision, _), Value::Decimal(digits)) => {
            put_decimal(&mut out, *precision, *digits)?;
        }
        (SqlType::Money, Value::Money(number)) => {
            // The high half first.
            out.put_i32_le((number >> 32) as i32);
            out.put_u32_le(*number as u32);
        }
        (SqlType::SmallMoney, Value::Money(number)) => out.put_i32_le(i32::try_from(*number).ok()?),
        (SqlType::Date, Value::Date(days)) => out.put_uint_le(u64::from(*days), 3),
        (SqlType::Time(scale), Value::Time(ticks)) => put_time(&mut out, *scale, *ticks),
        (SqlType::DateTime2(scale), Value::DateTime2(days, ticks)) => {
            put_time(&mut out, *scale, *ticks);
            out.put_uint_le(u64::from(*days), 3);
        }
        (SqlType::DateTimeOffset(scale), Value::DateTimeOffset(days, ticks, offset)) => {
            put_time(&mut out, *scale, *ticks);
            out.put_uint_le(u64::from(*days), 3);
            out.put_i16_le(*offset);
        }
        (SqlType::DateTime, Value::DateTime(days, ticks)) => {
            out.put_i32_le(*days);
            out.put_u32_le(*ticks);
        }
        (SqlType::SmallDateTime, Value::SmallDateTime(days, minutes)) => {
            out.put_u16_le(*days);
            out.put_u16_le(*minutes);
        }
        (SqlType::UniqueIdentifier, Value::Guid(guid)) => out.put_slice(&guid_on_the_wire(*guid)),
        (_, Value::Text(text)) => return text_body(kind, collation, text),
        (SqlType::NChar(_) | SqlType::NVarChar(_) | SqlType::NText | SqlType::Xml, Value::Units(units)) => {
            units.iter().for_each(|unit| out.put_u16_le(*unit));
        }
        (_, Value::Bytes(bytes)) => return bytes_body(kind, bytes),
        _ => return None,
    }
    Some(out)
}

fn put_decimal(out: &mut Vec<u8>, precision: u8, digits: i128) -> Option<()> {
    let (len, magnitude) = (decimal_len(precision), digits.unsigned_abs());
    if magnitude >= 10_u128.pow(u32::from(precision)) {
        return None;
    }
    out.put_u8(u8::from(digits >= 0));
    out.put_slice(&magnitude.to_le_bytes()[..len]);
    Some(())
}

fn put_time(out: &mut Vec<u8>, scale: u8, ticks: u64) {
    let len = match scale {
        0..=2 => 3,
        3..=4 => 4,
        _ => 5,
    };
    out.put_uint_le(ticks / 10_u64.pow(7 - u32::from(scale)), len);
}

/// The first three groups have their low byte first.
pub(super) fn guid_on_the_wire(guid: [u8; 16]) -> [u8; 16] {
    let mut wire = guid;
    wire[..4].reverse();
    wire[4..6].reverse();
    wire[6..8].reverse();
    wire
}

fn text_body(kind: &SqlType, collation: Collation, text: &str) -> Option<Vec<u8>> {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let narrow = |text: &str| collation.encoding().encode(text).0.into_owned();
    match kind {
        SqlType::Char(chars) => Some(padded(narrow(text), usize::from(*chars), b" ")),
        SqlType::NChar(chars) => Some(padded(wide(text), usize::from(*chars) * 2, b" \0")),
        SqlType::VarChar(_) | SqlType::Text => Some(narrow(text)),
        SqlType::NVarChar(_) | SqlType::NText | SqlType::Xml => Some(wide(text)),
        _ => None,
    }
}

fn bytes_body(kind: &SqlType, bytes: &[u8]) -> Option<Vec<u8>> {
    match kind {
        SqlType::Binary(len) => Some(padded(bytes.to_owned(), usize::from(*len), &[0])),
        SqlType::RowVersion => Some(padded(bytes.to_owned(), 8, &[0])),
        SqlType::VarBinary(_) | SqlType::Image | SqlType::Clr(_) => Some(bytes.to_owned()),
        SqlType::VarChar(_) | SqlType::Char(_) | SqlType::Text => Some(bytes.to_owned()),
        _ => None,
    }
}

fn padded(mut bytes: Vec<u8>, len: usize, with: &[u8]) -> Vec<u8> {
    while bytes.len() < len {
        bytes.extend_from_slice(with);
    }
    bytes
}

/// A `sql_variant`: its length, the type inside with its properties, the value.
fn put_variant(out: &mut BytesMut, column: &Column, kind: &SqlType, value: &Value) -> Result<(), Misfit> {
    let misfit = || Misfit(format!("{}: a sql_variant cannot hold a {kind:?} of {value:?}", column.name));
    let body = body(kind, column.collation, value).ok_or_else(misfit)?;
    let mut head = Vec::new();
    match kind {
        SqlType::Decimal(precision, scale) => head.put_slice(&[0x6A, 2, *precision, *scale]),
        SqlType::Numeric(precision, scale) => head.put_slice(&[0x6C, 2, *precision, *scale]),
        SqlType::Time(scale) => head.put_slice(&[0x29, 1, *scale]),
        SqlType::DateTime2(scale) => head.put_slice(&[0x2A, 1, *scale]),
        SqlType::DateTimeOffset(scale) => head.put_slice(&[0x2B, 1, *scale]),
        SqlType::Date => head.put_slice(&[0x28, 0]),
        SqlType::UniqueIdentifier => head.put_slice(&[0x24, 0]),
        SqlType::Char(_) => put_text_head(&mut head, 0xAF, column.collation, body.len()),
        SqlType::VarChar(_) => put_text_head(&mut head, 0xA7, column.collation, body.len()),
        SqlType::NChar(_) => put_text_head(&mut head, 0xEF, column.collation, body.len()),
        SqlType::NVarChar(_) => put_text_head(&mut head, 0xE7, column.collation, body.len()),
        SqlType::Binary(_) | SqlType::VarBinary(_) => {
            head.put_slice(&[if matches!(kind, SqlType::Binary(_)) { 0xAD } else { 0xA5 }, 2]);
            head.put_u16_le(body.len() as u16);
        }
        kind => head.put_slice(&[fixed(kind).ok_or_else(misfit)?, 0]),
    }
    out.put_u32_le((head.len() + body.len()) as u32);
    out.put_slice(&head);
    out.put_slice(&body);
    Ok(())
}

fn put_text_head(head: &mut Vec<u8>, code: u8, collation: Collation, len: usize) {
    head.put_slice(&[code, 7]);
    head.put_slice(&collation.bytes());
    head.put_u16_le(len as u16);
}

/// Only for tests of the shapes themselves.
#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(columns: &[Column], row: &[Value], style: RowStyle) -> Vec<u8> {
        let mut out = BytesMut::new();
        put(&mut out, columns, row, style).unwrap();
        out.to_vec()
    }

    #[test]
    fn a_bitmap_has_its_first_column_in_the_lowest_bit() {
        let columns: Vec<_> = (0..9).map(|nth| Column::new(&format!("c{nth}"), SqlType::TinyInt)).collect();
        let mut row = vec![Value::Int(7); 9];
        (row[1], row[8]) = (Value::Null, Value::Null);
        let bytes = encoded(&columns, &row, RowStyle::default());
        assert_eq!(bytes[..3], [NBC_ROW, 0b10, 0b1]);
        assert_eq!(bytes.len(), 3 + 7 * 2);
    }

    #[test]
    fn money_has_its_high_half_first() {
        let bytes = encoded(&[Column::required("m", SqlType::Money)], &[Value::Money(1)], RowStyle::default());
        assert_eq!(bytes, [ROW, 0, 0, 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn a_value_that_does_not_fit_is_named() {
        let (column, mut out) = (Column::new("small", SqlType::TinyInt), BytesMut::new());
        let misfit = put(&mut out, &[column], &[Value::Int(256)], RowStyle::default()).unwrap_err();
        assert_eq!(misfit.0, "small is a TinyInt, which cannot hold Int(256)");
        assert!(out.is_empty());
    }
}
