//! One connection from accept to login; after that it is a session.

use anyhow::{Result, bail};
use tokio::{net::TcpStream, time::sleep};

use super::{
    Encryption, LogEntry, Shared,
    error::SqlError,
    faults::ConnectionFault,
    login::{self, Carried, Login, Secret},
    packet::{PacketWriter, kind, read_message},
    session,
    tls::Stream,
};

/// The first byte of a TLS handshake, which is how a TDS 8 client begins.
const TLS_HANDSHAKE: u8 = 0x16;
const FIRST_PACKET_SIZE: usize = 4096;

pub(crate) async fn serve(tcp: TcpStream, shared: &Shared, connection: u64) -> Result<()> {
    tcp.set_nodelay(true)?;
    let fault = shared.connection_fault();
    match &fault {
        Some(ConnectionFault::Close) => return Ok(()),
        Some(ConnectionFault::Reset) => return Ok(tcp.set_zero_linger()?),
        Some(ConnectionFault::StallHandshake(time)) => {
            sleep(*time).await;
            return Ok(());
        }
        _ => {}
    }
    let (mut stream, message) = handshake(tcp, shared).await?;
    let (login, secret) = match login::parse_login(&message) {
        Ok(read) => read,
        Err(error) => return answer(&mut stream, |out| login::put_refused(out, &error)).await,
    };
    shared.record(LogEntry::Login { connection, login: login.clone() });
    match fault {
        Some(ConnectionFault::RefuseLogin(error)) => {
            return answer(&mut stream, |out| login::put_refused(out, &error)).await;
        }
        Some(ConnectionFault::Route { host, port }) => {
            return answer(&mut stream, |out| login::put_redirect(out, &host, port)).await;
        }
        _ => {}
    }
    match admit(&login, &secret, shared) {
        Ok(database) => {
            answer(&mut stream, |out| login::put_accepted(out, &login, &database)).await?;
            session::run(stream, shared, connection, login.packet_size).await
        }
        Err(error) => answer(&mut stream, |out| login::put_refused(out, &error)).await,
    }
}

/// Up to the LOGIN7 message, and the stream as it goes on from there.
async fn handshake(tcp: TcpStream, shared: &Shared) -> Result<(Stream, Vec<u8>)> {
    let mut first = [0];
    if tcp.peek(&mut first).await? == 0 {
        bail!("closed before the first byte");
    }
    if first[0] == TLS_HANDSHAKE {
        if shared.encryption != Encryption::Strict {
            bail!("TDS 8 is not on offer");
        }
        let mut stream = Stream::Tls(Box::new(shared.tls.accept_strict(tcp).await?));
        // 3, required, is what a strict server says.
        prelogin(&mut stream, |_| (3, Carried::Tls)).await?;
        let message = expect(&mut stream, kind::LOGIN7).await?;
        return Ok((stream, message));
    }
    let mut stream = Stream::Plain(tcp);
    let carried = prelogin(&mut stream, |client| login::negotiate(shared.encryption, client)).await?;
    let Stream::Plain(tcp) = stream else { bail!("TLS before it was agreed on") };
    if carried == Carried::Plain {
        let mut stream = Stream::Plain(tcp);
        let message = expect(&mut stream, kind::LOGIN7).await?;
        return Ok((stream, message));
    }
    let mut tls = shared.tls.accept_wrapped(tcp).await?;
    let message = expect(&mut tls, kind::LOGIN7).await?;
    let stream = if carried == Carried::LoginOnly {
        // From here on both sides use the bare socket, without closing TLS.
        Stream::Plain(tls.into_inner().0.into_tcp())
    } else {
        Stream::Tls(Box::new(tls))
    };
    Ok((stream, message))
}

async fn prelogin(stream: &mut Stream, negotiate: impl FnOnce(u8) -> (u8, Carried)) -> Result<Carried> {
    let body = expect(stream, kind::PRELOGIN).await?;
    let client = login::parse_prelogin(&body)?;
    let (encryption, carried) = negotiate(client.encryption);
    answer(stream, |out| login::put_prelogin(out, encryption, client.fedauth)).await?;
    Ok(carried)
}

async fn expect<R: tokio::io::AsyncRead + Unpin>(reader: &mut R, wanted: u8) -> Result<Vec<u8>> {
    let message = read_message(reader).await?;
    if message.kind != wanted {
        bail!("message of type 0x{:02X} where 0x{wanted:02X} was due", message.kind);
    }
    Ok(message.body)
}

async fn answer(stream: &mut Stream, fill: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
    let mut out = PacketWriter::new(stream, FIRST_PACKET_SIZE);
    fill(&mut out.buffer);
    Ok(out.finish().await?)
}

/// Checks who it is and which database is wanted; gives the database's name.
fn admit(login: &Login, secret: &Secret, shared: &Shared) -> Result<String, SqlError> {
    // Some drivers send user@server to Azure.
    let user = login.user.split('@').next().unwrap_or_default();
    let known = match secret {
        Secret::Password(password) => {
            shared.users.iter().any(|(name, wanted)| name.eq_ignore_ascii_case(user) && wanted == password)
        }
        Secret::Token(token) => shared.access_tokens.contains(token),
    };
    if !known {
        let who = if login.access_token { "<token-identified principal>" } else { &login.user };
        return Err(SqlError::new(18456, 1, 14, format!("Login failed for user '{who}'.")));
    }
    let database = shared.database();
    if login.database.is_empty() || login.database.eq_ignore_ascii_case(database.name()) {
        return Ok(database.name().to_owned());
    }
    let message = format!("Cannot open database \"{}\" requested by the login. The login failed.", login.database);
    Err(SqlError::new(4060, 1, 11, message))
}
