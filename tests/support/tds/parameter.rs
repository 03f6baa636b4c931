//! The parameters of a call: each brings its type along.

use super::bytes::{Cursor, Malformed, utf16};
use super::request::Parameter;
use super::row::guid_on_the_wire;
use super::value::{Length, SqlType, Value};

const MAX: u16 = 0xFFFF;
const SHORT_NULL: u16 = 0xFFFF;
const PLP_NULL: u64 = u64::MAX;

pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Parameter, Malformed> {
    let chars = usize::from(cursor.u8()?);
    let name = cursor.text(chars)?;
    // By reference, or the default: what the server does is the same.
    cursor.u8()?;
    let code = cursor.u8()?;
    let (kind, value) = match code {
        0x26 | 0x68 | 0x6D | 0x6E | 0x6F | 0x24 => short(cursor, code)?,
        0x6A | 0x6C => decimal(cursor, code)?,
        0x28..=0x2B => time(cursor, code)?,
        0xA5 | 0xA7 | 0xAD | 0xAF | 0xE7 | 0xEF => sized(cursor, code)?,
        0x23 | 0x63 | 0x22 => large(cursor, code)?,
        _ => return Err(Malformed("a parameter of a type that is not served")),
    };
    Ok(Parameter { name, kind, value })
}

/// Types whose length is one byte.
fn short(cursor: &mut Cursor<'_>, code: u8) -> Result<(SqlType, Value), Malformed> {
    let max = cursor.u8()?;
    let kind = match (code, max) {
        (0x26, 1) => SqlType::TinyInt,
        (0x26, 2) => SqlType::SmallInt,
        (0x26, 4) => SqlType::Int,
        (0x26, 8) => SqlType::BigInt,
        (0x68, 1) => SqlType::Bit,
        (0x6D, 4) => SqlType::Real,
        (0x6D, 8) => SqlType::Float,
        (0x6E, 4) => SqlType::SmallMoney,
        (0x6E, 8) => SqlType::Money,
        (0x6F, 4) => SqlType::SmallDateTime,
        (0x6F, 8) => SqlType::DateTime,
        (0x24, 16) => SqlType::UniqueIdentifier,
        _ => return Err(Malformed("a parameter of a length that its type does not have")),
    };
    let len = cursor.u8()?;
    if len != 0 && len != max {
        return Err(Malformed("a value of another length than its type's"));
    }
    let value = if len == 0 { Value::Null } else { short_value(&kind, cursor)? };
    Ok((kind, value))
}

fn short_value(kind: &SqlType, cursor: &mut Cursor<'_>) -> Result<Value, Malformed> {
    Ok(match kind {
        SqlType::TinyInt => Value::Int(i64::from(cursor.u8()?)),
        SqlType::SmallInt => Value::Int(i64::from(cursor.u16()? as i16)),
        SqlType::Int => Value::Int(i64::from(cursor.u32()? as i32)),
        SqlType::BigInt => Value::Int(cursor.u64()? as i64),
        SqlType::Bit => Value::Bit(cursor.u8()? != 0),
        SqlType::Real => Value::Real(f32::from_bits(cursor.u32()?)),
        SqlType::Float => Value::Float(f64::from_bits(cursor.u64()?)),
        SqlType::SmallMoney => Value::Money(i64::from(cursor.u32()? as i32)),
        SqlType::Money => {
            let (high, low) = (cursor.u32()?, cursor.u32()?);
            Value::Money(((u64::from(high) << 32) | u64::from(low)) as i64)
        }
        SqlType::SmallDateTime => Value::SmallDateTime(cursor.u16()?, cursor.u16()?),
        SqlType::DateTime => Value::DateTime(cursor.u32()? as i32, cursor.u32()?),
        _ => {
            let mut guid = [0; 16];
            guid.copy_from_slice(cursor.take(16)?);
            Value::Guid(guid_on_the_wire(guid))
        }
    })
}

