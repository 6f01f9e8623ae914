//! No secret is ever seen: neither those of the configuration, nor those that a source hands out.

use std::collections::BTreeSet;
use std::path::Path;

use arrow::array::AsArray as _;
use marts::sandbox::http::{Fault, FaultPlan, Reply};
use memchr::memmem;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::stage::{Stage, as_of, files};

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_found_in_anything_that_is_written() {
    let stage = Stage::start().await;
    stage.amend("[limits]\ntries = 2\nfirst_backoff_millis = 1\nmax_backoff_secs = 1\n");
    let as_of = as_of().to_string();
    let mut said = Vec::new();
    let mut run = |arguments: &[&str]| {
        let all = [&["-vv", "run", "--as-of", as_of.as_str()], arguments].concat();
        // The loudest anyone can make it.
        let mut command = stage.command(&all);
        command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
        let output = tokio::task::block_in_place(|| command.output().unwrap());
        said.extend([output.stdout, output.stderr]);
        output.status.code()
    };
    assert_eq!(run(&[]), Some(0));
    assert_eq!(run(&["--json"]), Some(0));
    // Answers of every kind that quote what was sent: refusals, faults, and pages that are no answers.
    stage.world.quickbooks.expire_access_tokens();
    assert_eq!(run(&[]), Some(0));
    for fault in [Fault::reply(Reply::json(400, "{\"Fault\": {}}")), Fault::CutBody(10), Fault::Reset] {
        stage.world.quickbooks.set_faults(FaultPlan::new().on("*", .., fault));
        assert_eq!(run(&["etl_quickbooks_financial"]), Some(1));
    }
    stage.world.quickbooks.set_faults(FaultPlan::new());
    for fault in [Fault::reply(Reply::json(401, "{}")), Fault::CutBody(10), Fault::Reset] {
        stage.world.bigquery.set_faults(FaultPlan::new().on("*", .., fault));
        assert_eq!(run(&["etl_app_analytics"]), Some(1));
    }
    stage.world.bigquery.set_faults(FaultPlan::new());
    let password = stage.folder.path().join("secrets/softbase-password");
    let right = std::fs::read_to_string(&password).unwrap();
    std::fs::write(&password, "planted-wrong-password").unwrap();
    assert_eq!(run(&["etl_sales_daily"]), Some(1));
    std::fs::write(&password, &right).unwrap();

    let mut secrets: BTreeSet<String> = BTreeSet::from(["planted-wrong-password".into()]);
    for path in files(&stage.folder.path().join("secrets")) {
        // The client's id is no secret, and a database's URL is looked for by its password.
        if !path.ends_with("quickbooks-client-id")
            && !path.ends_with("zoom-client-id")
            && !path.ends_with("postgres-url")
        {
            let text = std::fs::read_to_string(path).unwrap();
            match serde_json::from_str::<serde_json::Value>(&text) {
                // A service account's key is a document: each line of the key itself is looked for.
                Ok(document) if document.is_object() => {
                    let key = document["private_key"].as_str().unwrap();
                    secrets.extend(key.lines().filter(|line| !line.starts_with("---")).map(str::to_owned));
                }
                _ => drop(secrets.insert(text)),
            }
        }
    }
    // What went over the wire: access tokens, and refresh tokens old and new.
    for request in stage.world.quickbooks.log().into_iter().chain(stage.world.zoom.log()) {
        let authorization = request.request.header("authorization").unwrap_or_default();
        secrets.extend(authorization.split_once(' ').map(|(_, value)| value.to_owned()));
        secrets.extend(request.request.form("refresh_token"));
    }
    for request in stage.world.bigquery.log() {
        let authorization = request.request.header("authorization").unwrap_or_default();
        secrets.extend(authorization.split_once(' ').map(|(_, value)| value.to_owned()));
        secrets.extend(request.request.form("assertion"));
    }
    assert!(secrets.len() >= 8, "access tokens, refresh tokens and the configured secrets: {}", secrets.len());

    let tables =
        ["etl_runs", "etl_changes", "organizations", "mart_sales_daily", "mart_financial_metrics", "oauth_tokens"];
    for table in tables {
        let (rows, _) = stage.ends(&["postgres", "--format", "csv", &format!("select * from {table}")], 0);
        assert!(rows.lines().count() > 1, "{table} is empty");
        said.push(rows.into_bytes());
    }
    for arguments in
        [vec!["runs", "--json"], vec!["check"], vec!["sql", "etl_sales_daily", "--org", "bennett", "--as-of", &as_of]]
    {
        let output = stage.marts(&arguments);
        said.extend([output.stdout, output.stderr]);
    }
    let heaps: usize = said.iter().map(Vec::len).sum();
    assert!(heaps > 100_000, "the runs were made loud");
    for text in &said {
        for secret in &secrets {
            assert!(!contains(text, secret), "a secret was written out: {}", around(text, secret));
        }
    }
    for path in files(stage.folder.path()) {
        if path.starts_with(stage.folder.path().join("secrets")) {
            continue;
        }
        let bytes = unpacked(&path);
        for secret in &secrets {
            assert!(!contains(&bytes, secret), "a secret is in {}: {}", path.display(), around(&bytes, secret));
        }
    }
}

/// The bytes of a file; of a Parquet file, which is compressed, all its texts, and the answers as they were answered.
fn unpacked(path: &Path) -> Vec<u8> {
    if path.extension().is_none_or(|extension| extension != "parquet") {
        return std::fs::read(path).unwrap();
    }
    let file = std::fs::File::open(path).unwrap();
    let mut cells = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        for column in batch.unwrap().columns() {
            // Secrets are texts: no number, day or instant is one.
            if let Some(bodies) = column.as_binary_opt::<i32>() {
                cells.extend(bodies.iter().flatten().flatten().copied());
            } else if let Some(texts) = column.as_string_opt::<i32>() {
                cells.extend(texts.iter().flatten().flat_map(|text| [text.as_bytes(), b"\n"].concat()));
            }
        }
    }
    cells
}

fn contains(text: &[u8], secret: &str) -> bool {
    memmem::find(text, secret.as_bytes()).is_some()
}

/// The neighbourhood of a find, without the find.
fn around(text: &[u8], secret: &str) -> String {
    let at = memmem::find(text, secret.as_bytes()).unwrap_or_default();
    let before = &text[at.saturating_sub(120)..at];
    String::from_utf8_lossy(before).into_owned()
}
