//! SQL Server's types and values, as plain as they can be written in a test.

use encoding_rs::{Encoding, SHIFT_JIS, UTF_8, WINDOWS_1251, WINDOWS_1252};

/// The room of a text or of binary data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// Characters or bytes.
    Of(u16),
    /// `(max)`: sent in chunks.
    Max,
}

/// The type of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SqlType {
    Bit,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Real,
    Float,
    /// Precision and scale.
    Decimal(u8, u8),
    /// Precision and scale.
    Numeric(u8, u8),
    Money,
    SmallMoney,
    Char(u16),
    VarChar(Length),
    NChar(u16),
    NVarChar(Length),
    Text,
    NText,
    Image,
    Binary(u16),
    VarBinary(Length),
    /// `rowversion`, also named `timestamp`.
    RowVersion,
    Date,
    /// With this many digits of a second.
    Time(u8),
    DateTime,
    SmallDateTime,
    /// With this many digits of a second.
    DateTime2(u8),
    /// With this many digits of a second.
    DateTimeOffset(u8),
    UniqueIdentifier,
    Xml,
    Variant,
    /// A CLR type of the schema `sys`, such as `hierarchyid`.
    Clr(&'static str),
}

/// A value. Its type is that of its column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bit(bool),
    /// Of any of the four sizes.
    Int(i64),
    Real(f32),
    Float(f64),
    /// All digits, the point left out: the column knows the scale.
    Decimal(i128),
    /// Ten-thousandths.
    Money(i64),
    Text(String),
    /// UTF-16 as it is, well-formed or not.
    Units(Vec<u16>),
    /// Binary data; in a `varchar`, bytes of its code page.
    Bytes(Vec<u8>),
    /// Days since 0001-01-01.
    Date(u32),
    /// 100 ns since midnight.
    Time(u64),
    /// Days since 0001-01-01, and 100 ns since midnight.
    DateTime2(u32, u64),
    /// The same in UTC, and the offset in minutes.
    DateTimeOffset(u32, u64, i16),
    /// Days since 1900-01-01, and 1/300 s since midnight.
    DateTime(i32, u32),
    /// Days since 1900-01-01, and minutes since midnight.
    SmallDateTime(u16, u16),
    /// In the order in which it is written as text.
    Guid([u8; 16]),
    /// In a `sql_variant`: the type inside, and its value.
    Variant(Box<(SqlType, Value)>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(bit: bool) -> Self {
        Self::Bit(bit)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_owned())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The code page of texts that are not UTF-16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collation {
    /// `SQL_Latin1_General_CP1_CI_AS`
    Latin1,
    /// `Cyrillic_General_CI_AS`
    Cyrillic,
    /// `Japanese_CI_AS`
    Japanese,
    /// `Latin1_General_100_CI_AS_SC_UTF8`
    Utf8,
}

impl Collation {
    /// As on the wire: locale, flags and version, then the sort order.
    pub(super) fn bytes(self) -> [u8; 5] {
        match self {
            Self::Latin1 => [0x09, 0x04, 0xD0, 0x00, 0x34],
            Self::Cyrillic => [0x19, 0x04, 0xD0, 0x00, 0x00],
            Self::Japanese => [0x11, 0x04, 0xD0, 0x00, 0x00],
            Self::Utf8 => [0x09, 0x04, 0xD0, 0x24, 0x00],
        }
    }

    pub(super) fn encoding(self) -> &'static Encoding {
        match self {
            Self::Latin1 => WINDOWS_1252,
            Self::Cyrillic => WINDOWS_1251,
            Self::Japanese => SHIFT_JIS,
            Self::Utf8 => UTF_8,
        }
    }
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: SqlType,
    pub(crate) nullable: bool,
    pub(crate) collation: Collation,
}

impl Column {
    /// A column that may hold NULL.
    pub(crate) fn new(name: &str, kind: SqlType) -> Self {
        Self { name: name.to_owned(), kind, nullable: true, collation: Collation::Latin1 }
    }

    /// A column that may not: the server then sends numbers without their length.
    pub(crate) fn required(name: &str, kind: SqlType) -> Self {
        Self { nullable: false, ..Self::new(name, kind) }
    }

    /// The column as it is sent. A text of a UTF-8 collation is sent as UTF-16 to a client that has not said, by the
    /// feature `UTF8_SUPPORT` of its login, that it knows those; none of ours does. (Seen on a live SQL Server by
    /// hugr-lab/mssql-extension, issue 224.)
    pub(super) fn as_sent(&self) -> Self {
        let kind = match (self.collation, &self.kind) {
            (Collation::Utf8, SqlType::Char(len)) => SqlType::NChar((*len).min(4000)),
            (Collation::Utf8, SqlType::VarChar(Length::Of(len))) if *len <= 4000 => SqlType::NVarChar(Length::Of(*len)),
            (Collation::Utf8, SqlType::VarChar(_)) => SqlType::NVarChar(Length::Max),
            (_, kind) => kind.clone(),
        };
        Self { kind, ..self.clone() }
    }

    /// The same with another code page.
    pub(crate) fn collated(self, collation: Collation) -> Self {
        Self { collation, ..self }
    }
}
