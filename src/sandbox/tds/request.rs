//! What a client asks: batches, and sp_executesql with its parameters.

use chrono::{NaiveDateTime, NaiveTime};

use super::{
    convert::from_ticks,
    error::SqlError,
    types::{DAYS_1900, SqlType, SqlValue, date_from_year_one, swap_uuid},
};

type Result<T> = std::result::Result<T, SqlError>;

/// A statement's parameter as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// With its `@`.
    pub name: String,
    pub sql_type: SqlType,
    pub value: SqlValue,
}

/// A cursor over a request that never reads beyond its end.
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(|| SqlError::malformed("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| SqlError::malformed("it ends early"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Skips ALL_HEADERS, which precede every batch, call and transaction request.
    pub(crate) fn skip_headers(&mut self) -> Result<()> {
        let total = self.u32()? as usize;
        let rest = total.checked_sub(4).ok_or_else(|| SqlError::malformed("its headers have no length"))?;
        self.take(rest).map(drop)
    }
}

pub(crate) fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// The text of a batch.
pub(crate) fn batch(body: &[u8]) -> Result<String> {
    let mut reader = Reader(body);
    reader.skip_headers()?;
    Ok(utf16(reader.0))
}

/// The statement and parameters of an sp_executesql call. Any other procedure is unknown here.
pub(crate) fn call(body: &[u8]) -> Result<(String, Vec<Parameter>)> {
    let mut reader = Reader(body);
    reader.skip_headers()?;
    let length = reader.u16()?;
    let procedure = if length == 0xFFFF {
        let id = reader.u16()?;
        if id == 10 { "sp_executesql".to_owned() } else { format!("#{id}") }
    } else {
        utf16(reader.take(usize::from(length) * 2)?)
    };
    if !procedure.eq_ignore_ascii_case("sp_executesql") {
        return Err(SqlError::new(2812, 62, 16, format!("Could not find stored procedure '{procedure}'.")));
    }
    reader.u16()?; // option flags
    let mut parameters = Vec::new();
    while !reader.0.is_empty() {
        parameters.push(parameter(&mut reader)?);
    }
    if parameters.is_empty() {
        return Err(SqlError::malformed("sp_executesql without a statement"));
    }
    let SqlValue::Text(sql) = parameters.remove(0).value else {
        return Err(SqlError::malformed("sp_executesql with a statement that is not text"));
    };
    // The declarations repeat what the values say themselves.
    if !parameters.is_empty() {
        parameters.remove(0);
    }
    Ok((sql, parameters))
}

fn parameter(reader: &mut Reader) -> Result<Parameter> {
    let length = usize::from(reader.u8()?);
    let name = utf16(reader.take(length * 2)?);
    reader.u8()?; // status
    let (sql_type, value) = value(reader)?;
    Ok(Parameter { name, sql_type, value })
}

fn value(reader: &mut Reader) -> Result<(SqlType, SqlValue)> {
    let token = reader.u8()?;
    Ok(match token {
        // A NULL without a type.
        0x1F => (SqlType::Int, SqlValue::Null),
        0x26 => {
            let declared = reader.u8()?;
            let sql_type = match declared {
                1 => SqlType::TinyInt,
                2 => SqlType::SmallInt,
                4 => SqlType::Int,
                _ => SqlType::BigInt,
            };
            let length = reader.u8()?;
            let value = match length {
                0 => SqlValue::Null,
                1 => SqlValue::Int(reader.u8()?.into()),
                2 => SqlValue::Int((reader.u16()? as i16).into()),
                4 => SqlValue::Int((reader.u32()? as i32).into()),
                8 => SqlValue::Int(reader.u64()? as i64),
                n => return Err(SqlError::malformed(format_args!("an integer of {n} bytes"))),
            };
            (sql_type, value)
        }
        0x68 => {
            reader.u8()?;
            let value = if reader.u8()? == 0 { SqlValue::Null } else { SqlValue::Bit(reader.u8()? != 0) };
            (SqlType::Bit, value)
        }
        0x6D => {
            let sql_type = if reader.u8()? == 4 { SqlType::Real } else { SqlType::Float };
            let value = match reader.u8()? {
                0 => SqlValue::Null,
                4 => SqlValue::Float(f32::from_bits(reader.u32()?).into()),
                8 => SqlValue::Float(f64::from_bits(reader.u64()?)),
                n => return Err(SqlError::malformed(format_args!("a float of {n} bytes"))),
            };
            (sql_type, value)
        }
        0x6A | 0x6C => {
            reader.u8()?;
            let (precision, scale) = (reader.u8()?, reader.u8()?);
            if !(1..=38).contains(&precision) || scale > precision {
                return Err(SqlError::malformed(format_args!("decimal({precision},{scale})")));
            }
            (SqlType::Decimal { precision, scale }, decimal(reader, scale)?)
        }
        0x6F => {
            let sql_type = if reader.u8()? == 4 { SqlType::SmallDateTime } else { SqlType::DateTime };
            let value = match reader.u8()? {
                0 => SqlValue::Null,
                4 => {
                    let (days, minutes) = (i64::from(reader.u16()?), u64::from(reader.u16()?));
                    moment(days + DAYS_1900, minutes * 60_000_000_000)?
                }
                8 => {
                    let (days, ticks) = (i64::from(reader.u32()? as i32), u64::from(reader.u32()?));
                    moment(days + DAYS_1900, from_ticks(ticks))?
                }
                n => return Err(SqlError::malformed(format_args!("a datetime of {n} bytes"))),
            };
            (sql_type, value)
        }
        0x28 => match reader.u8()? {
            0 => (SqlType::Date, SqlValue::Null),
            n => {
                let days = little_endian(reader.take(n.into())?)?;
                let date = date_from_year_one(days as i64).ok_or_else(|| SqlError::malformed("a date out of range"))?;
                (SqlType::Date, SqlValue::Date(date))
            }
        },
        0x2A => {
            let scale = reader.u8()?;
            if scale > 7 {
                return Err(SqlError::malformed(format_args!("datetime2({scale})")));
            }
            let length = usize::from(reader.u8()?);
            let value = if length == 0 {
                SqlValue::Null
            } else {
                let width = length.checked_sub(3).ok_or_else(|| SqlError::malformed("a datetime2 without a date"))?;
                let time = little_endian(reader.take(width)?)? as u64;
                let days = little_endian(reader.take(3)?)?;
                moment(days as i64, time.saturating_mul(10u64.pow(9 - u32::from(scale))))?
            };
            (SqlType::DateTime2(scale), value)
        }
        0x24 => {
            reader.u8()?;
            let value = if reader.u8()? == 0 { SqlValue::Null } else { SqlValue::Uuid(swap_uuid(reader.array()?)) };
            (SqlType::UniqueIdentifier, value)
        }
        0xE7 | 0xEF => {
            let (limit, bytes) = text(reader)?;
            let sql_type = if limit == 0xFFFF { SqlType::NVarCharMax } else { SqlType::NVarChar(limit / 2) };
            (sql_type, bytes.map_or(SqlValue::Null, |bytes| SqlValue::Text(utf16(&bytes))))
        }
        0xA7 | 0xAF => {
            let (limit, bytes) = text(reader)?;
            let sql_type = if limit == 0xFFFF { SqlType::VarCharMax } else { SqlType::VarChar(limit) };
            let decode = |bytes: Vec<u8>| encoding_rs::WINDOWS_1252.decode_without_bom_handling(&bytes).0.into_owned();
            (sql_type, bytes.map_or(SqlValue::Null, |bytes| SqlValue::Text(decode(bytes))))
        }
        other => {
            return Err(SqlError::malformed(format_args!("a parameter of type 0x{other:02X}")));
        }
    })
}

fn little_endian(bytes: &[u8]) -> Result<u128> {
    if bytes.len() > 16 {
        return Err(SqlError::malformed("a number of more than 16 bytes"));
    }
    Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u128::from(*byte)))
}

