use std::fs;

use chrono::{DateTime, Utc};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::datasets::{Column, Connector, Grain, Kind};

static PLAIN: Dataset = Dataset {
    name: "plain",
    connector: Connector::Softbase,
    grain: Grain::Month,
    key: &["id"],
    may_be_empty: true,
    pages: false,
    columns: &[
        Column { name: "id", kind: Kind::Text, nullable: false, personal: false, from: "", meaning: "" },
        Column {
            name: "amount",
            kind: Kind::Decimal { precision: 19, scale: 4 },
            nullable: true,
            personal: false,
            from: "",
            meaning: "",
        },
        Column { name: "name", kind: Kind::Text, nullable: true, personal: true, from: "", meaning: "" },
    ],
    meaning: "",
};

static PAGED: Dataset = Dataset { name: "paged", pages: true, may_be_empty: false, ..PLAIN };

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn january() -> Partition {
    "2026-01".parse().unwrap()
}

fn staging() -> (tempfile::TempDir, Staging) {
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::new(folder.path().join("staging"));
    (folder, staging)
}

fn row(id: &'static str, mantissa: i128, scale: u8) -> [Value<'static>; 3] {
    [Value::Text(id), Value::Decimal { mantissa, scale }, Value::Null]
}

/// Every file and folder below the root of the landing zone.
fn tree(staging: &Staging) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<String>) {
        for path in entries(folder).unwrap() {
            found.push(file_name(&path).to_owned());
            walk(&path, found);
        }
    }
    let mut found = Vec::new();
    walk(staging.root(), &mut found);
    found.sort();
    found
}

#[test]
fn what_is_landed_reads_back_exactly() {
    let (_folder, staging) = staging();
    let mut landing = staging.begin(&PLAIN, "acme", january(), at("2026-02-01T07:00:00Z")).unwrap();
    landing.push(None, &row("a", 9_223_372_036_854_775_807, 4)).unwrap();
    landing.push(None, &row("b", -5, 1)).unwrap();
    landing.push(None, &row("c", 1_500_000, 6)).unwrap();
    let landed = landing.finish().unwrap();
    assert!(landed.path().ends_with("plain/org=acme/period=2026-01/pull=20260201T070000Z"));
    let file = fs::File::open(&landed.row_files()[0]).unwrap();
    let batch = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().next().unwrap().unwrap();
    assert_eq!(batch.schema().fields(), PLAIN.schema().fields());
    let amounts: &arrow::array::Decimal128Array = batch.column(1).as_any().downcast_ref().unwrap();
    assert_eq!(amounts.values(), &[9_223_372_036_854_775_807, -5_000, 15_000]);
    assert_eq!(landed.manifest().rows, 3);
    let won = staging.winner(&PLAIN, "acme", january(), None).unwrap().unwrap();
    assert_eq!(won.manifest(), landed.manifest());
}

#[test]
fn the_newest_pull_wins_and_older_ones_can_be_asked_for() {
    let (_folder, staging) = staging();
    for instant in ["2026-02-01T07:00:00Z", "2026-02-02T07:00:00Z", "2026-02-03T07:00:00Z"] {
        staging.begin(&PLAIN, "acme", january(), at(instant)).unwrap().finish().unwrap();
    }
    let winner = |limit: Option<&str>| {
        let won = staging.winner(&PLAIN, "acme", january(), limit.map(at)).unwrap();
        won.map(|landed| landed.manifest().pulled_at)
    };
    assert_eq!(winner(None), Some(at("2026-02-03T07:00:00Z")));
    assert_eq!(winner(Some("2026-02-02T23:00:00Z")), Some(at("2026-02-02T07:00:00Z")));
    assert_eq!(winner(Some("2026-01-31T00:00:00Z")), None);
    assert_eq!(staging.winner(&PLAIN, "other", january(), None).unwrap().map(|_| ()), None);
}

