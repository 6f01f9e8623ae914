//! Settings and dates as people, editors and scripts garble them.

use std::path::Path;

use chrono::{DateTime, Datelike as _, Utc};
use clap::Parser as _;
use marts::cli::{Cli, Command};
use marts::config::Config;
use marts::jobs::JOBS;
use marts::run::{Window, plan, source_for, todo};
use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

use super::{change, must_be_a_line, trials};

const EXAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/marts.example.toml"));

/// The example with lines gone, doubled, exchanged, and values replaced.
fn garbled(die: &mut ChaCha8Rng) -> Vec<u8> {
    let mut lines: Vec<String> =
        EXAMPLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect();
    for _ in 0..die.random_range(0..4) {
        let (at, other) = (die.random_range(0..lines.len()), die.random_range(0..lines.len()));
        match die.random_range(0..6) {
            0 => _ = lines.remove(at),
            1 => {
                let again = lines[at].clone();
                lines.insert(other, again);
            }
            2 => lines.swap(at, other),
            _ => {
                let values = [
                    "0",
                    "-1",
                    "1",
                    "65536",
                    "18446744073709551616",
                    "1e3",
                    "inf",
                    "nan",
                    "true",
                    "\"\"",
                    "\"x\"",
                    "'x'",
                    "[]",
                    "{}",
                    "[\"12\", \"12-11\"]",
                    "[\"2024-13\"]",
                    "[\"0000-00\"]",
                    "2025-02-30",
                    "2025-03-01",
                    "0000-01-01",
                    "9999-12-31",
                    "2025-03-01T00:00:00Z",
                    "\"env:\"",
                    "\"file:\"",
                    "\"env:X\"",
                    "\"literal\"",
                    "\"America/Nowhere\"",
                    "\"../../etc\"",
                    "\"a\\u0000b\"",
                    "\"https://\"",
                    "\"http://example.com\"",
                    "\"not a url\"",
                    "[[[]]]",
                    "\"ä\"",
                ];
                if let Some((key, _)) = lines[at].split_once('=') {
                    lines[at] = format!("{key}= {}", values.choose(die).unwrap());
                }
            }
        }
    }
    let mut text = lines.join("\n").into_bytes();
    if die.random_range(0..4) == 0 {
        change::bytes(&mut text, die);
    }
    text
}

#[test]
fn garbled_settings_are_refused_in_a_line_or_read_as_they_stand() {
    let now: DateTime<Utc> = "2026-01-21T14:00:00Z".parse().unwrap();
    let mut read = 0;
    trials("marts.toml", 40, |die| {
        let Ok(text) = String::from_utf8(garbled(die)) else { return };
        let config = match Config::parse(&text, Path::new("/nowhere")) {
            Ok(config) => config,
            Err(error) => {
                must_be_a_line(&error);
                assert!(format!("{error:#}").starts_with("/nowhere/marts.toml"), "{error:#}");
                return;
            }
        };
        read += 1;
        // A second reading, which knows nothing of what a setting means.
        let table: toml::Table = text.parse().unwrap();
        let number = |table: &toml::Table, section: &str, key: &str| {
            table.get(section).and_then(|section| section.get(key)).and_then(toml::Value::as_integer)
        };
        for (key, value) in [
            ("organizations_at_once", config.limits.organizations_at_once.into()),
            ("duckdb_memory_mib", config.limits.duckdb_memory_mib),
            ("duckdb_threads", config.limits.duckdb_threads.into()),
            ("http_timeout_secs", config.limits.http_timeout_secs),
            ("max_answer_mib", config.limits.max_answer_mib),
            ("tries", config.limits.tries.into()),
        ] {
            if let Some(written) = number(&table, "limits", key) {
                assert_eq!(i64::try_from(value), Ok(written), "{key}\n{text}");
            }
        }
        let orgs = table["org"].as_array().unwrap();
        assert_eq!(config.orgs.len(), orgs.len(), "{text}");
        for (org, written) in config.orgs.iter().zip(orgs) {
            let said = |key: &str| written.get(key).and_then(toml::Value::as_str);
            assert_eq!(said("slug"), Some(org.slug.as_str()), "{text}");
            assert_eq!(said("timezone"), Some(org.timezone.name()), "{text}");
            let month = written.get("fiscal_year_start_month").and_then(toml::Value::as_integer);
            assert_eq!(month, Some(org.fiscal_year_start_month.into()), "{text}");
            let start = written.get("data_start_date").map(ToString::to_string);
            assert_eq!(start, org.data_start_date.map(|day| day.to_string()), "{text}");
            for connector in ["softbase", "quickbooks", "hubspot", "zoom", "bigquery", "cases"] {
                let has = match connector {
                    "softbase" => org.softbase.is_some(),
                    "quickbooks" => org.quickbooks.is_some(),
                    "hubspot" => org.hubspot.is_some(),
                    "zoom" => org.zoom.is_some(),
                    "bigquery" => org.bigquery.is_some(),
                    _ => org.cases.is_some(),
                };
                assert_eq!(has, written.get(connector).is_some(), "{connector}\n{text}");
            }
            // Whatever is accepted can be planned with, or is refused in a line.
            let window = Window::resolve(org, now, None, None).unwrap();
            for job in JOBS {
                let Some(source) = source_for(job, org) else { continue };
                if let Err(error) = plan(job, source, org, window) {
                    must_be_a_line(&error);
                }
            }
        }
    });
    assert!(read > 0, "some are still good");
}

