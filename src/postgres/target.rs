//! The server that `[postgres] url` names.

use std::str::FromStr;

use anyhow::{Context, Result, bail};
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::config::SecretRef;

/// Where to connect to. Its password cannot be printed.
pub(super) struct Target(PgConnectOptions);

impl std::fmt::Debug for Target {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Target({})", self.place())
    }
}

impl Target {
    /// Reads the url that a reference leads to.
    pub(super) fn read(reference: &SecretRef) -> Result<Target> {
        let url = reference.read().context("the url of postgres")?;
        Target::parse(url.expose_secret()).with_context(|| format!("the postgres url in {reference}"))
    }

    /// A server elsewhere is reached over TLS with a verified certificate unless the url says otherwise: falling back to
    /// plain text in silence, as libpq does, would send the password to whoever asks for it.
    fn parse(url: &str) -> Result<Target> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            bail!("it must look like postgres://user:password@host:5432/database");
        }
        // The parser's own messages may quote parts of the url.
        let Ok(options) = PgConnectOptions::from_str(url) else {
            bail!("it cannot be understood; special characters in the password must be percent-encoded");
        };
        let host = options.get_host();
        let local = options.get_socket().is_some() || host.starts_with('/') || is_loopback(host);
        let states_tls = url.contains("sslmode=") || url.contains("ssl-mode=");
        Ok(Target(if local || states_tls { options } else { options.ssl_mode(PgSslMode::VerifyFull) }))
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        self.0.clone()
    }

    /// `user@host:port/database`, for messages.
    pub(super) fn place(&self) -> String {
        let options = &self.0;
        let database = options.get_database().unwrap_or(options.get_username());
        match options.get_socket() {
            Some(socket) => format!("{}@{}/{database}", options.get_username(), socket.display()),
            None => format!("{}@{}:{}/{database}", options.get_username(), options.get_host(), options.get_port()),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_in_a_message() {
        let target = Target::parse("postgres://loader:s3cret@db.example.com:6543/marts").unwrap();
        assert_eq!(target.place(), "loader@db.example.com:6543/marts");
        assert!(!format!("{target:?}").contains("s3cret"));
        for url in ["postgres://u:s3cret@host:port/x", "mysql://u:s3cret@h/x", "postgres://u:s3cret@h/x?sslmode=s3cret"]
        {
            let error = format!("{:#}", Target::parse(url).unwrap_err());
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn servers_elsewhere_are_reached_over_tls_unless_the_url_says_otherwise() {
        let mode = |url: &str| Target::parse(url).unwrap().0.get_ssl_mode();
        assert!(matches!(mode("postgres://u@db.example.com/x"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgres://u@db.example.com/x?sslmode=disable"), PgSslMode::Disable));
        assert!(matches!(mode("postgres://u@db.example.com/x?sslmode=require"), PgSslMode::Require));
        assert!(!matches!(mode("postgres://u@127.0.0.1/x"), PgSslMode::VerifyFull));
    }
}