#[test]
fn the_snapshot_of_a_day_is_the_newest_that_was_taken_while_the_day_was_the_present() {
    let (_folder, staging) = staging();
    let text =
        "[[org]]\nslug = \"acme\"\nname = \"Acme\"\ntimezone = \"America/Chicago\"\nfiscal_year_start_month = 1\n";
    let org = crate::config::Config::parse(text, Path::new("")).unwrap().orgs.remove(0);
    let day: Partition = "2026-01-10".parse().unwrap();
    // In Chicago: the evening of the 10th, the last minute of the 11th, the first of the 12th, ten days later.
    let instants = ["2026-01-11T03:00:00Z", "2026-01-12T05:59:59Z", "2026-01-12T06:00:00Z", "2026-01-20T15:00:00Z"];
    for instant in instants {
        staging.begin(&PLAIN, "acme", day, at(instant)).unwrap().finish().unwrap();
    }
    let taken = |limit: Option<&str>| {
        let snapshot = staging.snapshot(&PLAIN, &org, day, limit.map(at)).unwrap();
        snapshot.map(|landed| landed.manifest().pulled_at)
    };
    assert_eq!(taken(None), Some(at(instants[1])));
    assert_eq!(taken(Some("2026-01-11T12:00:00Z")), Some(at(instants[0])));
    assert_eq!(taken(Some("2026-01-11T02:59:59Z")), None);
    let winner = staging.winner(&PLAIN, "acme", day, None).unwrap().unwrap();
    assert_eq!(winner.manifest().pulled_at, at(instants[3]));
    // Pages that are read anew later are of the day on which they were asked for.
    let old = staging.snapshot(&PLAIN, &org, day, None).unwrap().unwrap();
    let anew = staging.clone().reparsing(&old);
    anew.begin(&PLAIN, "acme", day, at("2026-01-21T15:00:00Z")).unwrap().finish().unwrap();
    assert_eq!(taken(None), Some(at("2026-01-21T15:00:00Z")));
}

#[test]
fn the_pull_taken_last_wins_though_the_clock_was_stepped_back() {
    let (_folder, staging) = staging();
    for instant in ["2026-02-03T07:00:00Z", "2026-02-02T06:30:00Z", "2026-02-03T07:00:01.500Z", "2026-02-04T07:00:00Z"]
    {
        let landed = staging.begin(&PLAIN, "acme", january(), at(instant)).unwrap().finish().unwrap();
        assert_eq!(landed.manifest().asked_at(), at(instant), "the clock is believed in what it says of the source");
        let won = staging.winner(&PLAIN, "acme", january(), None).unwrap().unwrap();
        assert_eq!(won.manifest(), landed.manifest(), "{instant}");
    }
    let names = staging.pulls(&PLAIN, "acme", january()).unwrap().into_iter().map(|(pulled_at, _)| pulled_at);
    let expected = ["2026-02-03T07:00:00Z", "2026-02-03T07:00:01Z", "2026-02-03T07:00:02Z", "2026-02-04T07:00:00Z"];
    assert_eq!(names.collect::<Vec<_>>(), expected.map(at));
}

#[test]
fn a_manifest_that_was_altered_is_named() {
    let (_folder, staging) = staging();
    let landed = staging.begin(&PLAIN, "acme", january(), at("2026-02-01T07:00:00Z")).unwrap().finish().unwrap();
    let file = landed.path().join("pull.json");
    let whole = fs::read_to_string(&file).unwrap();
    for (from, to) in
        [("\"rows\": 0", "\"rows\": 7"), ("acme", "acne"), ("\"pages\"", "\"pagez\""), ("sha256", "sha257"), ("}", "")]
    {
        let altered = whole.replace(from, to);
        assert_ne!(altered, whole);
        fs::write(&file, altered).unwrap();
        let error = format!("{:#}", Landed::open(landed.path()).unwrap_err());
        assert!(error.contains(&format!("the staged file {} is damaged", file.display())), "{error}");
    }
    fs::write(&file, whole).unwrap();
    assert!(Landed::open(landed.path()).is_ok());
}

#[test]
fn two_pulls_of_one_second_get_two_names() {
    let (_folder, staging) = staging();
    let instant = at("2026-02-01T07:00:00.900Z");
    for _ in 0..2 {
        staging.begin(&PLAIN, "acme", january(), instant).unwrap().finish().unwrap();
    }
    assert_eq!(staging.pulls(&PLAIN, "acme", january()).unwrap().len(), 2);
}