/// A day as it might be written.
fn day(die: &mut ChaCha8Rng) -> String {
    let odd = [
        "",
        " ",
        "today",
        "2026-01-20 ",
        "2026-1-20",
        "2026-02-30",
        "2025-02-29",
        "2024-02-29",
        "0000-01-01",
        "0001-01-01",
        "1899-12-31",
        "9999-12-31",
        "10000-01-01",
        "+2026-01-20",
        "-2026-01-20",
        "-262143-01-01",
        "+262142-12-31",
        "262142-12-31",
        "２０２６-01-20",
        "2026-01-20T00:00:00Z",
        "20260120",
        "2026/01/20",
        "2026-01",
        "2026-01-20-",
        "1e3",
        "\u{0}",
        "2026-13-01",
        "2026-00-10",
    ];
    match die.random_range(0..4) {
        0 => odd.choose(die).unwrap().to_string(),
        1 => {
            let mut text = b"2026-01-20".to_vec();
            change::bytes(&mut text, die);
            String::from_utf8_lossy(&text).into_owned()
        }
        _ => format!(
            "{:04}-{:02}-{:02}",
            die.random_range(1890..2030),
            die.random_range(1..=12),
            die.random_range(1..=31)
        ),
    }
}

/// Whether a text is a day of the calendar, four digits, two and two: reckoned without a library.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let is_number = |part: &&str, digits| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
    if !(is_number(year, 4) && is_number(month, 2) && is_number(day, 2)) {
        return false;
    }
    let (year, month, day): (u32, usize, u32) = (year.parse().unwrap(), month.parse().unwrap(), day.parse().unwrap());
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    // Nothing that is reported here began before 1900.
    year >= 1900 && (1..=12).contains(&month) && (1..=days[month - 1]).contains(&day)
}

