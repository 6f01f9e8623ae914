//! Delivery: a webhook, a mail server, and the address that is asked when all is well. Addresses of webhooks are secrets,
//! so no message names one.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::ExposeSecret as _;
use serde_json::json;
use url::{Host, Url};

use super::text::Message;
use crate::config::{AlertSettings, Mail, MailTls, SecretRef};
use crate::extract::http::install_crypto;

/// How long one delivery may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a delivery went, by the table of the configuration that asks for it.
pub struct Delivery {
    pub channel: &'static str,
    pub result: Result<()>,
}

/// Delivers a message by every way there is. None keeps the others from being tried.
pub async fn deliver(settings: &AlertSettings, message: &Message) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    if let Some(url) = &settings.webhook {
        let result = post(url, message).await.context("the webhook");
        deliveries.push(Delivery { channel: "webhook", result });
    }
    if let Some(settings) = &settings.mail {
        let sent = tokio::time::timeout(PATIENCE, mail(settings, message)).await;
        let result = sent.unwrap_or_else(|_| Err(anyhow!("no answer within {PATIENCE:?}")));
        let place = || format!("the mail server {}:{}", settings.host, settings.port);
        deliveries.push(Delivery { channel: "mail", result: result.with_context(place) });
    }
    deliveries
}

/// Asks the address that wants to know that all is well.
///
/// # Errors
/// When it cannot be asked, or says no.
pub async fn ping(url: &SecretRef) -> Result<()> {
    let (client, url) = client(url).context("the address to ping")?;
    answered(client.get(url).send().await).context("the address to ping")
}

async fn post(url: &SecretRef, message: &Message) -> Result<()> {
    let (client, url) = client(url)?;
    // Slack reads these three as markup.
    let text = message.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    answered(client.post(url).json(&json!({ "text": text })).send().await)
}

/// A client for an address, which must be https, or http to this machine.
fn client(reference: &SecretRef) -> Result<(reqwest::Client, Url)> {
    install_crypto();
    let text = reference.read()?;
    let url = Url::parse(text.expose_secret()).ok().with_context(|| format!("what {reference} holds is not a URL"))?;
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
        bail!("what {reference} holds is not an https URL");
    }
    let builder = reqwest::Client::builder()
        .user_agent(concat!("marts/", env!("CARGO_PKG_VERSION")))
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never());
    // No proxy of the environment can reach this machine.
    let builder = if is_loopback { builder.no_proxy() } else { builder };
    Ok((builder.build().context("setting up the HTTP client")?, url))
}

fn answered(response: reqwest::Result<reqwest::Response>) -> Result<()> {
    let response = response.map_err(|error| {
        let reason = if error.is_timeout() { "no answer in time" } else { "it cannot be reached" };
        anyhow::Error::new(error.without_url()).context(reason)
    })?;
    if !response.status().is_success() {
        bail!("it answered {}", response.status());
    }
    Ok(())
}

async fn mail(settings: &Mail, message: &Message) -> Result<()> {
    install_crypto();
    let mut builder = lettre::Message::builder().from(settings.from.clone()).subject(&message.subject);
    for mailbox in &settings.to {
        builder = builder.to(mailbox.clone());
    }
    let mail = builder.header(ContentType::TEXT_PLAIN).body(message.text.clone()).context("writing the mail")?;
    type Transport = AsyncSmtpTransport<Tokio1Executor>;
    let builder = match settings.tls {
        MailTls::StartTls => Transport::starttls_relay(&settings.host).context("setting up TLS")?,
        MailTls::Implicit => Transport::relay(&settings.host).context("setting up TLS")?,
        MailTls::Off => Transport::builder_dangerous(&settings.host),
    };
    let mut builder = builder.port(settings.port).timeout(Some(PATIENCE));
    if let Some((user, password)) = &settings.login {
        let password = password.read()?.expose_secret().to_owned();
        builder = builder.credentials(Credentials::new(user.clone(), password));
    }
    builder.build().send(mail).await.map(drop).context("sending the mail")
}
