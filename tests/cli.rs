//! The binary as a shell sees it: streams and exit codes.

use std::io::Read;
use std::process::{Command, Output, Stdio};

fn marts(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_marts"));
    command.args(arguments).env_remove("RUST_BACKTRACE").env_remove("RUST_LOG").env_remove("MARTS_CONFIG");
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
    let output = marts(&["--config", example, "--json", "check"])
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