#[test]
fn a_day_on_the_command_line_is_that_day_or_refused() {
    let config = Config::parse(EXAMPLE, Path::new("/nowhere")).unwrap();
    let now: DateTime<Utc> = "2026-01-21T14:00:00Z".parse().unwrap();
    trials("days on the command line", 40, |die| {
        let (as_of, from, to) = (day(die), day(die), day(die));
        let mut words = vec!["marts".to_owned(), "run".to_owned()];
        let has_range: bool = die.random();
        words.push(format!("--as-of={as_of}"));
        if has_range {
            words.extend([format!("--from={from}"), format!("--to={to}")]);
        }
        let are_days = is_day(&as_of) && (!has_range || is_day(&from) && is_day(&to));
        let parsed = Cli::try_parse_from(&words);
        assert_eq!(parsed.is_ok(), are_days, "{words:?}");
        let Ok(Cli { command: Command::Run(args), .. }) = parsed else { return };
        let read = args.as_of.unwrap();
        assert_eq!(format!("{:04}-{:02}-{:02}", read.year(), read.month(), read.day()), as_of);
        // What it comes to is planned, or refused in a line.
        let Ok(request) = args.request() else { return };
        match todo(&config, &request, now) {
            Err(error) => must_be_a_line(&error),
            Ok(found) => {
                for found in found {
                    for job in found.jobs {
                        if let Err(error) = plan(job, source_for(job, found.org).unwrap(), found.org, found.window) {
                            must_be_a_line(&error);
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn an_instant_on_the_command_line_is_that_instant_or_refused() {
    let config = Config::parse(EXAMPLE, Path::new("/nowhere")).unwrap();
    let good = ["2026-01-21T12:00:00Z", "2026-01-21T06:00:00-06:00", "20260121T120000Z", "pull=20260121T120000Z"];
    let noon: DateTime<Utc> = "2026-01-21T12:00:00Z".parse().unwrap();
    trials("instants on the command line", 40, |die| {
        let mut text = good.choose(die).unwrap().as_bytes().to_vec();
        let is_whole = die.random_range(0..4) == 0;
        if !is_whole {
            change::bytes(&mut text, die);
        }
        let mut text = String::from_utf8_lossy(&text).into_owned();
        if die.random_range(0..20) == 0 {
            let odd = [
                "-262143-01-01T00:00:00Z",
                "+262142-12-31T23:59:59Z",
                "+2621421231T235959Z",
                "-2621430101T000000Z",
                "9999-12-31T23:59:59Z",
            ];
            text = odd.choose(die).unwrap().to_string();
        }
        let words = ["marts", "run", "--from-staging", &format!("--as-of-pull={text}")].map(str::to_owned);
        let Ok(Cli { command: Command::Run(args), .. }) = Cli::try_parse_from(&words) else {
            assert!(!is_whole || !good.contains(&text.as_str()), "{text}");
            return;
        };
        if is_whole && good.contains(&text.as_str()) {
            assert_eq!(args.as_of_pull, Some(noon), "{text}");
        }
        match todo(&config, &args.request().unwrap(), noon) {
            Err(error) => must_be_a_line(&error),
            Ok(found) => {
                for found in found {
                    for job in found.jobs {
                        if let Err(error) = plan(job, source_for(job, found.org).unwrap(), found.org, found.window) {
                            must_be_a_line(&error);
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn a_period_on_the_command_line_is_that_period_or_refused() {
    trials("periods on the command line", 40, |die| {
        let text = match die.random_range(0..3) {
            0 => day(die),
            1 => day(die).chars().take(7).collect(),
            _ => {
                let mut text = b"2026-01".to_vec();
                change::bytes(&mut text, die);
                String::from_utf8_lossy(&text).into_owned()
            }
        };
        let period = text.parse::<marts::periods::Partition>();
        if let Ok(period) = &period {
            assert_eq!(period.to_string(), text, "what is read is what was written");
            assert!(period.start() <= period.end());
        }
        if is_day(&text) || is_day(&format!("{text}-01")) {
            assert!(period.is_ok(), "{text}");
        }
        // Other verbs read days and periods too.
        for words in [
            vec!["marts", "explain", "mart_sales_daily", "--org=bennett", &format!("--period={text}")],
            vec!["marts", "changes", &format!("--since={text}")],
            vec!["marts", "reparse", &format!("--period={text}")],
            vec!["marts", "staging", "ls", &format!("--period={text}")],
            vec!["marts", "staging", "gc", &format!("--keep={text}")],
        ] {
            if let Err(error) = Cli::try_parse_from(words.iter().map(ToString::to_string)) {
                assert!(!error.to_string().is_empty());
            }
        }
    });
}
