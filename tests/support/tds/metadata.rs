//! COLMETADATA: the columns of a result.

use bytes::{BufMut, BytesMut};

use super::bytes::Put;
use super::value::{Collation, Column, Length, SqlType};

const COLMETADATA: u8 = 0x81;

/// The user type by which a `rowversion` is told from other `binary(8)`.
const ROW_VERSION: u32 = 80;

const NULLABLE: u16 = 1;
/// Whether the column can be written is not said.
const UPDATEABLE_UNKNOWN: u16 = 8;

/// The length of a value that is sent in chunks.
const MAX: u16 = 0xFFFF;

/// Bytes of a text with its pointer, at most.
const LARGE: u32 = 0x7FFF_FFFF;

/// Writes the token.
pub(super) fn put(out: &mut BytesMut, columns: &[Column]) {
    out.put_u8(COLMETADATA);
    out.put_u16_le(columns.len() as u16);
    for column in columns {
        out.put_u32_le(if column.kind == SqlType::RowVersion { ROW_VERSION } else { 0 });
        out.put_u16_le(UPDATEABLE_UNKNOWN | if column.nullable { NULLABLE } else { 0 });
        put_type(out, column);
        if matches!(column.kind, SqlType::Text | SqlType::NText | SqlType::Image) {
            // The name of its table, in parts.
            out.put_u8(1);
            out.put_us_varchar("t");
        }
        out.put_b_varchar(&column.name);
    }
}

fn put_type(out: &mut BytesMut, column: &Column) {
    match &column.kind {
        kind if !column.nullable && fixed(kind).is_some() => out.put_u8(fixed(kind).unwrap_or_default()),
        SqlType::Bit => out.put_slice(&[0x68, 1]),
        SqlType::TinyInt => out.put_slice(&[0x26, 1]),
        SqlType::SmallInt => out.put_slice(&[0x26, 2]),
        SqlType::Int => out.put_slice(&[0x26, 4]),
        SqlType::BigInt => out.put_slice(&[0x26, 8]),
        SqlType::Real => out.put_slice(&[0x6D, 4]),
        SqlType::Float => out.put_slice(&[0x6D, 8]),
        SqlType::Decimal(precision, scale) => {
            out.put_slice(&[0x6A, decimal_len(*precision) as u8 + 1, *precision, *scale]);
        }
        SqlType::Numeric(precision, scale) => {
            out.put_slice(&[0x6C, decimal_len(*precision) as u8 + 1, *precision, *scale]);
        }
        SqlType::Money => out.put_slice(&[0x6E, 8]),
        SqlType::SmallMoney => out.put_slice(&[0x6E, 4]),
        SqlType::DateTime => out.put_slice(&[0x6F, 8]),
        SqlType::SmallDateTime => out.put_slice(&[0x6F, 4]),
        SqlType::Date => out.put_u8(0x28),
        SqlType::Time(scale) => out.put_slice(&[0x29, *scale]),
        SqlType::DateTime2(scale) => out.put_slice(&[0x2A, *scale]),
        SqlType::DateTimeOffset(scale) => out.put_slice(&[0x2B, *scale]),
        SqlType::UniqueIdentifier => out.put_slice(&[0x24, 16]),
        SqlType::Char(chars) => put_text(out, 0xAF, *chars, column.collation),
        SqlType::VarChar(length) => put_text(out, 0xA7, bytes(*length, 1), column.collation),
        SqlType::NChar(chars) => put_text(out, 0xEF, *chars * 2, column.collation),
        SqlType::NVarChar(length) => put_text(out, 0xE7, bytes(*length, 2), column.collation),
        SqlType::Binary(len) => put_sized(out, 0xAD, *len),
        SqlType::VarBinary(length) => put_sized(out, 0xA5, bytes(*length, 1)),
        SqlType::RowVersion => put_sized(out, 0xAD, 8),
        SqlType::Text => put_large(out, 0x23, Some(column.collation)),
        SqlType::NText => put_large(out, 0x63, Some(column.collation)),
        SqlType::Image => put_large(out, 0x22, None),
        // No schema.
        SqlType::Xml => out.put_slice(&[0xF1, 0]),
        SqlType::Variant => {
            out.put_u8(0x62);
            out.put_u32_le(8009);
        }
        SqlType::Clr(name) => put_clr(out, name),
    }
}

/// The code of a type whose values come without their length, in a column that cannot be NULL.
pub(super) fn fixed(kind: &SqlType) -> Option<u8> {
    Some(match kind {
        SqlType::TinyInt => 0x30,
        SqlType::Bit => 0x32,
        SqlType::SmallInt => 0x34,
        SqlType::Int => 0x38,
        SqlType::SmallDateTime => 0x3A,
        SqlType::Real => 0x3B,
        SqlType::Money => 0x3C,
        SqlType::DateTime => 0x3D,
        SqlType::Float => 0x3E,
        SqlType::SmallMoney => 0x7A,
        SqlType::BigInt => 0x7F,
        _ => return None,
    })
}

/// Bytes of the digits of a decimal, without its sign.
pub(super) fn decimal_len(precision: u8) -> usize {
    match precision {
        0..=9 => 4,
        10..=19 => 8,
        20..=28 => 12,
        _ => 16,
    }
}

fn bytes(length: Length, of_a_character: u16) -> u16 {
    match length {
        Length::Of(characters) => characters * of_a_character,
        Length::Max => MAX,
    }
}

fn put_sized(out: &mut BytesMut, code: u8, bytes: u16) {
    out.put_u8(code);
    out.put_u16_le(bytes);
}

fn put_text(out: &mut BytesMut, code: u8, bytes: u16, collation: Collation) {
    put_sized(out, code, bytes);
    out.put_slice(&collation.bytes());
}

fn put_large(out: &mut BytesMut, code: u8, collation: Option<Collation>) {
    out.put_u8(code);
    out.put_u32_le(LARGE);
    if let Some(collation) = collation {
        out.put_slice(&collation.bytes());
    }
}

fn put_clr(out: &mut BytesMut, name: &str) {
    put_sized(out, 0xF0, MAX);
    ["master", "sys", name].into_iter().for_each(|part| out.put_b_varchar(part));
    out.put_us_varchar(&format!("Microsoft.SqlServer.Types.{name}, Microsoft.SqlServer.Types, Version=11.0.0.0"));
}
