//! Log lines: for people on a terminal, JSON elsewhere; always on stderr.
//!
//! Warnings and errors by default, since the progress lines tell the rest; `-v` adds each stage, `-vv` its details.
//! `RUST_LOG` overrules both.

use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::Global;

/// Starts logging for the whole process.
pub fn start(global: &Global, bars: &MultiProgress) {
    // Only our own crate speaks below `warn`. tiberius is silent: it logs what servers say, which may quote a person's
    // data, and what it says comes back as an error anyway.
    let default = match (global.quiet, global.verbose) {
        (true, _) => "error,tiberius=off",
        (false, 0) => "warn,tiberius=off",
        (false, 1) => "warn,tiberius=off,marts=info",
        (false, _) => "warn,tiberius=off,marts=debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let writer = AboveBars(bars.clone());
    let registry = tracing_subscriber::registry().with(filter);
    // A second start, as in tests, changes nothing.
    let _ = if io::stderr().is_terminal() {
        registry.with(tracing_subscriber::fmt::layer().with_target(false).with_writer(writer)).try_init()
    } else {
        registry.with(tracing_subscriber::fmt::layer().json().with_writer(writer)).try_init()
    };
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
