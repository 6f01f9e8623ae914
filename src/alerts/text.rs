//! How alerts read.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::conditions::Condition;
use super::decide::Notice;
use crate::config::Config;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One line.
    pub subject: String,
    pub text: String,
}

/// How many notices one message spells out.
const SPELLED_OUT: usize = 20;

/// The longest reason that is quoted whole, in characters: what a source answered may be a page.
const LONGEST_REASON: usize = 600;

/// One message for all that there is to say.
pub fn message(config: &Config, notices: &[Notice], program: &str) -> Message {
    let count = |is: fn(&Notice) -> bool| notices.iter().filter(|notice| is(notice)).count();
    let wrong = count(|notice| !matches!(notice, Notice::Resolved(_)));
    let resolved = notices.len() - wrong;
    let mut orgs: Vec<&str> = Vec::new();
    for notice in notices {
        if !orgs.contains(&notice.org()) {
            orgs.push(notice.org());
        }
    }
    let mut parts = Vec::new();
    if wrong > 0 {
        parts.push(format!("{wrong} {}", if wrong == 1 { "alert" } else { "alerts" }));
    }
    if resolved > 0 {
        parts.push(format!("{resolved} resolved"));
    }
    let subject = format!("marts: {} ({})", parts.join(", "), orgs.join(", "));
    let mut text = subject.clone();
    for notice in notices.iter().take(SPELLED_OUT) {
        text.push_str("\n\n");
        text.push_str(&spelled_out(config, notice));
    }
    if notices.len() > SPELLED_OUT {
        let _ = write!(text, "\n\n… and {} more: `{program} alert` shows all", notices.len() - SPELLED_OUT);
    }
    Message { subject, text }
}

fn spelled_out(config: &Config, notice: &Notice) -> String {
    match notice {
        Notice::New(condition) => wrong(config, condition, ""),
        Notice::Reminder(condition) => wrong(config, condition, "STILL "),
        Notice::Resolved(open) => {
            let (title, since) = (open.kind.title(), local(config, &open.org, open.since));
            format!("RESOLVED {} of {}: was {title} since {since}", open.job, name(config, &open.org))
        }
    }
}

/// What is wrong, in four lines.
pub fn wrong(config: &Config, condition: &Condition, still: &str) -> String {
    let Condition { org, job, kind, since, why, rows, next } = condition;
    let since = local(config, org, *since);
    let mut reason: String = why.chars().take(LONGEST_REASON).collect();
    if reason.len() < why.len() {
        reason.push('…');
    }
    format!(
        "{still}{} {job} of {}, since {since}\n  why:  {reason}\n  rows: {rows}\n  next: {next}",
        kind.title(),
        name(config, org)
    )
}

/// An organisation by slug and name.
fn name(config: &Config, slug: &str) -> String {
    let known = config.orgs.iter().find(|org| org.slug == slug);
    known.map_or_else(|| slug.to_owned(), |org| format!("{slug} ({})", org.name))
}

fn local(config: &Config, slug: &str, at: DateTime<Utc>) -> String {
    let zone = config.orgs.iter().find(|org| org.slug == slug).map_or(chrono_tz::UTC, |org| org.timezone);
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string()
}
