//! SQL types and values, and how both look on the wire.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::tokens::put_b_varchar;

/// SQL_Latin1_General_CP1_CI_AS: single-byte text is windows-1252.
pub(crate) const COLLATION: [u8; 5] = [0x09, 0x04, 0xD0, 0x00, 0x34];
const MAX: u16 = 0xFFFF;

/// A declared column type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlType {
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Bit,
    Float,
    Real,
    Money,
    SmallMoney,
    Decimal {
        precision: u8,
        scale: u8,
    },
    DateTime,
    SmallDateTime,
    /// With the number of fractional digits.
    DateTime2(u8),
    Date,
    /// Lengths are bytes for char and varchar, UTF-16 units for nchar and nvarchar.
    VarChar(u16),
    NVarChar(u16),
    Char(u16),
    NChar(u16),
    VarCharMax,
    NVarCharMax,
    UniqueIdentifier,
}

/// One value. Which variants a column takes follows from its type; see `convert::store`.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    Null,
    Int(i64),
    Bit(bool),
    /// Decimals and money, exact: `mantissa / 10^scale`.
    Decimal {
        mantissa: i128,
        scale: u8,
    },
    Float(f64),
    Date(NaiveDate),
    DateTime(NaiveDateTime),
    Text(String),
    /// In the order it is written, most significant byte first.
    Uuid([u8; 16]),
}

impl From<&str> for SqlValue {
    fn from(text: &str) -> Self {
        SqlValue::Text(text.to_owned())
    }
}

impl From<i64> for SqlValue {
    fn from(value: i64) -> Self {
        SqlValue::Int(value)
    }
}

impl<T: Into<SqlValue>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(SqlValue::Null, Into::into)
    }
}

impl SqlValue {
    pub fn is_null(&self) -> bool {
        matches!(self, SqlValue::Null)
    }
}

impl SqlType {
    /// The name as in `INFORMATION_SCHEMA.COLUMNS.DATA_TYPE`.
    pub fn name(self) -> &'static str {
        match self {
            SqlType::TinyInt => "tinyint",
            SqlType::SmallInt => "smallint",
            SqlType::Int => "int",
            SqlType::BigInt => "bigint",
            SqlType::Bit => "bit",
            SqlType::Float => "float",
            SqlType::Real => "real",
            SqlType::Money => "money",
            SqlType::SmallMoney => "smallmoney",
            SqlType::Decimal { .. } => "decimal",
            SqlType::DateTime => "datetime",
            SqlType::SmallDateTime => "smalldatetime",
            SqlType::DateTime2(_) => "datetime2",
            SqlType::Date => "date",
            SqlType::VarChar(_) | SqlType::VarCharMax => "varchar",
            SqlType::NVarChar(_) | SqlType::NVarCharMax => "nvarchar",
            SqlType::Char(_) => "char",
            SqlType::NChar(_) => "nchar",
            SqlType::UniqueIdentifier => "uniqueidentifier",
        }
    }

    pub(crate) fn is_text(self) -> bool {
        use SqlType::*;
        matches!(self, VarChar(_) | NVarChar(_) | Char(_) | NChar(_) | VarCharMax | NVarCharMax)
    }

    pub(crate) fn is_unicode(self) -> bool {
        matches!(self, SqlType::NVarChar(_) | SqlType::NChar(_) | SqlType::NVarCharMax)
    }

    /// The declared length of a text type; none for the max types and for everything that is not text.
    pub(crate) fn length(self) -> Option<u16> {
        match self {
            SqlType::VarChar(n) | SqlType::NVarChar(n) | SqlType::Char(n) | SqlType::NChar(n) => Some(n),
            _ => None,
        }
    }

    /// The type byte of the form without a length byte, which a server uses for columns that cannot be NULL.
    fn fixed_token(self) -> Option<u8> {
        Some(match self {
            SqlType::TinyInt => 0x30,
            SqlType::SmallInt => 0x34,
            SqlType::Int => 0x38,
            SqlType::BigInt => 0x7F,
            SqlType::Bit => 0x32,
            SqlType::Float => 0x3E,
            SqlType::Real => 0x3B,
            SqlType::Money => 0x3C,
            SqlType::SmallMoney => 0x7A,
            SqlType::DateTime => 0x3D,
            SqlType::SmallDateTime => 0x3A,
            _ => return None,
        })
    }

    fn put_type_info(self, out: &mut Vec<u8>) {
        match self {
            SqlType::TinyInt => out.extend([0x26, 1]),
            SqlType::SmallInt => out.extend([0x26, 2]),
            SqlType::Int => out.extend([0x26, 4]),
            SqlType::BigInt => out.extend([0x26, 8]),
            SqlType::Bit => out.extend([0x68, 1]),
            SqlType::Float => out.extend([0x6D, 8]),
            SqlType::Real => out.extend([0x6D, 4]),
            SqlType::Money => out.extend([0x6E, 8]),
            SqlType::SmallMoney => out.extend([0x6E, 4]),
            SqlType::Decimal { precision, scale } => out.extend([0x6A, decimal_width(precision), precision, scale]),
            SqlType::DateTime => out.extend([0x6F, 8]),
            SqlType::SmallDateTime => out.extend([0x6F, 4]),
            SqlType::DateTime2(scale) => out.extend([0x2A, scale]),
            SqlType::Date => out.push(0x28),
            SqlType::VarChar(n) => put_text_info(out, 0xA7, n),
            SqlType::NVarChar(n) => put_text_info(out, 0xE7, n * 2),
            SqlType::Char(n) => put_text_info(out, 0xAF, n),
            SqlType::NChar(n) => put_text_info(out, 0xEF, n * 2),
            SqlType::VarCharMax => put_text_info(out, 0xA7, MAX),
            SqlType::NVarCharMax => put_text_info(out, 0xE7, MAX),
            SqlType::UniqueIdentifier => out.extend([0x24, 16]),
        }
    }
}

