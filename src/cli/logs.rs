//! Log lines: for people on a terminal, JSON elsewhere; always on stderr.
//!
//! Warnings and errors by default, since the progress lines tell the rest; `-v` adds each stage, `-vv` its details.
//! `RUST_LOG` overrules both, for all but the SQL Server driver.

use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::Global;
use super::traces::{self, Traces};

/// Starts logging for the whole process, and the traces that the environment asks for.
pub fn start(global: &Global, bars: &MultiProgress) -> Option<Traces> {
    // Only our own crate speaks below `warn`.
    let default = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "warn,marts=info",
        (false, _) => "warn,marts=debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // tiberius is silent whatever RUST_LOG says: it logs what servers say, errors that quote a person's data and whole
    // rows among it. What matters of that comes back as an error anyway.
    let silent = filter_fn(|metadata| !metadata.target().starts_with("tiberius"));
    let writer = AboveBars(bars.clone());
    let lines = if io::stderr().is_terminal() {
        tracing_subscriber::fmt::layer().with_target(false).with_writer(writer).boxed()
    } else {
        tracing_subscriber::fmt::layer().json().with_writer(writer).boxed()
    };
    let (traces, mistake) = match traces::start() {
        Ok(traces) => (traces, None),
        Err(error) => (None, Some(error)),
    };
    // Each its own filter: how much is logged does not say how much is traced.
    let lines = lines.with_filter(filter.and(silent));
    let layers = tracing_subscriber::registry().with(lines).with(traces.as_ref().map(Traces::layer));
    // A second start, as in tests, changes nothing.
    let _ = layers.try_init();
    if let Some(error) = mistake {
        tracing::warn!("no traces are kept: {error:#}");
    }
    traces
}

/// Writes to stderr while the progress bars are out of the way.
#[derive(Clone)]
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The subscriber hands over whole lines.
        self.0.suspend(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = AboveBars;

    fn make_writer(&'a self) -> AboveBars {
        self.clone()
    }
}
