//! What went wrong with a SQL Server, whether trying again may help, and how to say it in plain words.
//!
//! Which numbers are transient: `SqlConfigurableRetryFactory` of Microsoft.Data.SqlClient, Entity Framework's
//! `SqlServerTransientExceptionDetector`, and Azure SQL's "Troubleshoot transient connection errors".

use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Error, anyhow};
use tiberius::error::TokenError;

use super::meter::TOO_MUCH;
use crate::config::{SqlLogin, SqlServer};

/// A try that failed.
pub(super) struct Failure {
    pub retry: Retry,
    pub error: Error,
}

/// Whether another try, on a fresh connection, may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// It would fail again.
    Never,
    Soon,
    /// The server asks to be left alone for ten seconds (error 40501).
    Later,
}

impl From<Error> for Failure {
    /// What fails on our side fails again.
    fn from(error: Error) -> Self {
        Failure { retry: Retry::Never, error }
    }
}

impl Failure {
    pub fn transient(error: Error) -> Self {
        Failure { retry: Retry::Soon, error }
    }

    /// Judges an error of the driver. `host` is the server spoken to, which differs from the configured one after a
    /// redirection; `silence` is how long it was waited for.
    pub fn of(error: tiberius::error::Error, settings: &SqlServer, host: &str, silence: Duration) -> Self {
        let (retry, words) = match error {
            tiberius::error::Error::Server(error) => server_error(&error, settings),
            tiberius::error::Error::Io { kind, message } => io_error(kind, &message, silence),
            tiberius::error::Error::Tls(message) => (Retry::Never, tls_error(&message, host)),
            tiberius::error::Error::Routing { .. } => (Retry::Never, "it redirected in the middle of a session".into()),
            tiberius::error::Error::Protocol(message) => (Retry::Never, protocol_error(&message)),
            tiberius::error::Error::Utf8 | tiberius::error::Error::Utf16 => {
                (Retry::Never, "it sent a text that is not Unicode".into())
            }
            // Encoding, conversion and the like: their texts may quote a value, so only the kind is told.
            _ => (Retry::Never, "its answer could not be decoded".into()),
        };
        Failure { retry, error: anyhow!("SQL Server {host}: {words}") }
    }
}

fn server_error(error: &TokenError, settings: &SqlServer) -> (Retry, String) {
    let code = error.code();
    let database = &settings.database;
    let (retry, words) = match code {
        18456 => (
            Retry::Never,
            format!(
                "it refused the login of {}: the name or its secret is wrong, or it may not open {database}; check \
                 `login` and the secret it refers to",
                login_name(settings)
            ),
        ),
        40615 => {
            let address = quoted_address(error.message()).map(|ip| format!(" ({ip})")).unwrap_or_default();
            (
                Retry::Never,
                format!(
                    "the server's firewall does not admit this machine's address{address}; ask whoever runs the \
                     server to allow it"
                ),
            )
        }
        40914 => (
            Retry::Never,
            "the server's network rules do not admit this machine's network; ask whoever runs the server to allow it"
                .into(),
        ),
        40532 => (Retry::Never, "it does not know a server of that name; check `host`".into()),
        // These name only tables, columns and rights that our own statement mentions.
        102 | 156 | 207 | 208 => (
            Retry::Never,
            format!("it does not understand the statement, so its schema has changed: {}", error.message()),
        ),
        229 | 230 | 300 | 916 => (
            Retry::Never,
            format!(
                "{} lacks a right; ask whoever runs the server to grant it: {}",
                login_name(settings),
                error.message()
            ),
        ),
        4060 | 4221 => (
            Retry::Soon,
            format!(
                "it cannot open database {database} for {}: the database does not exist, is not available just now, \
                 or the login may not open it",
                login_name(settings)
            ),
        ),
        1205 => (Retry::Soon, "it broke a deadlock by giving up our statement".into()),
        1222 => (Retry::Soon, "another session held a lock for more than 30 s".into()),
        40501 => (Retry::Later, "it is busy and asks to wait".into()),
        40613 => (
            Retry::Soon,
            format!("database {database} is not available just now: it is waking up, or moving to another machine"),
        ),
        10928 | 10929 | 49918 | 49919 | 49920 => (Retry::Soon, "it has no resources to spare just now".into()),
        20 | 64 | 233 | 601 | 921 | 997 | 1204 | 3960 | 10053 | 10054 | 10060 | 11001 | 40143 | 40166 | 40197
        | 40540 => (Retry::Soon, "it failed for a moment".into()),
        _ => (Retry::Never, format!("it refused: {}", without_values(error.message()))),
    };
    (retry, format!("{words} (error {code})"))
}