#[test]
fn an_abandoned_pull_leaves_nothing_and_wins_nothing() {
    let (_folder, staging) = staging();
    let mut landing = staging.begin(&PLAIN, "acme", january(), at("2026-02-01T07:00:00Z")).unwrap();
    landing.push(None, &row("a", 1, 0)).unwrap();
    drop(landing);
    assert!(staging.winner(&PLAIN, "acme", january(), None).unwrap().is_none());
    assert!(!tree(&staging).iter().any(|name| name.ends_with(".parquet")), "{:?}", tree(&staging));
}

#[test]
fn a_sweep_takes_what_was_cut_short_and_spares_what_is_being_written() {
    let (_folder, staging) = staging();
    let landing = staging.begin(&PLAIN, "acme", january(), at("2026-02-01T07:00:00Z")).unwrap();
    let dead = landing_parent(&staging).join(".tmp-1-dead");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("rows-0000.parquet"), "PAR1").unwrap();
    assert_eq!(staging.sweep().unwrap(), 1);
    assert!(!dead.exists());
    landing.finish().unwrap();
    assert!(staging.winner(&PLAIN, "acme", january(), None).unwrap().is_some());
}

fn landing_parent(staging: &Staging) -> PathBuf {
    staging.partition_dir(&PLAIN, "acme", january())
}

#[test]
fn a_value_that_does_not_fit_names_its_place_and_hides_what_is_personal() {
    let (_folder, staging) = staging();
    let mut landing = staging.begin(&PLAIN, "acme", january(), at("2026-02-01T07:00:00Z")).unwrap();
    let mut message = |values: &[Value<'_>]| landing.push(None, values).unwrap_err().to_string();
    assert_eq!(
        message(&row("a", 123_456, 5)),
        "plain: the row with id a: column amount is decimal(19,4), the value has more than 4 decimals (123456e-5)"
    );
    assert_eq!(
        message(&row("a", 10_i128.pow(15), 0)),
        "plain: the row with id a: column amount is decimal(19,4), the value has more than 15 digits before the point (1000000000000000e-0)"
    );
    assert_eq!(
        message(&[Value::Null, Value::Null, Value::Null]),
        "plain: the row with id null: column id is varchar, which may not be null (null)"
    );
    let personal = message(&[Value::Text("a"), Value::Null, Value::Int(555_1234)]);
    assert_eq!(personal, "plain: the row with id a: column name is varchar, the value is an integer");
    assert!(message(&[Value::Null]).contains("1 values for 3 columns"));
}

#[test]
fn an_empty_pull_keeps_its_schema_unless_the_source_is_never_empty() {
    let (_folder, staging) = staging();
    let landed = staging.begin(&PLAIN, "acme", january(), at("2026-02-01T07:00:00Z")).unwrap().finish().unwrap();
    let file = fs::File::open(&landed.row_files()[0]).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert_eq!(reader.schema().fields(), PLAIN.schema().fields());
    let empty = staging.begin(&PAGED, "acme", january(), at("2026-02-01T07:00:00Z")).unwrap().finish();
    assert!(empty.unwrap_err().to_string().contains("paged of 2026-01 came back empty"));
}

#[test]
fn pages_are_kept_as_answered_and_rows_name_them() {
    let (_folder, staging) = staging();
    let mut landing = staging.begin(&PAGED, "acme", january(), at("2026-02-01T07:00:00Z")).unwrap();
    let body = b"{\"odd\": \"\xff\"}";
    let fetched_at = at("2026-02-01T07:00:01Z");
    let page = Page { method: "GET", url: "https://example.test/reports", status: 200, fetched_at, body };
    assert_eq!(landing.page(&page).unwrap(), 0);
    let number = landing.page(&page).unwrap();
    landing.push(Some(number), &row("a", 1, 0)).unwrap();
    assert!(landing.push(None, &row("b", 1, 0)).is_err());
    let landed = landing.finish().unwrap();
    let file = fs::File::open(landed.path().join("pages-0000.parquet")).unwrap();
    let batch = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().next().unwrap().unwrap();
    let bodies: &arrow::array::BinaryArray = batch.column_by_name("body").unwrap().as_any().downcast_ref().unwrap();
    assert_eq!((batch.num_rows(), bodies.value(1)), (2, body.as_slice()));
    assert_eq!(landed.manifest().pages, 2);
}

#[test]
fn a_damaged_pull_is_an_error_not_an_older_winner() {
    let (_folder, staging) = staging();
    staging.begin(&PLAIN, "acme", january(), at("2026-02-01T07:00:00Z")).unwrap().finish().unwrap();
    let landed = staging.begin(&PLAIN, "acme", january(), at("2026-02-02T07:00:00Z")).unwrap().finish().unwrap();
    let path = &landed.row_files()[0];
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, &bytes).unwrap();
    let error = staging.winner(&PLAIN, "acme", january(), None).unwrap_err().to_string();
    assert!(error.contains("is not what was written"), "{error}");
    fs::remove_file(path).unwrap();
    assert!(staging.winner(&PLAIN, "acme", january(), None).is_err());
    fs::remove_file(landed.path().join("pull.json")).unwrap();
    assert!(staging.winner(&PLAIN, "acme", january(), None).is_err());
}