fn decimal(reader: &mut Reader, scale: u8) -> Result<SqlValue> {
    let length = usize::from(reader.u8()?);
    let Some(width) = length.checked_sub(1) else {
        return Ok(SqlValue::Null);
    };
    let positive = reader.u8()? != 0;
    let magnitude = little_endian(reader.take(width)?)?;
    let mantissa = i128::try_from(magnitude).map_err(|_| SqlError::malformed("a decimal out of range"))?;
    Ok(SqlValue::Decimal { mantissa: if positive { mantissa } else { -mantissa }, scale })
}

fn moment(days: i64, nanos: u64) -> Result<SqlValue> {
    let time = NaiveTime::from_num_seconds_from_midnight_opt(
        u32::try_from(nanos / 1_000_000_000).unwrap_or(u32::MAX),
        (nanos % 1_000_000_000) as u32,
    );
    match (date_from_year_one(days), time) {
        (Some(date), Some(time)) => Ok(SqlValue::DateTime(NaiveDateTime::new(date, time))),
        _ => Err(SqlError::malformed("a point in time out of range")),
    }
}

/// The declared length and the bytes of a text; 0xFFFF announces the chunked form of the max types.
fn text(reader: &mut Reader) -> Result<(u16, Option<Vec<u8>>)> {
    let limit = reader.u16()?;
    reader.take(5)?; // collation
    if limit != 0xFFFF {
        let length = reader.u16()?;
        let bytes = if length == 0xFFFF { None } else { Some(reader.take(length.into())?.to_vec()) };
        return Ok((limit, bytes));
    }
    if reader.u64()? == u64::MAX {
        return Ok((limit, None));
    }
    let mut bytes = Vec::new();
    loop {
        match reader.u32()? as usize {
            0 => return Ok((limit, Some(bytes))),
            length => bytes.extend_from_slice(reader.take(length)?),
        }
    }
}