fn put_text_info(out: &mut Vec<u8>, token: u8, bytes: u16) {
    out.push(token);
    out.extend(bytes.to_le_bytes());
    out.extend(COLLATION);
}

/// Bytes of a decimal on the wire, sign byte included.
fn decimal_width(precision: u8) -> u8 {
    match precision {
        0..=9 => 5,
        10..=19 => 9,
        20..=28 => 13,
        _ => 17,
    }
}

/// Bytes of the time part of a datetime2.
fn time_width(scale: u8) -> usize {
    match scale {
        0..=2 => 3,
        3..=4 => 4,
        _ => 5,
    }
}

/// A column of a result: how it is announced and how its values are written.
#[derive(Clone, Debug)]
pub(crate) struct ResultColumn {
    pub name: String,
    pub sql_type: SqlType,
    pub nullable: bool,
}

impl ResultColumn {
    fn is_fixed(&self) -> bool {
        !self.nullable && self.sql_type.fixed_token().is_some()
    }

    pub(crate) fn put_metadata(&self, out: &mut Vec<u8>) {
        out.extend(0u32.to_le_bytes());
        out.extend(u16::from(self.nullable).to_le_bytes());
        match self.sql_type.fixed_token() {
            Some(token) if !self.nullable => out.push(token),
            _ => self.sql_type.put_type_info(out),
        }
        put_b_varchar(out, &self.name);
    }

    pub(crate) fn put_null(&self, out: &mut Vec<u8>) {
        match self.sql_type {
            SqlType::VarCharMax | SqlType::NVarCharMax => out.extend(u64::MAX.to_le_bytes()),
            t if t.is_text() => out.extend(MAX.to_le_bytes()),
            _ => out.push(0),
        }
    }

