//! The tokens of an answer.

use std::borrow::Cow;

use super::{
    error::SqlError,
    types::{COLLATION, ResultColumn, SqlValue},
};

/// Bits of a DONE token's status.
pub(crate) mod status {
    pub const FINAL: u16 = 0;
    pub const MORE: u16 = 1;
    pub const ERROR: u16 = 2;
    pub const COUNT: u16 = 0x10;
    pub const ATTENTION: u16 = 0x20;
}

pub(crate) const SERVER_NAME: &str = "sandbox";

pub(crate) fn put_utf16(out: &mut Vec<u8>, text: &str) {
    text.encode_utf16().for_each(|unit| out.extend(unit.to_le_bytes()));
}

/// Cuts to what the length field can say, so that no text can break the framing.
fn clip(text: &str, units: usize) -> Cow<'_, str> {
    if text.encode_utf16().count() <= units {
        return text.into();
    }
    let mut left = units;
    text.chars()
        .take_while(|c| {
            let fits = c.len_utf16() <= left;
            left = left.saturating_sub(c.len_utf16());
            fits
        })
        .collect::<String>()
        .into()
}

pub(crate) fn put_b_varchar(out: &mut Vec<u8>, text: &str) {
    let text = clip(text, 255);
    out.push(text.encode_utf16().count() as u8);
    put_utf16(out, &text);
}

fn put_us_varchar(out: &mut Vec<u8>, text: &str) {
    let text = clip(text, 2000);
    out.extend((text.encode_utf16().count() as u16).to_le_bytes());
    put_utf16(out, &text);
}

/// A token whose body is preceded by its length.
fn put_sized(out: &mut Vec<u8>, token: u8, body: &[u8]) {
    out.push(token);
    out.extend((body.len() as u16).to_le_bytes());
    out.extend_from_slice(body);
}

fn put_message(out: &mut Vec<u8>, token: u8, error: &SqlError) {
    let mut body = error.number.to_le_bytes().to_vec();
    body.extend([error.state, error.class]);
    put_us_varchar(&mut body, &error.message);
    put_b_varchar(&mut body, SERVER_NAME);
    put_b_varchar(&mut body, "");
    body.extend(1u32.to_le_bytes());
    put_sized(out, token, &body);
}

pub(crate) fn put_error(out: &mut Vec<u8>, error: &SqlError) {
    put_message(out, 0xAA, error);
}

pub(crate) fn put_info(out: &mut Vec<u8>, info: &SqlError) {
    put_message(out, 0xAB, info);
}

fn put_done_token(out: &mut Vec<u8>, token: u8, status: u16, rows: u64) {
    out.push(token);
    out.extend(status.to_le_bytes());
    out.extend(0xC1u16.to_le_bytes());
    out.extend(rows.to_le_bytes());
}

pub(crate) fn put_done(out: &mut Vec<u8>, status: u16, rows: u64) {
    put_done_token(out, 0xFD, status, rows);
}

/// The end of one statement: DONE in a batch, DONEINPROC inside sp_executesql.
pub(crate) fn put_statement_done(out: &mut Vec<u8>, rpc: bool, status: u16, rows: u64) {
    if rpc {
        put_done_token(out, 0xFF, status | status::MORE, rows);
    } else {
        put_done_token(out, 0xFD, status, rows);
    }
}

/// The end of a procedure: its return status, then DONEPROC.
pub(crate) fn put_procedure_done(out: &mut Vec<u8>, status: u16) {
    out.push(0x79);
    out.extend(i32::from(status & status::ERROR != 0).to_le_bytes());
    put_done_token(out, 0xFE, status & status::ERROR, 0);
}

pub(crate) fn put_environment(out: &mut Vec<u8>, kind: u8, new: &str, old: &str) {
    let mut body = vec![kind];
    put_b_varchar(&mut body, new);
    put_b_varchar(&mut body, old);
    put_sized(out, 0xE3, &body);
}

pub(crate) fn put_collation_change(out: &mut Vec<u8>) {
    let mut body = vec![7, 5];
    body.extend(COLLATION);
    body.push(0);
    put_sized(out, 0xE3, &body);
}

/// Begin (8), commit (9) or roll back (10) of a transaction.
pub(crate) fn put_transaction_change(out: &mut Vec<u8>, kind: u8, descriptor: u64) {
    let mut body = vec![kind];
    if kind == 8 {
        body.push(8);
        body.extend(descriptor.to_le_bytes());
        body.push(0);
    } else {
        body.extend([0, 8]);
        body.extend(descriptor.to_le_bytes());
    }
    put_sized(out, 0xE3, &body);
}

/// The redirect Azure answers a login with.
pub(crate) fn put_routing(out: &mut Vec<u8>, host: &str, port: u16) {
    let mut data = vec![0];
    data.extend(port.to_le_bytes());
    put_us_varchar(&mut data, host);
    let mut body = vec![20];
    body.extend((data.len() as u16).to_le_bytes());
    body.extend(data);
    body.extend([0, 0]);
    put_sized(out, 0xE3, &body);
}

pub(crate) fn put_login_ack(out: &mut Vec<u8>) {
    let mut body = vec![1];
    body.extend(0x7400_0004u32.to_be_bytes());
    put_b_varchar(&mut body, "Microsoft SQL Server");
    body.extend([16, 0, 0x10, 0]);
    put_sized(out, 0xAD, &body);
}

/// Says that the access token was taken.
pub(crate) fn put_fedauth_ack(out: &mut Vec<u8>) {
    out.extend([0xAE, 0x02, 0, 0, 0, 0, 0xFF]);
}

pub(crate) fn put_metadata(out: &mut Vec<u8>, columns: &[ResultColumn]) {
    out.push(0x81);
    out.extend((columns.len() as u16).to_le_bytes());
    columns.iter().for_each(|column| column.put_metadata(out));
}

/// One row: ROW, or NBCROW when half of it or more is NULL, so that clients meet both.
pub(crate) fn put_row(
    out: &mut Vec<u8>,
    columns: &[ResultColumn],
    values: &[Cow<'_, SqlValue>],
) -> Result<(), SqlError> {
    let nulls = values.iter().filter(|value| value.is_null()).count();
    let compressed = nulls > 0 && nulls * 2 >= values.len();
    if compressed {
        out.push(0xD2);
        let at = out.len();
        out.resize(at + values.len().div_ceil(8), 0);
        for (i, _) in values.iter().enumerate().filter(|(_, value)| value.is_null()) {
            out[at + i / 8] |= 1 << (i % 8);
        }
    } else {
        out.push(0xD1);
    }
    for (column, value) in columns.iter().zip(values) {
        if !value.is_null() {
            if !column.put_value(out, value) {
                let what = format!("column '{}' cannot carry {value:?} as {:?}", column.name, column.sql_type);
                return Err(SqlError::new(8624, 1, 16, format!("Internal query processor error: {what}.")));
            }
        } else if !compressed {
            column.put_null(out);
        }
    }
    Ok(())
}
