//! The same times for the schedulers of platforms: a crontab, systemd's timers, Kubernetes' CronJobs, Railway.
//!
//! Each entry is one run: the jobs of one organisation that are due at the same time. Railway knows no time zones, so
//! there `marts schedule --once` decides every few minutes what is due.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::cron::{Cron, Fields};
use crate::config::{Config, Org};
use crate::jobs::{JOBS, Job};
use crate::run::source_for;

/// Whose scheduler it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Platform {
    /// A crontab
    Cron,
    /// Timers and services of systemd
    Systemd,
    /// railway.toml
    Railway,
    /// CronJobs
    Kubernetes,
}

/// What entries refer to.
#[derive(Debug, Clone)]
pub struct Place {
    /// The program, by its absolute path.
    pub program: PathBuf,
    /// The configuration, by its absolute path.
    pub config: PathBuf,
    /// Where what is kept lies, by its absolute path, where `--data` or `MARTS_DATA` names another folder than the configuration's.
    pub data: Option<PathBuf>,
    /// The container image, for Kubernetes.
    pub image: String,
}

impl Place {
    /// The option that names the folder of what is kept, quoted for its platform; nothing where there is none.
    fn data_option(&self, quoted: impl Fn(&str) -> String) -> String {
        self.data.as_ref().map_or_else(String::new, |data| format!(" --data {}", quoted(&data.to_string_lossy())))
    }
}

/// A file to hand to the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub name: String,
    pub text: String,
}

/// How often Railway starts the scheduler; five minutes is the least it takes.
const RAILWAY_EVERY: &str = "*/10 * * * *";

/// The jobs of an organisation that are due at the same time.
struct Entry<'a> {
    /// Lower-case letters, digits and `-`; no two alike.
    name: String,
    org: &'a Org,
    cron: Cron,
    jobs: Vec<&'static Job>,
}

impl Entry<'_> {
    /// The arguments of `marts`.
    fn arguments(&self) -> Vec<&str> {
        let jobs = self.jobs.iter().map(|job| job.name);
        ["run"].into_iter().chain(jobs).chain(["--org", &self.org.slug]).collect()
    }

    fn title(&self) -> String {
        let jobs: Vec<_> = self.jobs.iter().map(|job| job.name).collect();
        format!("{} of {}", jobs.join(", "), self.org.slug)
    }

    fn fields(&self) -> Result<Fields> {
        self.cron
            .fields()
            .with_context(|| format!("the time of {} cannot be written for another scheduler", self.title()))
    }
}

/// The files that a platform's scheduler needs.
///
/// # Errors
/// A time that the platform cannot be told.
pub fn print(config: &Config, platform: Platform, place: &Place) -> Result<Vec<File>> {
    let entries = entries(config)?;
    match platform {
        Platform::Cron => Ok(vec![crontab(&entries, place)?]),
        Platform::Systemd => systemd(&entries, place),
        Platform::Railway => Ok(vec![railway()]),
        Platform::Kubernetes => Ok(vec![kubernetes(&entries, place)?]),
    }
}

fn entries(config: &Config) -> Result<Vec<Entry<'_>>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut names = BTreeSet::new();
    for org in &config.orgs {
        let first = entries.len();
        for job in JOBS.iter().filter(|job| source_for(job, org).is_some()) {
            let cron = org.cron(job)?;
            if let Some(entry) = entries[first..].iter_mut().find(|entry| entry.cron == cron) {
                entry.jobs.push(job);
                continue;
            }
            // Kubernetes takes names of 52 letters.
            let words = format!("{}-{}", org.slug, job.name.trim_start_matches("etl_")).replace('_', "-");
            let words: String = words.trim_matches('-').chars().take(42).collect();
            let mut name = format!("marts-{}", words.trim_end_matches('-'));
            while !names.insert(name.clone()) {
                name = format!("marts-{}-{}", words.trim_end_matches('-'), names.len());
            }
            entries.push(Entry { name, org, cron, jobs: vec![job] });
        }
    }
    Ok(entries)
}

const CRONTAB: &str = "\
# The nights of marts, for cronie: `crontab FILE`. Debian's cron does not know CRON_TZ; there use systemd's timers, or
# `marts schedule`. A time that the clock skips, cron runs when the clock goes on.
SHELL=/bin/sh
";

