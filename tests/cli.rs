//! The binary as a shell sees it: streams and exit codes.

use std::io::Read;
use std::process::{Command, Output, Stdio};

fn marts(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_marts"));
    command
        .args(arguments)
        .env_remove("RUST_BACKTRACE")
        .env_remove("RUST_LOG")
        .env_remove("MARTS_CONFIG")
        .env_remove("MARTS_DATA");
    command
}

fn ends(arguments: &[&str], code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = marts(arguments).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(code), "marts {arguments:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

#[test]
fn results_go_to_stdout_and_nothing_else_does() {
    let (stdout, stderr) = ends(&["jobs"], 0);
    assert_eq!(stdout.lines().count(), marts::jobs::JOBS.len() + 1);
    assert_eq!(stderr, "");
    let (stdout, _) = ends(&["datasets", "--json"], 0);
    let datasets: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(datasets.as_array().unwrap().len(), marts::datasets::DATASETS.len());
    assert!(ends(&["datasets", "softbase_invoices"], 0).0.contains("grand_total"));
    assert!(ends(&["--version"], 0).0.starts_with("marts "));
}

#[test]
fn usage_and_configuration_end_with_2_and_one_line() {
    let (stdout, stderr) = ends(&["--config", "/nonexistent/marts.toml", "check"], 2);
    assert_eq!(stdout, "");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("error: there is no configuration at /nonexistent/marts.toml"), "{stderr}");
    ends(&[], 2);
    ends(&["jbos"], 2);
    ends(&["datasets", "invoices"], 2);
    ends(&["jobs", "--quiet", "-v"], 2);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/marts.example.toml");
    let (_, stderr) = ends(&["--config", example, "check", "--org", "bennet"], 2);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn check_names_every_missing_secret_at_once() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/marts.example.toml");
    let output = marts(&["--config", example, "--json", "check", "--offline"])
        .env("BENNETT_SOFTBASE_PASSWORD", "hunter2")
        .env_remove("VITAL_QUICKBOOKS_CLIENT_ID")
        .env_remove("VITAL_QUICKBOOKS_CLIENT_SECRET")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("hunter2"));
    let checked: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let problems = |org: &str| -> usize {
        let mut of_org = checked.iter().filter(|ready| ready["org"] == org);
        of_org.next().unwrap()["problems"].as_array().unwrap().len()
    };
    assert_eq!(problems("bennett"), 0);
    assert!(problems("vital") >= 2);
    assert_eq!(problems("ips"), 1);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = marts(&["datasets", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    assert_eq!(stderr, "");
}

/// A folder to write a configuration into.
fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("marts.toml").to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn a_configuration_is_written_from_arguments_and_never_over_another() {
    let (_folder, path) = folder();
    let init = |rest: &[&str], code| ends(&[&["--config", &path, "init"], rest].concat(), code);
    let (_, error) = init(&["--org", "acme"], 2);
    assert!(error.contains("say what acme has with --source: softbase, ledger, quickbooks"), "{error}");
    let (_, error) =
        init(&["--org", "acme", "--source", "zoom", "--source", "hubspot", "--set", "zoom.account_id=A"], 2);
    assert!(error.contains("still to be said: --set hubspot.home_currency=…"), "{error}");
    let (_, error) = init(&["--org", "Acme!", "--source", "zoom", "--set", "zoom.account_id=A"], 2);
    assert!(error.contains("a slug is made of lower-case letters"), "{error}");
    let (_, error) =
        init(&["--org", "acme", "--source", "zoom", "--set", "zoom.account_id=A", "--set", "zoom.color=red"], 2);
    assert!(error.contains("--set zoom.color: there is no such key"), "{error}");
    assert!(!std::path::Path::new(&path).exists(), "what was refused wrote nothing");

    let softbase = [
        "schema=acm001",
        "server.host=db.acme.example",
        "server.database=evo",
        "server.user=reader",
        "server.port=1444",
    ];
    let set = softbase.map(|pair| format!("--set=softbase.{pair}"));
    let mut arguments = vec!["--org", "acme", "--name", "Acme Forklifts", "--timezone", "America/Denver"];
    arguments.extend(["--fiscal-year-start-month", "7", "--source", "ledger", "--source", "hubspot"]);
    arguments.extend(set.iter().map(String::as_str));
    arguments.extend(["--set", "hubspot.home_currency=CAD", "--postgres-url", "env:ACME_POSTGRES"]);
    let (said, _) = init(&arguments, 0);
    for secret in ["ACME_SOFTBASE_PASSWORD", "ACME_HUBSPOT_TOKEN", "ACME_POSTGRES"] {
        assert!(said.contains(&format!("the environment variable {secret}")), "{said}");
    }
    assert!(!said.contains("MARTS_TOKEN_KEY"), "it has no tokens to encrypt: {said}");
    let config = marts::config::Config::load(path.as_ref()).unwrap();
    let [org] = config.orgs.as_slice() else { panic!("one organisation") };
    assert_eq!(
        (org.slug.as_str(), org.name.as_str(), org.timezone.name()),
        ("acme", "Acme Forklifts", "America/Denver")
    );
    assert_eq!((org.fiscal_year_start_month, org.data_start_date, org.excluded_months.len()), (7, None, 0));
    let softbase = org.softbase.as_ref().unwrap();
    assert_eq!(
        (softbase.schema.as_str(), softbase.server.host.as_str(), softbase.server.port),
        ("acm001", "db.acme.example", 1444)
    );
    assert!(softbase.ledger.is_some() && org.quickbooks.is_none() && org.zoom.is_none() && org.cases.is_none());
    assert_eq!(org.hubspot.as_ref().unwrap().home_currency, "CAD");
    // Every comment of what it has is there, and nothing of other people.
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("# Work orders known to be corrupt") && text.contains("# Requests in flight to one HTTP source"),
        "{text}"
    );
    for other in ["vital", "bennett", "VITAL", "BENNETT", "ips"] {
        assert!(!text.contains(other), "{other} is in {text}");
    }

    let (_, error) = init(&["--org", "other", "--source", "zoom", "--set", "zoom.account_id=A"], 2);
    assert!(error.contains("is there already, and stays as it is; --force replaces it"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    init(&["--org", "other", "--source", "zoom", "--set", "zoom.account_id=A", "--force"], 0);
    assert_eq!(marts::config::Config::load(path.as_ref()).unwrap().orgs[0].slug, "other");
}

#[test]
fn a_configuration_is_written_from_answers_and_a_wrong_one_is_asked_again() {
    use std::io::Write as _;
    let (_folder, path) = folder();
    let asked = |answers: &str| {
        let mut child = marts(&["--config", &path, "init"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = asked("acme\n\n");
    assert_eq!(code, Some(2));
    assert!(said.contains("the answers end before the questions; nothing was written"), "{said}");
    assert!(!std::path::Path::new(&path).exists());
    let (code, said) = asked(
        "ACME\nacme\n\nMars/Olympus\nEurope/Berlin\n13\n\nzoom, sap\nzoom bigquery\nA1\nacme-app\nanalytics_1\nEU\n\n",
    );
    assert_eq!(code, Some(0), "{said}");
    for complaint in
        ["a slug is made of lower-case letters", "write a zone as", "a number from 1 to 12", "sap is none of softbase"]
    {
        assert!(said.contains(complaint), "{complaint} is not in {said}");
    }
    let config = marts::config::Config::load(path.as_ref()).unwrap();
    let org = &config.orgs[0];
    assert_eq!((org.name.as_str(), org.timezone.name(), org.fiscal_year_start_month), ("acme", "Europe/Berlin", 1));
    assert_eq!(org.zoom.as_ref().unwrap().account_id, "A1");
    assert_eq!(org.bigquery.as_ref().unwrap().location, "EU");
    assert!(config.postgres.url.is_none() && org.softbase.is_none());
}

/// Whatever an organisation has, what is written is a configuration.
#[test]
fn every_source_alone_makes_a_configuration() {
    let (_folder, path) = folder();
    for (source, set) in [
        (
            "softbase",
            &["softbase.schema=a", "softbase.server.host=h", "softbase.server.database=d", "softbase.server.user=u"][..],
        ),
        (
            "ledger",
            &["softbase.schema=a", "softbase.server.host=h", "softbase.server.database=d", "softbase.server.user=u"],
        ),
        ("quickbooks", &["quickbooks.realm_id=1"]),
        ("hubspot", &["hubspot.home_currency=EUR"]),
        ("zoom", &["zoom.account_id=A"]),
        ("cases", &["cases.server.host=h", "cases.server.database=d", "cases.server.user=u"]),
        ("bigquery", &["bigquery.project=p", "bigquery.dataset=analytics_1", "bigquery.location=US"]),
    ] {
        let mut arguments = vec!["--config", &path, "init", "--force", "--org", "acme", "--source", source];
        arguments.extend(set.iter().flat_map(|pair| ["--set", pair]));
        ends(&arguments, 0);
        let (text, _) = ends(&["--config", &path, "check", "--offline", "--json"], 2);
        let asked: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert!(asked.iter().any(|row| row["org"] == "acme"), "{source}: {text}");
    }
}

#[test]
fn shells_and_manual_readers_are_told_of_every_verb() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, _) = ends(&["completions", shell], 0);
        assert!(script.contains("explain") && script.contains("from-staging"), "{shell}");
    }
    // bash itself finds no fault with its own.
    let (folder, _) = folder();
    let script = folder.path().join("marts.bash");
    std::fs::write(&script, ends(&["completions", "bash"], 0).0).unwrap();
    let try_it = format!(
        "source {} && COMP_WORDS=(marts expl) COMP_CWORD=1 && _marts marts expl marts && echo ${{COMPREPLY[@]}}",
        script.display()
    );
    let output = Command::new("bash").args(["--norc", "-c", &try_it]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "explain");
    let (page, _) = ends(&["man"], 0);
    assert!(page.starts_with(".ie") || page.contains(".TH marts 1"), "{page}");
    let dir = folder.path().join("man1");
    ends(&["man", "--dir", dir.to_str().unwrap()], 0);
    assert!(dir.join("marts-staging-gc.1").exists() && dir.join("marts.1").exists());
    let (help, _) = ends(&["--help"], 0);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let verbs = listed
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next().filter(|_| !line.starts_with("   ")));
    for verb in verbs.filter(|verb| *verb != "help") {
        let page = std::fs::read_to_string(dir.join(format!("marts-{verb}.1")))
            .unwrap_or_else(|_| panic!("no page of {verb}"));
        assert!(page.contains(".SH SYNOPSIS"), "{verb}");
    }
}