#[test]
fn partitions_and_organisations_are_listed_once_they_have_a_pull() {
    let (_folder, staging) = staging();
    for period in ["2026-02", "2026-01"] {
        let partition = period.parse().unwrap();
        staging.begin(&PLAIN, "acme", partition, at("2026-02-01T07:00:00Z")).unwrap().finish().unwrap();
    }
    let _unfinished = staging.begin(&PLAIN, "acme", "2026-03".parse().unwrap(), at("2026-02-01T07:00:00Z")).unwrap();
    let listed: Vec<_> = staging.partitions(&PLAIN, "acme").unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(listed, ["2026-01", "2026-02"]);
    assert_eq!(staging.orgs(&PLAIN).unwrap(), ["acme"]);
}

#[test]
fn the_pulls_of_a_batch_win_together_or_not_at_all() {
    let (_folder, staging) = staging();
    let pull = |staging: &Staging, period: &str| {
        let partition = period.parse().unwrap();
        staging.begin(&PLAIN, "acme", partition, at("2026-02-01T07:00:00Z")).unwrap().finish().unwrap()
    };
    let winners = || {
        let won = ["2026-01", "2026-02"].map(|period| staging.winner(&PLAIN, "acme", period.parse().unwrap(), None));
        won.into_iter().flat_map(|won| won.unwrap()).count()
    };
    let batch = staging.batch();
    let first = pull(&batch, "2026-01");
    assert!(first.row_files()[0].exists(), "what is finished can be read");
    assert_eq!(winners(), 0);
    drop(batch);
    assert_eq!(winners(), 0);
    assert!(!first.path().exists(), "what was never committed leaves nothing");

    let batch = staging.batch();
    pull(&batch, "2026-02");
    pull(&batch, "2026-01");
    let committed: Vec<_> = batch.commit().unwrap().iter().map(|landed| landed.manifest().period.clone()).collect();
    assert_eq!(committed, ["2026-02", "2026-01"]);
    assert_eq!(winners(), 2);
    assert!(batch.commit().unwrap().is_empty(), "once");
    assert_eq!(staging.sweep().unwrap(), 0);
}

#[test]
fn what_a_killed_computation_spilled_is_swept_when_nobody_has_touched_it_for_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::new(folder.path());
    let spill = staging.spill();
    assert_ne!(spill, staging.spill(), "each computation has its own");
    fs::create_dir(&spill).unwrap();
    let other = folder.path().join("softbase_invoices");
    fs::create_dir(&other).unwrap();
    let now = DateTime::<Utc>::from(fs::metadata(&spill).unwrap().modified().unwrap());
    staging.sweep_spilled(now + TimeDelta::hours(23)).unwrap();
    assert!(spill.exists(), "it may be in use");
    staging.sweep_spilled(now + TimeDelta::hours(25)).unwrap();
    assert!(!spill.exists() && other.exists());
}