fn decimal(cursor: &mut Cursor<'_>, code: u8) -> Result<(SqlType, Value), Malformed> {
    cursor.u8()?;
    let (precision, scale) = (cursor.u8()?, cursor.u8()?);
    let kind = if code == 0x6A { SqlType::Decimal(precision, scale) } else { SqlType::Numeric(precision, scale) };
    let len = usize::from(cursor.u8()?);
    if len == 0 {
        return Ok((kind, Value::Null));
    }
    let positive = cursor.u8()? != 0;
    if !(2..=17).contains(&len) {
        return Err(Malformed("a decimal of an impossible length"));
    }
    let magnitude = cursor.number(len - 1)? as i128;
    Ok((kind, Value::Decimal(if positive { magnitude } else { -magnitude })))
}

fn time(cursor: &mut Cursor<'_>, code: u8) -> Result<(SqlType, Value), Malformed> {
    let scale = if code == 0x28 { 0 } else { cursor.u8()? };
    let kind = match code {
        0x28 => SqlType::Date,
        0x29 => SqlType::Time(scale),
        0x2A => SqlType::DateTime2(scale),
        _ => SqlType::DateTimeOffset(scale),
    };
    let len = usize::from(cursor.u8()?);
    if len == 0 {
        return Ok((kind, Value::Null));
    }
    let after_time = [3, 0, 3, 5][usize::from(code - 0x28)];
    let time_len = len.checked_sub(after_time).filter(|len| *len <= 5).ok_or(Malformed("a time of an odd length"))?;
    let ticks = cursor.number(time_len)? as u64 * 10_u64.pow(7_u32.saturating_sub(u32::from(scale)));
    let value = match code {
        0x28 => Value::Date(cursor.number(3)? as u32),
        0x29 => Value::Time(ticks),
        0x2A => Value::DateTime2(cursor.number(3)? as u32, ticks),
        _ => Value::DateTimeOffset(cursor.number(3)? as u32, ticks, cursor.u16()? as i16),
    };
    Ok((kind, value))
}

/// Texts and binary data whose length is two bytes, or that come in chunks.
fn sized(cursor: &mut Cursor<'_>, code: u8) -> Result<(SqlType, Value), Malformed> {
    let max = cursor.u16()?;
    let is_text = !matches!(code, 0xA5 | 0xAD);
    if is_text {
        cursor.take(5)?;
    }
    let length = |unit: u16| if max == MAX { Length::Max } else { Length::Of(max / unit) };
    let kind = match code {
        0xA5 => SqlType::VarBinary(length(1)),
        0xA7 => SqlType::VarChar(length(1)),
        0xAD => SqlType::Binary(max),
        0xAF => SqlType::Char(max),
        0xE7 => SqlType::NVarChar(length(2)),
        _ => SqlType::NChar(max / 2),
    };
    let bytes = if max == MAX { chunks(cursor)? } else { short_bytes(cursor)? };
    let value = bytes.map_or(Value::Null, |bytes| match code {
        0xE7 | 0xEF => Value::Text(utf16(&bytes)),
        // Clients of these tests send such texts in ASCII only.
        0xA7 | 0xAF => Value::Text(String::from_utf8_lossy(&bytes).into_owned()),
        _ => Value::Bytes(bytes),
    });
    Ok((kind, value))
}

fn short_bytes(cursor: &mut Cursor<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    match cursor.u16()? {
        SHORT_NULL => Ok(None),
        len => Ok(Some(cursor.take(usize::from(len))?.to_owned())),
    }
}

fn chunks(cursor: &mut Cursor<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    if cursor.u64()? == PLP_NULL {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    loop {
        match cursor.u32()? {
            0 => return Ok(Some(bytes)),
            len => bytes.extend_from_slice(cursor.take(len as usize)?),
        }
    }
}

/// The old large types, in which some clients send the statement itself.
fn large(cursor: &mut Cursor<'_>, code: u8) -> Result<(SqlType, Value), Malformed> {
    cursor.u32()?;
    if code != 0x22 {
        cursor.take(5)?;
    }
    let kind = match code {
        0x23 => SqlType::Text,
        0x63 => SqlType::NText,
        _ => SqlType::Image,
    };
    let len = cursor.u32()?;
    if len == u32::MAX {
        return Ok((kind, Value::Null));
    }
    let bytes = cursor.take(len as usize)?;
    let value = match code {
        0x23 => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        0x63 => Value::Text(utf16(bytes)),
        _ => Value::Bytes(bytes.to_owned()),
    };
    Ok((kind, value))
}
