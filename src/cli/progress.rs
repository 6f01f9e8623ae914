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
            Event::Staged { .. } => {
                if let Some(line) = self.line(event) {
                    bar.println(line);
                }
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
            Event::Staged { org, dataset, period, pulled_at } => {
                let taken = pulled_at.format("%Y-%m-%d %H:%M UTC");
                format!("{org}: {dataset} {period} is the snapshot taken {taken}")
            }
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

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::*;

    #[test]
    fn a_line_is_what_a_log_should_keep() {
        let progress = Progress { way: Way::Silent, marts: AtomicUsize::new(0), done: AtomicUsize::new(0) };
        let told = |event: &Event<'_>| {
            progress.tell(event);
            progress.line(event)
        };
        let mart = MartReport {
            org: "bennett".to_owned(),
            job: "etl_sales_daily".to_owned(),
            mart: "mart_sales_daily".to_owned(),
            status: Status::Published,
            landed: 10,
            inserted: 1,
            updated: 2,
            unchanged: 42,
            duration: Duration::from_millis(300),
            findings: Vec::new(),
            error: None,
        };
        let line = |text: &str| Some(text.to_owned());
        let (org, dataset, rows) = ("bennett", "softbase_invoices", 7);
        assert_eq!(told(&Event::Started { run: Some("42"), marts: 3 }), line("run 42: 3 marts to fill"));
        assert_eq!(told(&Event::Pulling { org, dataset, rows }), None);
        assert_eq!(
            told(&Event::Pulled { org, dataset, period: "2026-01", rows }),
            line("bennett: pulled softbase_invoices 2026-01, 7 rows")
        );
        assert_eq!(
            told(&Event::Done { mart: &mart }),
            line("1 of 3  bennett mart_sales_daily published: 1 inserted, 2 updated, 42 unchanged, in 0.3 s")
        );
        let json = serde_json::to_value(Event::Done { mart: &mart }).unwrap();
        assert_eq!((&json["event"], &json["mart"]["duration_ms"]), (&"done".into(), &300.into()));
    }
}
