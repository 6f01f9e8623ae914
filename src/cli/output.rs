//! The two streams: results to stdout, errors to stderr.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};
use serde::Serialize;

/// Writes a result to stdout.
///
/// A reader that has gone away, as in `marts runs | head -1`, is no error: it has what it wanted.
///
/// # Errors
/// When stdout cannot be written, say because a disk is full.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}

/// Writes a result to stdout as one JSON document.
///
/// # Errors
/// As [`print`].
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).context("the result cannot be written as JSON")?;
    text.push('\n');
    print(&text)
}

/// Says what whoever called us should write differently: always one line.
pub fn report_mistake(error: &anyhow::Error) {
    complain(&one_line(&format!("{error:#}")));
}

/// Says what went wrong: one line, or all that is known when `RUST_BACKTRACE` asks for it.
pub fn report_error(error: &anyhow::Error) {
    match error.backtrace().status() {
        BacktraceStatus::Captured => complain(&format!("{error:?}")),
        _ => report_mistake(error),
    }
}

/// Says what is no result and no error, in one line.
pub fn note(what: &str) {
    // Nobody is left to be told when stderr is gone.
    let _ = io::stderr().write_all(format!("{}\n", one_line(what)).as_bytes());
}

fn complain(what: &str) {
    // Nobody is left to be told when stderr is gone.
    let _ = io::stderr().write_all(format!("error: {what}\n").as_bytes());
}

/// Makes a panic one line too. Its message stays out, because it may quote any value; the place is what a bug report
/// needs, and `RUST_BACKTRACE=1` shows the rest.
pub fn report_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if Backtrace::capture().status() == BacktraceStatus::Captured {
            default(panic);
        } else {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            complain(&format!("a bug in marts at {place}; RUST_BACKTRACE=1 shows more"));
        }
    }));
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
