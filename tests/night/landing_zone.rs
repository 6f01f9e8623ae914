//! The landing zone after nights: stored pages read anew, damage that is noticed, pulls that may go.

use std::fs;
use std::path::{Path, PathBuf};

use duckdb::Connection;
use marts::staging::Staging;
use sha2::{Digest, Sha256};

use super::stage::{Stage, as_of, ended};

/// The newest pull of a dataset and period.
fn pull(stage: &Stage, dataset: &str, org: &str, period: &str) -> PathBuf {
    let partition = stage.folder.path().join(format!("staging/{dataset}/org={org}/period={period}"));
    let mut pulls: Vec<_> = fs::read_dir(partition).unwrap().map(|entry| entry.unwrap().path()).collect();
    pulls.sort();
    pulls.pop().unwrap()
}

/// Writes a file of a pull anew by a SELECT over itself, and its manifest to match.
fn rewrite(pull: &Path, name: &str, select: &str) {
    let (file, new) = (pull.join(name), pull.join("new"));
    let connection = Connection::open_in_memory().unwrap();
    let sql = format!(
        "copy ({select} from read_parquet('{}')) to '{}' (format parquet, compression zstd)",
        file.display(),
        new.display()
    );
    connection.execute_batch(&sql).unwrap();
    fs::rename(new, &file).unwrap();
    let bytes = fs::read(&file).unwrap();
    let manifest = pull.join("pull.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let entry = json["files"].as_array_mut().unwrap().iter_mut().find(|entry| entry["name"] == name).unwrap();
    entry["bytes"] = bytes.len().into();
    entry["sha256"] = hex::encode(Sha256::digest(&bytes)).into();
    // Written by a version that did not hold the manifest itself against a checksum.
    json.as_object_mut().unwrap().remove("sha256").unwrap();
    fs::write(manifest, json.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_lies_where_it_is_said_to_lie() {
    let stage = Stage::start().await;
    let data = tempfile::tempdir().unwrap();
    let day = as_of().to_string();
    for arguments in [&["migrate"][..], &["run", "etl_hubspot_deals", "--as-of", &day]] {
        let mut command = stage.command(arguments);
        command.env("MARTS_DATA", data.path());
        ended(arguments, tokio::task::block_in_place(|| command.output().unwrap()), 0);
    }
    assert!(data.path().join("staging/hubspot_deals/org=vital").is_dir());
    assert!(!stage.folder.path().join("staging/hubspot_deals").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_pages_are_read_anew_and_what_differs_is_shown_and_written_when_asked() {
    let stage = Stage::start().await;
    stage.night(&[], 0);
    let before = stage.staged();
    let (text, talk) = stage.ends(&["reparse"], 0);
    assert!(text.contains("0 different, 0 refused, 0 written"), "{text}");
    assert!(talk.contains("no pages to read anew") && talk.contains("softbase_invoices"), "{talk}");
    let (json, _) = stage.ends(&["reparse", "--json"], 0);
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    let datasets: std::collections::BTreeSet<_> =
        read.as_array().unwrap().iter().map(|read| read["dataset"].as_str().unwrap().to_owned()).collect();
    let paged = marts::datasets::DATASETS.iter().filter(|dataset| dataset.pages).map(|dataset| dataset.name.to_owned());
    assert_eq!(datasets, paged.collect(), "every dataset with pages came about");

    // As if an earlier version had read one amount, one stage and one row otherwise.
    let day = as_of().to_string();
    let deals = pull(&stage, "hubspot_deals", "vital", &day);
    let ids =
        stage.ends(&["query", "--format", "csv", "select deal_id from hubspot_deals order by deal_id limit 3"], 0).0;
    let ids: Vec<&str> = ids.lines().skip(1).collect();
    rewrite(
        &deals,
        "rows-0000.parquet",
        &format!(
            "select * replace (case deal_id when '{}' then 12.34::decimal(38, 18) else amount end as amount,
                 case deal_id when '{}' then 'renamed' else deal_id end as deal_id)",
            ids[0], ids[1]
        ),
    );
    let rewritten = stage.staged();
    let named = ["reparse", "hubspot_deals", "--org", "vital", "--period", &day[..7]];
    let (text, _) = stage.ends(&named, 1);
    assert!(text.contains("1 added, 1 vanished, 1 changed"), "{text}");
    assert!(text.contains(&format!("changed deal_id {}: amount 12.340000000000000000 → ", ids[0])), "{text}");
    assert!(text.contains("vanished deal_id renamed") && text.contains(&format!("added deal_id {}", ids[1])), "{text}");
    assert_eq!(stage.staged(), rewritten, "nothing was written");
    assert_eq!(rewritten, before);

    let (text, _) = stage.ends(&[&named[..], &["--write"]].concat(), 0);
    assert!(text.contains("1 written"), "{text}");
    let new = pull(&stage, "hubspot_deals", "vital", &day);
    assert_ne!(new, deals);
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(new.join("pull.json")).unwrap()).unwrap();
    assert_eq!(manifest["reparsed"]["pull"], deals.file_name().unwrap().to_str().unwrap());
    assert_eq!(manifest["period"], day);
    stage.ends(&named, 0);
    let (list, _) = stage.ends(&["staging", "ls", "hubspot_deals"], 0);
    assert!(list.contains("counts, read anew"), "{list}");
    // The new pull holds what was pulled in the first place.
    let (table, _) = stage.night(&["--from-staging", "etl_hubspot_deals"], 0);
    let line = table.lines().find(|line| line.contains("mart_crm_deals")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[3..6], ["0", "0", "1"], "unchanged: {line}");

    // A page that is refused is named.
    rewrite(
        &new,
        "pages-0000.parquet",
        "select * replace (case sequence when 1 then 'null'::blob else body end as body)",
    );
    let (text, _) = stage.ends(&named, 1);
    let name = new.file_name().unwrap().to_str().unwrap();
    assert!(text.contains("REFUSED") && text.contains("hubspot_deals") && text.contains(name), "{text}");
    assert!(text.contains("in page 1: "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_named_by_every_verb_that_opens_it() {
    let stage = Stage::start().await;
    stage.night(&["etl_zoom_metrics", "etl_sales_daily"], 0);
    let day = as_of().to_string();
    for (name, cut) in [("rows-0000.parquet", false), ("rows-0000.parquet", true), ("pages-0000.parquet", false)] {
        let file = pull(&stage, "zoom_call_legs", "vital", &day).join(name);
        let whole = fs::read(&file).unwrap();
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        if cut {
            damaged.truncate(middle);
        } else {
            damaged[middle] ^= 1;
        }
        fs::write(&file, damaged).unwrap();
        let said = format!("{} is not what was written", file.display());
        let as_of = day.as_str();
        for arguments in [
            &["run", "etl_zoom_metrics", "--from-staging", "--as-of", as_of][..],
            &["run", "etl_zoom_metrics", "--from-staging", "--as-of", as_of, "--dry-run"],
            &["query", "select count(*) from zoom_call_legs"],
            &["query", "select count(*) from (select * from Zoom_Call_Legs) as it"],
            &["sql", "etl_zoom_metrics", "--org", "vital", "--as-of", as_of],
            &["reparse", "zoom_call_legs"],
        ] {
            let (out, error) = stage.ends(arguments, 1);
            assert!(out.contains(&said) || error.contains(&said), "{arguments:?}: {out}{error}");
        }
        // What does not read it does not stumble over it.
        stage.ends(&["query", "select count(*) from softbase_invoices"], 0);
        stage.ends(&["staging", "ls"], 0);
        fs::write(&file, whole).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_go_only_when_nothing_rests_on_them() {
    let stage = Stage::start().await;
    stage.night(&[], 0);
    let first = stage.staged();
    stage.night(&[], 0);
    let second = stage.staged();
    let zone = Staging::new(stage.folder.path().join("staging"));
    let gc = ["staging", "gc", "--keep", "0d"];

    // While somebody works with it, or when the database cannot be asked, nothing goes.
    let held = zone.hold().unwrap();
    let (_, error) = stage.ends(&gc, 1);
    assert!(error.contains("removed nothing: a run works with"), "{error}");
    drop(held);
    let config = fs::read_to_string(stage.config()).unwrap();
    let broken = "[postgres]\nurl = \"file:secrets/nowhere\"\n";
    fs::write(stage.folder.path().join("secrets/nowhere"), "postgres://marts@127.0.0.1:1/marts").unwrap();
    fs::write(
        stage.config(),
        format!("{}\n{broken}", config.replace("[postgres]\nurl = \"file:secrets/postgres-url\"", "")),
    )
    .unwrap();
    let (_, error) = stage.ends(&gc, 1);
    assert!(error.contains("removed nothing: cannot connect to postgres"), "{error}");
    fs::write(stage.config(), &config).unwrap();
    assert_eq!(stage.staged(), second);

    // A day that only the first night gave keeps the first night's pulls.
    let [old, new] = [&first, &second].map(|files| files.len());
    assert!(new > old);
    let run = "update etl_runs set first_period = first_period - 1 where job = 'etl_sales_daily' and run_id =
        (select run_id from etl_runs order by started_at limit 1)";
    stage.ends(&["postgres", run], 0);
    // And so does a night whose rows are held.
    let run = "update etl_runs set status = 'held' where job = 'etl_case_metrics' and run_id = (select run_id from etl_runs order by started_at desc limit 1)";
    stage.ends(&["postgres", run], 0);
    let (dry, _) = stage.ends(&[&gc[..], &["--dry-run"]].concat(), 0);
    assert!(dry.contains("would go"), "{dry}");
    assert_eq!(stage.staged(), second);
    let dead = zone.root().join("zoom_counts/org=vital").join(format!("period={}", as_of())).join(".tmp-gone-1");
    fs::create_dir(&dead).unwrap();
    let (text, _) = stage.ends(&gc, 0);
    assert!(text.contains("removed, freeing") && text.contains("swept"), "{text}");
    assert!(!dead.exists());
    let left = stage.staged();
    for file in &second {
        let is_superseded = first.contains(file) && !wins(file);
        // The months of invoices that only the fleet read, whose night was replaced, are not among them.
        let is_in = |part: &str| file.components().any(|found| found.as_os_str() == part);
        let of_sales = is_in("softbase_work_orders") || is_in("softbase_invoices") && !is_in("period=2025-11");
        let is_needed = of_sales || is_in("cases_summary") || is_in("cases_columns");
        assert_eq!(left.contains(file), !is_superseded || is_needed, "{}", file.display());
    }
    assert!(left.len() < second.len(), "something went");
    let (table, _) = stage.night(&["--from-staging"], 0);
    assert!(table.contains("marts published"), "what counts is still there: {table}");

    // A database that knows nothing of the organisations cannot say what may go.
    fs::write(
        stage.config(),
        format!(
            "{}\n[postgres]\ndata_dir = \"other\"\n",
            config.replace("[postgres]\nurl = \"file:secrets/postgres-url\"", "")
        ),
    )
    .unwrap();
    let (text, talk) = stage.ends(&gc, 0);
    assert!(talk.contains("the run ledger knows no run of vital: its pulls stay"), "{talk}");
    assert!(text.starts_with("0 superseded pulls"), "{text}");
    let (list, _) = stage.ends(&["staging", "ls", "hubspot_deals"], 0);
    assert!(list.lines().skip(1).all(|line| line.trim_end().ends_with('?')), "{list}");
    fs::write(stage.config(), &config).unwrap();

    let (_, error) = stage.ends(&["staging", "du", "--org", "vitall"], 2);
    assert!(error.contains("vitall"), "{error}");
    let (sums, _) = stage.ends(&["staging", "du", "--json"], 0);
    let sums: serde_json::Value = serde_json::from_str(&sums).unwrap();
    let bytes: u64 = sums["sums"].as_array().unwrap().iter().map(|sum| sum["bytes"].as_u64().unwrap()).sum();
    let disk: u64 = stage.staged().iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert_eq!(bytes, disk);
}

/// Whether a file belongs to the newest pull that was in its partition after the second night.
fn wins(file: &Path) -> bool {
    let pull = file.parent().unwrap();
    let mut pulls: Vec<_> = fs::read_dir(pull.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    pulls.sort();
    pulls.last().is_some_and(|newest| newest == pull)
}