fn crontab(entries: &[Entry<'_>], place: &Place) -> Result<File> {
    let mut text = CRONTAB.to_owned();
    let mut zone = None;
    for entry in entries {
        if zone != Some(entry.org.timezone) {
            zone = Some(entry.org.timezone);
            let _ = write!(text, "\nCRON_TZ={}\n", entry.org.timezone);
        }
        let program = shell(&place.program.to_string_lossy());
        let config = shell(&place.config.to_string_lossy());
        let data = place.data_option(shell);
        let arguments = entry.arguments().join(" ");
        // Cron ends a command at a percent sign.
        let command = format!("{program} --config {config}{data} --quiet {arguments}").replace('%', "\\%");
        let _ = writeln!(text, "{} {command}", classic(&entry.fields()?));
    }
    Ok(File { name: "marts.crontab".to_owned(), text })
}

fn systemd(entries: &[Entry<'_>], place: &Place) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for entry in entries {
        let title = entry.title();
        let calendar: String = calendar(&entry.fields()?)
            .into_iter()
            .map(|times| format!("OnCalendar={times} {}\n", entry.org.timezone))
            .collect();
        let folder = place.config.parent().unwrap_or(Path::new("/")).to_string_lossy();
        let program = unit(&place.program.to_string_lossy());
        let config = unit(&place.config.to_string_lossy());
        let data = place.data_option(unit);
        let arguments = entry.arguments().join(" ");
        files.push(File {
            name: format!("{}.service", entry.name),
            text: format!(
                "[Unit]\nDescription=marts: {title}\nWants=network-online.target\nAfter=network-online.target\n\n\
                 [Service]\nType=oneshot\nWorkingDirectory={}\n\
                 # Secrets that marts.toml takes from the environment, one NAME=value a line.\n\
                 EnvironmentFile=-/etc/marts/environment\n\
                 ExecStart={program} --config {config}{data} --quiet {arguments}\n\
                 # Dashboards and a database that share the machine go first.\nNice=10\n",
                folder.replace('%', "%%")
            ),
        });
        files.push(File {
            name: format!("{}.timer", entry.name),
            text: format!(
                "[Unit]\nDescription=marts: when {title} is due\n\n[Timer]\n{calendar}\
                 # A night that was missed is caught up when the machine is back.\nPersistent=true\nAccuracySec=1s\n\n\
                 [Install]\nWantedBy=timers.target\n"
            ),
        });
    }
    Ok(files)
}

fn railway() -> File {
    let text = format!(
        "# Railway starts the service by UTC. So it is started every few minutes, and marts decides in each organisation's\n\
         # time zone what is due, catches up what was missed and tries again what failed. It needs a server as [postgres]\n\
         # url, a volume that MARTS_DATA names, and MARTS_CONFIG where the configuration is not marts.toml.\n\
         [deploy]\n\
         startCommand = \"marts schedule --once\"\n\
         cronSchedule = \"{RAILWAY_EVERY}\"\n\
         restartPolicyType = \"NEVER\"\n"
    );
    File { name: "railway.toml".to_owned(), text }
}

const KUBERNETES: &str = "\
# The nights of marts. They need: a secret `marts` with the file marts.toml and the files it refers to; a secret
# `marts-environment` with what it takes from the environment, if anything; a volume claim `marts-staging`, mounted at
# /data, where the landing zone lies; and a server as [postgres] url. Kubernetes skips a time that the clock skips.
";

fn kubernetes(entries: &[Entry<'_>], place: &Place) -> Result<File> {
    let mut text = KUBERNETES.to_owned();
    for entry in entries {
        let arguments: Vec<_> = entry.arguments().iter().map(|word| yaml(word)).collect();
        let _ = write!(
            text,
            "---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: marts
spec:
  schedule: {schedule}
  timeZone: {zone}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 3600
  jobTemplate:
    spec:
      backoffLimit: 3
      podFailurePolicy:
        rules:
          # A wrong configuration does not get better by trying again.
          - action: FailJob
            onExitCodes:
              containerName: marts
              operator: In
              values: [2]
      template:
        metadata:
          labels:
            app.kubernetes.io/name: marts
        spec:
          restartPolicy: Never
          containers:
            - name: marts
              image: {image}
              command: [marts]
              args: [{arguments}]
              env:
                - name: MARTS_CONFIG
                  value: /etc/marts/marts.toml
                - name: MARTS_DATA
                  value: /data
              envFrom:
                - secretRef:
                    name: marts-environment
                    optional: true
              volumeMounts:
                - name: config
                  mountPath: /etc/marts
                  readOnly: true
                - name: staging
                  mountPath: /data
          volumes:
            - name: config
              secret:
                secretName: marts
            - name: staging
              persistentVolumeClaim:
                claimName: marts-staging
",
            name = entry.name,
            schedule = yaml(&classic(&entry.fields()?)),
            zone = yaml(entry.org.timezone.name()),
            image = yaml(&place.image),
            arguments = arguments.join(", "),
        );
    }
    Ok(File { name: "marts-cronjobs.yaml".to_owned(), text })
}

/// Five fields of numbers and `*`, as every cron reads them.
fn classic(fields: &Fields) -> String {
    let list = |values: &[u16], all: usize| if values.len() == all { "*".to_owned() } else { joined(values, 1) };
    let some = |values: &Option<Vec<u16>>| values.as_ref().map_or_else(|| "*".to_owned(), |days| joined(days, 1));
    let Fields { minutes, hours, days, months, weekdays } = fields;
    let (minutes, hours, months) = (list(minutes, 60), list(hours, 24), list(months, 12));
    format!("{minutes} {hours} {} {months} {}", some(days), some(weekdays))
}

/// The same for systemd, which wants a date to match both day and weekday: where cron takes either, there are two.
fn calendar(fields: &Fields) -> Vec<String> {
    const NAMES: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    let Fields { minutes, hours, days, months, weekdays } = fields;
    let list = |values: &[u16], all: usize| if values.len() == all { "*".to_owned() } else { joined(values, 2) };
    let time = format!("{}:{}:00", list(hours, 24), list(minutes, 60));
    let months = list(months, 12);
    let by_day = days.as_ref().map(|days| format!("*-{months}-{} {time}", joined(days, 2)));
    let by_weekday = weekdays.as_ref().map(|weekdays| {
        let names: Vec<_> = weekdays.iter().filter_map(|day| NAMES.get(usize::from(*day)).copied()).collect();
        format!("{} *-{months}-* {time}", names.join(","))
    });
    match (by_day, by_weekday) {
        (None, None) => vec![format!("*-{months}-* {time}")],
        (by_day, by_weekday) => by_day.into_iter().chain(by_weekday).collect(),
    }
}

/// Numbers of so many digits at least, with commas between.
fn joined(values: &[u16], digits: usize) -> String {
    values.iter().map(|value| format!("{value:0digits$}")).collect::<Vec<_>>().join(",")
}

/// A word for a shell.
fn shell(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:@".contains(letter);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// A word for a unit of systemd.
fn unit(word: &str) -> String {
    let word = word.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{word}\"")
}

/// A text for YAML, quoted: JSON's strings are YAML's.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