fn io_error(kind: ErrorKind, message: &str, silence: Duration) -> (Retry, String) {
    match kind {
        _ if message.contains(TOO_MUCH) => (Retry::Never, TOO_MUCH.into()),
        ErrorKind::TimedOut => (Retry::Soon, format!("it was silent for {} s", silence.as_secs())),
        // tiberius reports a reset connection as BrokenPipe.
        ErrorKind::UnexpectedEof
        | ErrorKind::BrokenPipe
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::NotConnected => (Retry::Soon, "the connection broke".into()),
        ErrorKind::NotFound => (
            Retry::Never,
            "this machine has no list of certificate authorities; name the server's own as `ca_file`".into(),
        ),
        // rustls' alerts and refusals come as InvalidData; their texts hold no payload.
        _ => (Retry::Never, format!("the connection failed: {message}")),
    }
}

fn tls_error(message: &str, host: &str) -> String {
    // BadSignature: an authority of that name is known, but with another key, such as one made anew.
    if message.contains("UnknownIssuer") || message.contains("BadSignature") {
        "its certificate is signed by an authority that this machine does not know; name that authority's PEM file as \
         `ca_file`"
            .into()
    } else if message.contains("not valid for name") || message.contains("NotValidForName") {
        format!("its certificate is not made out to {host}; check `host`")
    } else if message.contains("expired") || message.contains("Expired") {
        "its certificate has expired; ask whoever runs the server to renew it".into()
    } else {
        // The driver goes on to advise on its own API.
        let first = message.split(". ").next().unwrap_or(message);
        format!("no encrypted connection could be made: {first}")
    }
}

fn protocol_error(message: &str) -> String {
    if message.contains("encryption") || message.contains("Encryption") || message.contains("TLS") {
        format!("client and server disagree about encryption; check `tls`: {message}")
    } else {
        format!("it answered against the protocol: {message}")
    }
}

/// Who logs in, without any secret.
fn login_name(settings: &SqlServer) -> String {
    match &settings.login {
        SqlLogin::Password { user, .. } => format!("user {user}"),
        SqlLogin::AzureAd { client_id, .. } => format!("application {client_id}"),
    }
}

/// The address in "Client with IP address '203.0.113.7' is not allowed …".
fn quoted_address(message: &str) -> Option<IpAddr> {
    message.split('\'').find_map(|part| part.parse().ok())
}

/// Messages such as 245 quote the value that did not fit: all from the first quotation mark to the last goes.
fn without_values(message: &str) -> String {
    match (message.find('\''), message.rfind('\'')) {
        (Some(first), Some(last)) if first < last => format!("{}…{}", &message[..=first], &message[last..]),
        (Some(first), _) => format!("{}…", &message[..first]),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_messages_lose_what_they_quote() {
        assert_eq!(
            without_values("Conversion failed when converting the nvarchar value 'O'Brien' to data type int."),
            "Conversion failed when converting the nvarchar value '…' to data type int."
        );
        assert_eq!(without_values("Arithmetic overflow."), "Arithmetic overflow.");
        assert_eq!(without_values("an odd 'quote"), "an odd …");
    }

    #[test]
    fn the_address_that_the_firewall_names_is_kept() {
        let message = "Cannot open server 'dealer' requested by the login. Client with IP address '203.0.113.7' is \
                       not allowed to access the server.";
        assert_eq!(quoted_address(message), Some("203.0.113.7".parse().unwrap()));
    }
}
