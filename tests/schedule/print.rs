//! What other schedulers are told, held against what they accept: Kubernetes' schema, systemd's own tools where they are
//! installed, and Railway's documented keys.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use marts::config::Config;
use marts::schedule::{File, Place, Platform, print};
use serde::Deserialize;
use serde_json::Value;

const EXAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/marts.example.toml"));
const CRON_JOB: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/schedule/kubernetes-cronjob.schema.json"));

fn config() -> Config {
    Config::parse(EXAMPLE, Path::new("/etc/marts")).unwrap()
}

/// A place whose names need quoting.
fn place() -> Place {
    Place {
        program: "/bin/true".into(),
        config: "/srv/50% of it/marts.toml".into(),
        data: None,
        image: "registry.example.com/marts:1".to_owned(),
    }
}

fn files(platform: Platform) -> Vec<File> {
    print(&config(), platform, &place()).unwrap()
}

fn only(platform: Platform) -> String {
    let [file] = <[File; 1]>::try_from(files(platform)).unwrap();
    file.text
}

#[test]
fn a_crontab_has_a_line_for_each_time_of_each_organisation() {
    let text = only(Platform::Cron);
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let run = r"/bin/true --config '/srv/50\% of it/marts.toml' --quiet run";
    assert_eq!(
        lines,
        [
            "SHELL=/bin/sh",
            "CRON_TZ=America/Chicago",
            &format!("0 1 * * * {run} etl_sales_daily --org bennett"),
            &format!("30 1 * * * {run} etl_rental_fleet --org bennett"),
            &format!("0 2 * * * {run} etl_quickbooks_financial etl_cash_flow --org bennett"),
            &format!("0 2 * * * {run} etl_quickbooks_financial --org vital"),
            &format!("0 3 * * * {run} etl_hubspot_contacts etl_hubspot_deals --org vital"),
            &format!("0 4 * * * {run} etl_zoom_metrics --org vital"),
            &format!("0 5 * * * {run} etl_case_metrics --org vital"),
            &format!("0 6 * * * {run} etl_app_analytics --org vital"),
            &format!("0 1 * * * {run} etl_sales_daily --org ips"),
            &format!("30 1 * * * {run} etl_rental_fleet --org ips"),
            &format!("0 2 * * * {run} etl_quickbooks_financial etl_cash_flow --org ips"),
        ]
    );
}

#[test]
fn what_is_kept_elsewhere_is_named_in_each_command() {
    let place = Place { data: Some("/srv/a volume".into()), ..place() };
    for (platform, named) in
        [(Platform::Cron, "--data '/srv/a volume' "), (Platform::Systemd, "--data \"/srv/a volume\" ")]
    {
        let texts: String = print(&config(), platform, &place).unwrap().into_iter().map(|file| file.text).collect();
        let commands: Vec<_> = texts.lines().filter(|line| line.contains("/bin/true")).collect();
        assert!(!commands.is_empty() && commands.iter().all(|line| line.contains(named)), "{texts}");
    }
}

#[test]
fn kubernetes_takes_each_cron_job_by_its_own_schema() {
    let schema: Value = serde_json::from_str(CRON_JOB).unwrap();
    let jobs: Vec<Value> = serde_saphyr::from_multiple(&only(Platform::Kubernetes)).unwrap();
    assert_eq!(jobs.len(), 11);
    let mut names = BTreeSet::new();
    for job in &jobs {
        assert_eq!(faults(&schema, &schema, job, ""), Vec::<String>::new(), "{job}");
        let name = job["metadata"]["name"].as_str().unwrap();
        // What the schema does not say: a label of DNS, and short enough for the names that are made of it.
        assert!(name.len() <= 52 && names.insert(name.to_owned()), "{name}");
        assert!(name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-'));
    }
    let financial = &jobs[2]["spec"];
    assert_eq!((&financial["schedule"], &financial["timeZone"]), (&"0 2 * * *".into(), &"America/Chicago".into()));
    let container = &financial["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
    let arguments = serde_json::json!(["run", "etl_quickbooks_financial", "etl_cash_flow", "--org", "bennett"]);
    assert_eq!((&container["image"], &container["args"]), (&"registry.example.com/marts:1".into(), &arguments));
    // The schema finds what is wrong.
    let mut wrong = jobs[0].clone();
    wrong["spec"]["timezone"] = "America/Chicago".into();
    wrong["spec"]["startingDeadlineSeconds"] = "3600".into();
    wrong["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["name"].take();
    wrong["spec"].as_object_mut().unwrap().remove("schedule");
    wrong["kind"] = "Job".into();
    let expected = [
        ".kind is none of [\"CronJob\"]",
        ".spec lacks schedule",
        ".spec.jobTemplate.spec.template.spec.containers[0].name is no \"string\"",
        ".spec.startingDeadlineSeconds is no [\"integer\",\"null\"]",
        ".spec.timezone is unknown",
    ];
    let mut found = faults(&schema, &schema, &wrong, "");
    found.sort();
    assert_eq!(found, expected);
}

/// By what a value breaks a schema: of JSON Schema, the few keywords that Kubernetes uses, and no others.
fn faults(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, rule) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$schema" | "$comment" | "definitions" | "format" | "default" => {}
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/definitions/").unwrap();
                found.extend(faults(root, &root["definitions"][name], value, at));
            }
            "type" => {
                let names = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                if !names.iter().any(|name| is_of_type(value, name.as_str().unwrap())) {
                    found.push(format!("{at} is no {rule}"));
                }
            }
            "enum" => {
                if !rule.as_array().unwrap().contains(value) {
                    found.push(format!("{at} is none of {rule}"));
                }
            }
            "oneOf" => {
                let fits = rule.as_array().unwrap().iter().filter(|one| faults(root, one, value, at).is_empty());
                if fits.count() != 1 {
                    found.push(format!("{at} is not one of {rule}"));
                }
            }
            "required" => {
                let names = rule.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                let lacks = names.filter(|name| value.is_object() && value.get(name).is_none());
                found.extend(lacks.map(|name| format!("{at} lacks {name}")));
            }
            "items" => {
                for (place, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(faults(root, rule, item, &format!("{at}[{place}]")));
                }
            }
            "properties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    if let Some(rule) = rule.get(name) {
                        found.extend(faults(root, rule, inner, &format!("{at}.{name}")));
                    }
                }
            }
            "additionalProperties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    let is_known = schema.get("properties").is_some_and(|known| known.get(name).is_some());
                    match rule {
                        _ if is_known => {}
                        Value::Bool(false) => found.push(format!("{at}.{name} is unknown")),
                        rule => found.extend(faults(root, rule, inner, &format!("{at}.{name}"))),
                    }
                }
            }
            other => panic!("the schema uses {other}, which nobody reads here"),
        }
    }
    found
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type is called {other}"),
    }
}

