//! PRELOGIN and LOGIN7: reading them, deciding, and the answers.

use super::{
    Encryption,
    error::SqlError,
    request::{Reader, utf16},
    tokens::{self, status},
};

/// What a LOGIN7 said, the password left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub database: String,
    pub application: String,
    pub client_host: String,
    /// The server name the client meant to reach; after a redirect still the first one with some drivers.
    pub server: String,
    pub packet_size: usize,
    pub read_only_intent: bool,
    /// Signed in by an access token instead of a password.
    pub access_token: bool,
}

/// What is only there to be checked.
pub(crate) enum Secret {
    Password(String),
    Token(String),
}

/// The options of a PRELOGIN this server looks at.
#[derive(Debug, Default)]
pub(crate) struct Prelogin {
    /// The client's encryption byte: 0 off, 1 on, 2 not supported, 3 required.
    pub encryption: u8,
    pub fedauth: bool,
}

pub(crate) fn parse_prelogin(body: &[u8]) -> Result<Prelogin, SqlError> {
    let mut prelogin = Prelogin::default();
    let mut options = Reader(body);
    loop {
        let option = options.u8()?;
        if option == 0xFF {
            return Ok(prelogin);
        }
        let head = options.take(4)?;
        let (offset, length) = (u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[2], head[3]]));
        let mut value = Reader(body);
        value.take(offset.into())?;
        let value = value.take(length.into())?;
        match (option, value) {
            (1, [encryption, ..]) => prelogin.encryption = *encryption,
            (6, [required, ..]) => prelogin.fedauth = *required != 0,
            _ => {}
        }
    }
}

/// How the rest of the connection is carried once the PRELOGIN is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    Plain,
    LoginOnly,
    Tls,
}

/// The encryption byte to answer with, and what follows from it and from the client's.
pub(crate) fn negotiate(server: Encryption, client: u8) -> (u8, Carried) {
    match (server, client) {
        (Encryption::None, _) => (2, Carried::Plain),
        (Encryption::LoginOnly, 0) => (0, Carried::LoginOnly),
        (Encryption::LoginOnly, _) => (1, Carried::Tls),
        (Encryption::On | Encryption::Strict, _) => (1, Carried::Tls),
    }
}

pub(crate) fn put_prelogin(out: &mut Vec<u8>, encryption: u8, fedauth: bool) {
    const VERSION: [u8; 6] = [16, 0, 0x10, 0, 0, 0];
    let mut options: Vec<(u8, &[u8])> = vec![(0, &VERSION)];
    let encryption = [encryption];
    options.push((1, &encryption));
    if fedauth {
        options.push((6, &[1]));
    }
    let mut offset = (options.len() * 5 + 1) as u16;
    for (option, value) in &options {
        out.push(*option);
        out.extend(offset.to_be_bytes());
        out.extend((value.len() as u16).to_be_bytes());
        offset += value.len() as u16;
    }
    out.push(0xFF);
    options.iter().for_each(|(_, value)| out.extend_from_slice(value));
}

/// `length` bytes at an offset from the start of the message.
fn slice(body: &[u8], offset: usize, length: usize) -> Result<&[u8], SqlError> {
    let mut reader = Reader(body);
    reader.take(offset)?;
    reader.take(length)
}

pub(crate) fn parse_login(body: &[u8]) -> Result<(Login, Secret), SqlError> {
    // Offset and length of a field stand at a fixed place; lengths count characters.
    let field = |at: usize| -> Result<&[u8], SqlError> {
        let mut place = Reader(slice(body, at, 4)?);
        let (offset, length) = (place.u16()?, place.u16()?);
        slice(body, offset.into(), usize::from(length) * 2)
    };
    let text = |at: usize| field(at).map(utf16);
    let packet_size = Reader(slice(body, 8, 4)?).u32()? as usize;
    let flags = slice(body, 24, 4)?;
    let secret = if flags[3] & 0x10 == 0 {
        let clear: Vec<u8> = field(44)?.iter().map(|byte| (byte ^ 0xA5).rotate_left(4)).collect();
        Secret::Password(utf16(&clear))
    } else {
        Secret::Token(access_token(body)?)
    };
    let login = Login {
        user: text(40)?,
        database: text(68)?,
        application: text(48)?,
        client_host: text(36)?,
        server: text(52)?,
        packet_size: packet_size.clamp(512, 32767),
        read_only_intent: flags[2] & 0x20 != 0,
        access_token: matches!(secret, Secret::Token(_)),
    };
    Ok((login, secret))
}

/// The token in the FEDAUTH feature; the extension field points at the place that points at the features.
fn access_token(body: &[u8]) -> Result<String, SqlError> {
    let pointer = Reader(slice(body, 56, 2)?).u16()?;
    let start = Reader(slice(body, pointer.into(), 4)?).u32()? as usize;
    let mut features = Reader(slice(body, start, body.len().saturating_sub(start))?);
    loop {
        match features.u8()? {
            0xFF => {
                return Err(SqlError::malformed("a login extension without an access token"));
            }
            feature => {
                let length = features.u32()? as usize;
                let data = features.take(length)?;
                if feature == 0x02 {
                    let mut data = Reader(data);
                    data.u8()?; // options
                    let length = data.u32()? as usize;
                    return Ok(utf16(data.take(length)?));
                }
            }
        }
    }
}

pub(crate) fn put_accepted(out: &mut Vec<u8>, login: &Login, database: &str) {
    tokens::put_environment(out, 1, database, "master");
    let changed = format!("Changed database context to '{database}'.");
    tokens::put_info(out, &SqlError::new(5701, 2, 0, changed));
    tokens::put_collation_change(out);
    tokens::put_login_ack(out);
    if login.access_token {
        tokens::put_fedauth_ack(out);
    }
    tokens::put_environment(out, 4, &login.packet_size.to_string(), "4096");
    tokens::put_done(out, status::FINAL, 0);
}

pub(crate) fn put_refused(out: &mut Vec<u8>, error: &SqlError) {
    tokens::put_error(out, error);
    tokens::put_done(out, status::ERROR, 0);
}

pub(crate) fn put_redirect(out: &mut Vec<u8>, host: &str, port: u16) {
    tokens::put_login_ack(out);
    tokens::put_routing(out, host, port);
    tokens::put_done(out, status::FINAL, 0);
}
