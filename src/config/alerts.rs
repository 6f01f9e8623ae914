//! `[alerts]`: who is told when a night goes wrong, and when.

use std::path::Path;

use chrono::{NaiveTime, TimeDelta};
use serde::Deserialize;
use toml::Spanned;

use super::SecretRef;
use super::check::{Checked, at_least, filled, is_loopback, secret};
use super::parse::Fault;
use super::wire::{Secret, Text};
use lettre::message::Mailbox;
use url::Host;

/// `[alerts]`. Without a webhook and mail, nobody is told.
#[derive(Debug, Clone)]
pub struct AlertSettings {
    /// The address of a webhook that takes `{"text": …}`, as Slack's.
    pub webhook: Option<SecretRef>,
    pub mail: Option<Mail>,
    /// An address to ask after each run that leaves nothing wrong, for a service that notices when nobody asks.
    pub ping: Option<SecretRef>,
    /// How long after its time a job without an ended run is late.
    pub late: TimeDelta,
    /// How long a job may be without a success.
    pub no_success: TimeDelta,
    /// How often to say again what is still wrong; none = never.
    pub remind: Option<TimeDelta>,
    /// When nobody is told, from and to, local time of the organisation.
    pub quiet: Option<(NaiveTime, NaiveTime)>,
    /// Whether `marts run` tells as well.
    pub from_run: bool,
}

impl Default for AlertSettings {
    fn default() -> Self {
        AlertSettings {
            webhook: None,
            mail: None,
            ping: None,
            late: TimeDelta::minutes(120),
            no_success: TimeDelta::hours(26),
            remind: Some(TimeDelta::hours(24)),
            quiet: None,
            from_run: true,
        }
    }
}

impl AlertSettings {
    /// Whether there is somebody to tell.
    pub fn tells(&self) -> bool {
        self.webhook.is_some() || self.mail.is_some()
    }
}

/// `[alerts.mail]`.
#[derive(Debug, Clone)]
pub struct Mail {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    /// User and password; none = the server asks for none.
    pub login: Option<(String, SecretRef)>,
    pub from: Mailbox,
    pub to: Vec<Mailbox>,
}

/// How the connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// Plain at first, then TLS or nothing: port 587.
    StartTls,
    /// TLS from the start: port 465.
    Implicit,
    /// None. Refused unless the host is loopback.
    Off,
}

/// As it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    webhook: Option<Secret>,
    ping: Option<Secret>,
    late_minutes: Option<Spanned<u16>>,
    no_success_hours: Option<Spanned<u16>>,
    remind_hours: Option<u16>,
    quiet_hours: Option<Text>,
    from_run: Option<bool>,
    mail: Option<WrittenMail>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMail {
    host: Text,
    port: Option<Spanned<u16>>,
    tls: Option<Text>,
    user: Option<Text>,
    password: Option<Secret>,
    from: Text,
    to: Vec<Text>,
}

/// Checks it.
pub(super) fn check(written: Written, base: &Path) -> Checked<AlertSettings> {
    let default = AlertSettings::default();
    let late = at_least(written.late_minutes, 1, 120)?;
    let no_success = at_least(written.no_success_hours, 1, 26)?;
    let remind = written.remind_hours.unwrap_or(24);
    Ok(AlertSettings {
        webhook: written.webhook.map(|url| secret(url, base)),
        mail: written.mail.map(|mail| self::mail(mail, base)).transpose()?,
        ping: written.ping.map(|url| secret(url, base)),
        late: TimeDelta::minutes(i64::from(late)),
        no_success: TimeDelta::hours(i64::from(no_success)),
        remind: (remind > 0).then(|| TimeDelta::hours(i64::from(remind))),
        quiet: written.quiet_hours.map(hours).transpose()?,
        from_run: written.from_run.unwrap_or(default.from_run),
    })
}

fn hours(written: Text) -> Checked<(NaiveTime, NaiveTime)> {
    let time = |text: &str| NaiveTime::parse_from_str(text.trim(), "%H:%M").ok();
    let times = written.get_ref().split_once('-').and_then(|(from, to)| time(from).zip(time(to)));
    match times {
        Some((from, to)) if from != to => Ok((from, to)),
        _ => Err(Fault::at(written.span(), "write quiet hours as in \"22:00-07:00\"")),
    }
}

fn mail(written: WrittenMail, base: &Path) -> Checked<Mail> {
    let span = written.host.span();
    let host = filled(written.host)?;
    let parsed = Host::parse(&host).or_else(|_| Host::parse(&format!("[{host}]"))).map_err(|_| {
        Fault::at(span, format!("\"{host}\" is not a host name: write it without scheme, port or path"))
    })?;
    let (tls, usual_port) = match written.tls.as_ref().map_or("starttls", |tls| tls.get_ref().as_str()) {
        "starttls" => (MailTls::StartTls, 587),
        "implicit" => (MailTls::Implicit, 465),
        "off" if is_loopback(&parsed) => (MailTls::Off, 25),
        other => {
            let message = match other {
                "off" => "\"off\" is for loopback hosts only".to_owned(),
                other => format!("tls is \"starttls\", \"implicit\" or \"off\", not \"{other}\""),
            };
            return Err(Fault { span: written.tls.map(|tls| tls.span()), message });
        }
    };
    let login = match (written.user, written.password) {
        (Some(user), Some(password)) => Some((filled(user)?, secret(password, base))),
        (None, None) => None,
        (Some(user), None) => return Err(Fault::at(user.span(), "user wants a password")),
        (None, Some(_)) => {
            return Err(Fault { span: None, message: "the password in [alerts.mail] wants a user".to_owned() });
        }
    };
    if written.to.is_empty() {
        return Err(Fault { span: None, message: "to in [alerts.mail] names nobody".to_owned() });
    }
    Ok(Mail {
        host,
        port: at_least(written.port, 1, usual_port)?,
        tls,
        login,
        from: mailbox(written.from)?,
        to: written.to.into_iter().map(mailbox).collect::<Checked<_>>()?,
    })
}

fn mailbox(written: Text) -> Checked<Mailbox> {
    let mailbox = written.get_ref().parse();
    mailbox.map_err(|_| {
        let message = format!("\"{}\" is no address: write it as in \"Marts <marts@example.com>\"", written.get_ref());
        Fault::at(written.span(), message)
    })
}
