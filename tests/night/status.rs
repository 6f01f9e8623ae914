//! How fresh the marts are: what `marts status` and the view `mart_freshness` say, and that both agree with the ledger.

use marts::jobs::JOBS;
use marts::sandbox::tds::{Break, Fault, FaultPlan, SqlError, StatementFault};
use serde_json::Value;

use super::stage::{MARTS, Stage};

fn status(stage: &Stage, code: i32) -> Vec<Value> {
    serde_json::from_str(&stage.ends(&["--json", "status"], code).0).unwrap()
}

fn of<'a>(standings: &'a [Value], mart: &str) -> &'a Value {
    standings.iter().find(|standing| standing["mart"] == mart).unwrap_or_else(|| panic!("{mart}: {standings:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_freshness_of_every_mart_is_what_the_ledger_and_the_rows_say() {
    let stage = Stage::start().await;
    stage.amend("[limits]\ntries = 2\nfirst_backoff_millis = 1\nmax_backoff_secs = 1\n");
    let before = status(&stage, 1);
    assert_eq!(before.len(), MARTS);
    assert!(
        before.iter().all(|standing| standing["state"] == "never" && standing["newest_period"].is_null()),
        "{before:?}"
    );

    stage.night(&[], 0);
    let after = status(&stage, 0);
    for standing in &after {
        assert_eq!((&standing["state"], &standing["as_of"]), (&"ok".into(), &"2026-01-20".into()), "{standing}");
        assert_eq!(standing["is_final"], true, "asked in another year: {standing}");
        let job = JOBS.iter().find(|job| job.mart == standing["mart"]).unwrap();
        let first = match job.key {
            [day] => format!("max({day})"),
            _ => "max(make_date(year, month, 1))".to_owned(),
        };
        let newest = stage.value(&format!("select {first} from {}", job.mart));
        assert_eq!(standing["newest_period"], newest.as_str(), "{standing}");
    }
    // One in the morning in Chicago, of the day after the one on which this is asked.
    assert_eq!(of(&after, "mart_sales_daily")["next_run"], "2026-01-22T07:00:00Z");
    let (text, _) = stage.ends(&["status", "--org", "vital"], 0);
    assert!(!text.contains("bennett") && text.contains("mart_app_analytics") && text.contains("final"), "{text}");

    // One fails, one is held, one is late, one is still running: each is said, with its reason.
    let broken = StatementFault::AfterRows(20, Break::Error(SqlError::known(1205)));
    stage.world.softbase.set_faults(FaultPlan::one(Fault::statement("[Equipment]", broken).times(9)));
    stage.night(&["etl_rental_fleet"], 1);
    for change in [
        "update etl_runs set status = 'held', detail = jsonb_build_object('findings', jsonb_build_array(
            jsonb_build_object('rule', 'parts', 'period', '2026-01-20', 'holds', true, 'detail', ''),
            jsonb_build_object('rule', 'stale', 'period', '2026-01-20', 'holds', false, 'detail', '')))
            where job = 'etl_case_metrics'",
        "update etl_runs set finished_at = finished_at - interval '27 hours', started_at = started_at - interval '27 hours'
            where job = 'etl_zoom_metrics'",
        "update etl_runs set status = 'running', finished_at = null where job = 'etl_hubspot_deals'",
        // Asked two days after the newest day: the app's late events may still come; asked on that day, a day is not over.
        "update etl_runs set started_at = '2026-01-22 12:00+00' where job = 'etl_app_analytics'",
        "update etl_runs set started_at = '2026-01-21 03:00+00' where job = 'etl_sales_daily'",
    ] {
        stage.ends(&["postgres", change], 0);
    }
    let worse = status(&stage, 1);
    let state = |mart: &str| of(&worse, mart)["state"].as_str().unwrap().to_owned();
    assert_eq!(state("mart_rental_fleet"), "failed");
    let because = of(&worse, "mart_rental_fleet")["because"].as_str().unwrap();
    assert!(because.contains("1205") && because.contains("softbase_equipment"), "{because}");
    assert!(of(&worse, "mart_rental_fleet")["last_success_at"].is_string(), "the rows of before are there");
    assert_eq!(
        (state("mart_case_metrics").as_str(), &of(&worse, "mart_case_metrics")["because"]),
        ("held", &"parts 2026-01-20".into())
    );
    assert_eq!(
        (state("mart_zoom_metrics").as_str(), &of(&worse, "mart_zoom_metrics")["because"]),
        ("late", &"no success in 26 hours".into())
    );
    assert_eq!(state("mart_crm_deals"), "running");
    assert_eq!(of(&worse, "mart_app_analytics")["is_final"], false);
    assert_eq!(of(&worse, "mart_sales_daily")["is_final"], false, "21:00 of the 20th in Chicago");

    // The view says the same, to a reader of one organisation its own rows alone, and to nobody without a setting any.
    let counted = "select count(*) from mart_freshness";
    let vital = stage.value("select id from organizations where slug = 'vital'");
    let own: usize = worse.iter().filter(|standing| standing["org"] == "vital").count();
    let as_reader = |setting: &str| {
        let (csv, _) = stage.ends(
            &[
                "postgres",
                "--format",
                "csv",
                &format!("begin; set local role marts_reader; set local marts.org_id = '{setting}'; {counted}"),
            ],
            0,
        );
        csv.lines().last().unwrap().to_owned()
    };
    assert_eq!(as_reader(&vital), own.to_string());
    assert_eq!(as_reader(""), "0");
    let late = "select mart from mart_freshness where is_late";
    let all_late: Vec<_> = stage.rows(&format!("begin; set local role marts_admin; {late} order by 1")).concat();
    assert!(all_late.contains(&"mart_zoom_metrics".to_owned()), "{all_late:?}");
}

/// The view names every mart of the table of jobs, and how long a source may still bring late records.
#[test]
fn the_view_knows_every_job() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut migrations: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    migrations.sort();
    // The newest that makes it: an earlier one is never edited.
    let mut texts = migrations.iter().rev().map(|path| std::fs::read_to_string(path).unwrap());
    let view = texts.find(|text| text.contains("view mart_freshness")).expect("a migration makes the view");
    for job in JOBS {
        let settled = job.sources.iter().flat_map(|source| source.reads).filter_map(|read| match read.partitions {
            marts::jobs::Partitions::SettledDays { settled_after, .. } => Some(settled_after),
            _ => None,
        });
        let settled = settled.max().unwrap_or(1);
        assert!(view.contains(&format!("('{}', '{}', {settled})", job.name, job.mart)), "{}", job.name);
        assert!(view.contains(&format!("from {}", job.mart)), "{}", job.mart);
    }
}