/// `railway.toml` as Railway documents it, as far as it is used.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Railway {
    deploy: Deploy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Deploy {
    start_command: String,
    cron_schedule: String,
    restart_policy_type: String,
}

#[test]
fn railway_is_told_to_ask_every_few_minutes() {
    let Railway { deploy } = toml::from_str(&only(Platform::Railway)).unwrap();
    assert_eq!(deploy.start_command, "marts schedule --once");
    // Railway starts nothing more often than every five minutes, and starts nothing again that has ended.
    assert_eq!(deploy.cron_schedule, "*/10 * * * *");
    assert_eq!(deploy.restart_policy_type, "NEVER");
}

#[test]
fn systemd_takes_each_unit_and_each_time() {
    let files = files(Platform::Systemd);
    assert_eq!(files.len(), 22);
    let text = |name: &str| files.iter().find(|file| file.name == name).unwrap().text.clone();
    assert!(text("marts-bennett-sales-daily.timer").contains("\nOnCalendar=*-*-* 01:00:00 America/Chicago\n"));
    let service = text("marts-vital-hubspot-contacts.service");
    let command = "ExecStart=\"/bin/true\" --config \"/srv/50%% of it/marts.toml\" --quiet run etl_hubspot_contacts \
                   etl_hubspot_deals --org vital\n";
    assert!(service.contains(command), "{service}");
    let is_there = Command::new("systemd-analyze").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !is_there {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = files
        .iter()
        .map(|file| {
            let path = folder.path().join(&file.name);
            std::fs::write(&path, &file.text).unwrap();
            path
        })
        .collect();
    // Without other folders to look in, it says which units they come after are unknown; of ours it must find no fault.
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&paths).output().unwrap();
    let said = String::from_utf8(verified.stderr).unwrap();
    let ours: Vec<_> = said.lines().filter(|line| line.contains("marts-")).collect();
    assert_eq!(ours, Vec::<&str>::new());
}

#[test]
fn every_kind_of_time_is_written_for_systemd_as_it_is_meant() {
    let calendar = |cron: &str| {
        let text = EXAMPLE.replacen("etl_sales_daily = \"0 1 * * *\"", &format!("etl_sales_daily = \"{cron}\""), 1);
        let config = Config::parse(&text, Path::new("/etc/marts")).unwrap();
        let files = print(&config, Platform::Systemd, &place())?;
        let timer = files.into_iter().find(|file| file.name == "marts-bennett-sales-daily.timer").unwrap();
        let times = timer.text.lines().filter_map(|line| line.strip_prefix("OnCalendar=").map(str::to_owned));
        anyhow::Ok(times.collect::<Vec<_>>())
    };
    for (cron, expected) in [
        ("5 */12 * * *", &["*-*-* 00,12:05:00 America/Chicago"][..]),
        ("0 2 * * 1-3,7", &["Sun,Mon,Tue,Wed *-*-* 02:00:00 America/Chicago"]),
        ("0 2 1,15 6 *", &["*-06-01,15 02:00:00 America/Chicago"]),
        // The first of the month or a Monday.
        ("0 2 1 * MON", &["*-*-01 02:00:00 America/Chicago", "Mon *-*-* 02:00:00 America/Chicago"]),
    ] {
        let times = calendar(cron).unwrap();
        assert_eq!(times, expected, "{cron}");
        for time in &times {
            let known = Command::new("systemd-analyze").args(["calendar", time]).stdout(Stdio::null()).status();
            assert!(known.is_err() || known.unwrap().success(), "{time}");
        }
    }
    let refused = format!("{:#}", calendar("0 2 L * *").unwrap_err());
    assert!(refused.starts_with("the time of etl_sales_daily of bennett cannot be written for another scheduler"));
}