    /// Writes a value that is not NULL and already has the column's own form. False when it does not fit the type,
    /// which `convert` rules out; nothing usable is in `out` then.
    pub(crate) fn put_value(&self, out: &mut Vec<u8>, value: &SqlValue) -> bool {
        let prefix = !self.is_fixed();
        let mut sized = |bytes: &[u8]| {
            if prefix {
                out.push(bytes.len() as u8);
            }
            out.extend_from_slice(bytes);
        };
        match (self.sql_type, value) {
            (SqlType::TinyInt, SqlValue::Int(v)) => sized(&(*v as u8).to_le_bytes()),
            (SqlType::SmallInt, SqlValue::Int(v)) => sized(&(*v as i16).to_le_bytes()),
            (SqlType::Int, SqlValue::Int(v)) => sized(&(*v as i32).to_le_bytes()),
            (SqlType::BigInt, SqlValue::Int(v)) => sized(&v.to_le_bytes()),
            (SqlType::Bit, SqlValue::Bit(v)) => sized(&[u8::from(*v)]),
            (SqlType::Float, SqlValue::Float(v)) => sized(&v.to_le_bytes()),
            (SqlType::Real, SqlValue::Float(v)) => sized(&(*v as f32).to_le_bytes()),
            (SqlType::Money, SqlValue::Decimal { mantissa, .. }) => {
                // The high half comes first.
                let v = *mantissa as i64;
                let mut bytes = [0; 8];
                bytes[..4].copy_from_slice(&((v >> 32) as i32).to_le_bytes());
                bytes[4..].copy_from_slice(&(v as u32).to_le_bytes());
                sized(&bytes)
            }
            (SqlType::SmallMoney, SqlValue::Decimal { mantissa, .. }) => sized(&(*mantissa as i32).to_le_bytes()),
            (SqlType::Decimal { precision, .. }, SqlValue::Decimal { mantissa, .. }) => {
                let mut bytes = [0; 17];
                bytes[0] = u8::from(*mantissa >= 0);
                bytes[1..].copy_from_slice(&mantissa.unsigned_abs().to_le_bytes());
                sized(&bytes[..decimal_width(precision) as usize])
            }
            (SqlType::DateTime, SqlValue::DateTime(v)) => {
                let mut bytes = [0; 8];
                bytes[..4].copy_from_slice(&((days_from_year_one(v.date()) - DAYS_1900) as i32).to_le_bytes());
                bytes[4..].copy_from_slice(&(ticks(v.time()) as u32).to_le_bytes());
                sized(&bytes)
            }
            (SqlType::SmallDateTime, SqlValue::DateTime(v)) => {
                let days = (days_from_year_one(v.date()) - DAYS_1900) as u16;
                let minutes = (v.time().num_seconds_from_midnight() / 60) as u16;
                let mut bytes = [0; 4];
                bytes[..2].copy_from_slice(&days.to_le_bytes());
                bytes[2..].copy_from_slice(&minutes.to_le_bytes());
                sized(&bytes)
            }
            (SqlType::DateTime2(scale), SqlValue::DateTime(v)) => {
                let width = time_width(scale);
                let time = nanos(v.time()) / 10u64.pow(9 - u32::from(scale));
                let mut bytes = [0; 8];
                bytes[..width].copy_from_slice(&time.to_le_bytes()[..width]);
                bytes[width..width + 3].copy_from_slice(&days_from_year_one(v.date()).to_le_bytes()[..3]);
                sized(&bytes[..width + 3])
            }
            (SqlType::Date, SqlValue::Date(v)) => sized(&days_from_year_one(*v).to_le_bytes()[..3]),
            (SqlType::UniqueIdentifier, SqlValue::Uuid(v)) => sized(&swap_uuid(*v)),
            (t, SqlValue::Text(v)) if t.is_text() => put_text(out, t, v),
            _ => return false,
        }
        true
    }
}

/// The first three groups of a uniqueidentifier travel little-endian.
pub(crate) fn swap_uuid(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[0..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

fn put_text(out: &mut Vec<u8>, sql_type: SqlType, text: &str) {
    if sql_type.length().is_some() {
        let at = out.len();
        out.extend([0, 0]);
        put_characters(out, sql_type, text);
        let length = (out.len() - at - 2) as u16;
        out[at..at + 2].copy_from_slice(&length.to_le_bytes());
    } else {
        let mut bytes = Vec::with_capacity(text.len() * 2);
        put_characters(&mut bytes, sql_type, text);
        out.extend((bytes.len() as u64).to_le_bytes());
        for chunk in bytes.chunks(8000) {
            out.extend((chunk.len() as u32).to_le_bytes());
            out.extend_from_slice(chunk);
        }
        out.extend(0u32.to_le_bytes());
    }
}

fn put_characters(out: &mut Vec<u8>, sql_type: SqlType, text: &str) {
    if sql_type.is_unicode() {
        text.encode_utf16().for_each(|unit| out.extend(unit.to_le_bytes()));
    } else if text.is_ascii() {
        out.extend_from_slice(text.as_bytes());
    } else {
        // Storing has already replaced what windows-1252 lacks.
        out.extend_from_slice(&encoding_rs::WINDOWS_1252.encode(text).0);
    }
}

/// 1900-01-01 counted from 0001-01-01.
pub(crate) const DAYS_1900: i64 = 693_595;

pub(crate) fn days_from_year_one(date: NaiveDate) -> i64 {
    i64::from(date.num_days_from_ce()) - 1
}

pub(crate) fn date_from_year_one(days: i64) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(i32::try_from(days + 1).ok()?)
}

pub(crate) fn nanos(time: NaiveTime) -> u64 {
    // A leap second's extra nanoseconds do not exist in SQL Server.
    u64::from(time.num_seconds_from_midnight()) * 1_000_000_000 + u64::from(time.nanosecond().min(999_999_999))
}

/// Time of day in the 1/300 seconds of datetime, rounded. Can be a whole day's worth for 23:59:59.999.
pub(crate) fn ticks(time: NaiveTime) -> u64 {
    (nanos(time) * 300 + 500_000_000) / 1_000_000_000
}
