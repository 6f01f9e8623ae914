//! What a run tells while it works: a bar on a terminal, plain lines elsewhere, JSON lines with `--json`.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::report::{Event, MartReport};
use super::{Global, output, tables};

/// Tells of events, from any thread.
pub struct Progress {
    way: Way,
    marts: AtomicUsize,
    done: AtomicUsize,
}

enum Way {
    Silent,
    /// On stderr, above what is printed last.
    Bar(ProgressBar),
    /// On stderr.
    Lines,
    /// On stdout: here the events are the data.
    Json,
}

impl Progress {
    /// Chooses the way that suits the options and the terminal.
    pub fn new(global: &Global, bars: &MultiProgress) -> Self {
        let way = if global.json {
            Way::Json
        } else if global.quiet {
            Way::Silent
        } else if io::stderr().is_terminal() {
            let bar = bars.add(ProgressBar::new(0));
            bar.set_style(style());
            Way::Bar(bar)
        } else {
            Way::Lines
        };
        Progress { way, marts: AtomicUsize::new(0), done: AtomicUsize::new(0) }
    }

    /// Tells of an event. A stream that cannot be written is not worth a failed night, so nothing is returned.
    pub fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Started { marts, .. } => self.marts.store(*marts, Ordering::Relaxed),
            Event::Done { .. } => _ = self.done.fetch_add(1, Ordering::Relaxed),
            _ => {}
        }
        match &self.way {
            Way::Silent => {}
            Way::Json => {
                // A pull under way tells thousands of times; who reads JSON wants what is complete.
                if !matches!(event, Event::Pulling { .. })
                    && let Ok(line) = serde_json::to_string(event)
                {
                    let _ = output::print(&format!("{line}\n"));
                }
            }
            Way::Lines => {
                if let Some(line) = self.line(event) {
                    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
                }
            }
            Way::Bar(bar) => self.draw(bar, event),
        }
    }

    /// Takes the bar away, before the closing table.
    pub fn finish(&self) {
        if let Way::Bar(bar) = &self.way {
            bar.finish_and_clear();
        }
    }

    fn draw(&self, bar: &ProgressBar, event: &Event<'_>) {
        match event {
            Event::Started { marts, .. } => {
                bar.set_length(*marts as u64);
                bar.enable_steady_tick(Duration::from_millis(120));
            }
            Event::Pulling { org, dataset, rows } => bar.set_message(format!("{org} pulling {dataset}, {rows} rows")),
            Event::Pulled { org, dataset, period, rows } => {
                bar.set_message(format!("{org} pulled {dataset} {period}, {rows} rows"));
            }
            Event::Computed { org, job, .. } => bar.set_message(format!("{org} publishing {job}")),
            Event::Done { .. } => {
                bar.inc(1);
                if let Some(line) = self.line(event) {
                    bar.println(line);
                }
            }
        }
    }

    /// The event in one line; none for what would only be noise in a log.
    fn line(&self, event: &Event<'_>) -> Option<String> {
        Some(match event {
            Event::Started { run: Some(run), marts } => format!("run {run}: {marts} marts to fill"),
            Event::Started { run: None, marts } => format!("{marts} marts to compute"),
            Event::Pulling { .. } => return None,
            Event::Pulled { org, dataset, period, rows } => format!("{org}: pulled {dataset} {period}, {rows} rows"),
            Event::Computed { org, job, rows } => format!("{org}: computed {job}, {rows} rows"),
            Event::Done { mart } => {
                let done = self.done.load(Ordering::Relaxed);
                format!("{done} of {}  {}", self.marts.load(Ordering::Relaxed), outcome(mart))
            }
        })
    }
}

fn outcome(mart: &MartReport) -> String {
    let MartReport { org, mart: table, status, inserted, updated, unchanged, duration, .. } = mart;
    format!(
        "{org} {table} {}: {inserted} inserted, {updated} updated, {unchanged} unchanged, in {}",
        status.name(),
        tables::seconds(*duration)
    )
}

fn style() -> ProgressStyle {
    // The template is a constant, so a mistake in it shows at once; a bar without style is still a bar.
    ProgressStyle::with_template("{spinner} [{elapsed}] {bar:24} {pos} of {len}  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
