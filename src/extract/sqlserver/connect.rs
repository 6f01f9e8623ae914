//! Making a connection: address, encryption, login, redirections, session settings.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use secrecy::ExposeSecret;
use tiberius::{AuthMethod, Client, EncryptionLevel};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use super::azure;
use super::failure::Failure;
use super::meter::{Meter, Metered};
use crate::config::{SqlLogin, SqlServer, SqlTls};

/// A session, and what its server has sent since the last row.
pub(super) struct Connection {
    pub client: Client<Compat<Metered<TcpStream>>>,
    pub meter: Meter,
}

/// Azure's gateway redirects once; a chain longer than this is a misconfiguration.
const MAX_REDIRECTIONS: usize = 3;

/// Longest wait for an address to answer, and again for the login.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// Readers give way: they wait half a minute for a lock, and lose every deadlock.
const SESSION: &str = "SET LOCK_TIMEOUT 30000; SET DEADLOCK_PRIORITY LOW";

/// Connects and logs in, following redirections.
pub(super) async fn connect(settings: &SqlServer) -> Result<Connection, Failure> {
    let login = authentication(settings).await?;
    let (mut host, mut port) = (settings.host.clone(), settings.port);
    for _ in 0..=MAX_REDIRECTIONS {
        let meter = Meter::default();
        let stream = Metered::new(dial(settings, &host, port).await?, meter.clone());
        let config = client_config(settings, &host, port, login.clone())?;
        match Client::connect(config, stream.compat_write()).await {
            Ok(mut client) => {
                let set = async { client.simple_query(SESSION).await?.into_results().await };
                set.await.map_err(|error| Failure::of(error, settings, &host, patience(settings)))?;
                return Ok(Connection { client, meter });
            }
            Err(tiberius::error::Error::Routing { host: next, port: next_port }) => {
                tracing::debug!(from = host, to = next, port = next_port, "redirected");
                // Managed instances may append an instance name, which the port already stands for.
                host = next.split('\\').next().unwrap_or(&next).to_owned();
                port = next_port;
            }
            Err(error) => return Err(Failure::of(error, settings, &host, patience(settings))),
        }
    }
    Err(anyhow!("SQL Server {}: it redirected more than {MAX_REDIRECTIONS} times", settings.host).into())
}

async fn dial(settings: &SqlServer, host: &str, port: u16) -> Result<TcpStream, Failure> {
    let unverified = match settings.tls {
        SqlTls::Off => Some("off"),
        SqlTls::TrustAny => Some("trust-any"),
        SqlTls::Strict | SqlTls::Required => None,
    };
    if let Some(tls) = unverified
        && !is_loopback(host)
    {
        return Err(elsewhere(host, tls).into());
    }
    let stream = match tokio::time::timeout(patience(settings), TcpStream::connect((host, port))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            return Err(Failure::transient(anyhow!("SQL Server {host}: nothing listens on port {port}")));
        }
        // Name resolution fails for a moment now and then, and its errors have no kind of their own.
        Ok(Err(error)) => {
            return Err(Failure::transient(anyhow!("SQL Server {host}: port {port} cannot be reached: {error}")));
        }
        Err(_) => {
            return Err(Failure::transient(anyhow!(
                "SQL Server {host}: port {port} does not answer within {} s; a firewall may be in between",
                patience(settings).as_secs()
            )));
        }
    };
    // The name may have resolved to another machine after all.
    if let Some(tls) = unverified
        && !stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback())
    {
        return Err(elsewhere(host, tls).into());
    }
    // Requests are single small packets: waiting to merge them only costs time.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Who does not verify the other side would log in with anybody who answers.
fn elsewhere(host: &str, tls: &str) -> anyhow::Error {
    anyhow!("SQL Server {host}: `tls = \"{tls}\"` is for this machine only; use \"required\" or \"strict\"")
}

fn client_config(settings: &SqlServer, host: &str, port: u16, login: AuthMethod) -> Result<tiberius::Config> {
    let mut config = tiberius::Config::new();
    // LOGIN7 names the server that was asked for, also after a redirection; the certificate is that of the one spoken to.
    config.host(&settings.host);
    config.hostname_in_certificate(host);
    config.port(port);
    config.database(&settings.database);
    config.application_name("marts");
    config.readonly(true);
    config.authentication(login);
    config.handshake_timeout(Some(patience(settings)));
    config.command_timeout(Some(Duration::from_secs(settings.timeout_secs)));
    config.encryption(match settings.tls {
        SqlTls::Strict => EncryptionLevel::Strict,
        SqlTls::Required | SqlTls::TrustAny => EncryptionLevel::Required,
        SqlTls::Off => EncryptionLevel::NotSupported,
    });
    match (&settings.ca_file, settings.tls) {
        (_, SqlTls::TrustAny) => config.trust_cert(),
        (Some(file), _) => {
            let pem = std::fs::read(file).with_context(|| format!("cannot read ca_file {}", file.display()))?;
            config.trust_cert_ca_bundle(pem);
        }
        (None, _) => {}
    }
    Ok(config)
}

fn patience(settings: &SqlServer) -> Duration {
    HANDSHAKE.min(Duration::from_secs(settings.timeout_secs))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn authentication(settings: &SqlServer) -> Result<AuthMethod, Failure> {
    match &settings.login {
        SqlLogin::Password { user, password } => Ok(AuthMethod::sql_server(user, password.read()?.expose_secret())),
        SqlLogin::AzureAd { tenant, client_id, client_secret, authority } => {
            let url = format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/'));
            let token = azure::token(&url, client_id, &client_secret.read()?, patience(settings)).await?;
            Ok(AuthMethod::aad_token(token.expose_secret()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example.com", "10.0.0.1", "dealer.database.windows.net", "0.0.0.0"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
