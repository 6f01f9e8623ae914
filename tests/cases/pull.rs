//! The extractor against the simulated server.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::NaiveDate;
use marts::clock::Clock;
use marts::config::Cases;
use marts::datasets::{Column, Dataset, dataset};
use marts::extract::{Context, cases};
use marts::periods::Partition;
use marts::sandbox::business::services::{CaseBook, CaseOptions};
use marts::sandbox::tds::*;
use marts::staging::{Landed, Staging};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::compute::support::{Scene, case_database, case_org, day};

const PASSWORD: &str = "correct-horse-battery";
const TABLE: &str = "Case_Data_Summary_NOPHI";

/// A row: created, closed, type, status, solution.
type Row<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<&'a str>);

fn columns() -> Vec<TableColumn> {
    vec![
        TableColumn::new("Primary Counselor Name", SqlType::VarChar(80)),
        TableColumn::new("Case Create Date", SqlType::Date),
        TableColumn::new("Date Closed", SqlType::Date),
        TableColumn::new("Workflow Status", SqlType::VarChar(60)),
        TableColumn::new("Case Type", SqlType::Char(40)),
        TableColumn::new("Solution", SqlType::NVarChar(120)),
        TableColumn::new("Triage Tier", SqlType::VarChar(20)),
        TableColumn::new("Pre: Burnout", SqlType::VarChar(10)),
    ]
}

fn rows(rows: &[Row<'_>]) -> Vec<Vec<SqlValue>> {
    let date = |text: Option<&str>| text.map_or(SqlValue::Null, |text| SqlValue::Date(day(text)));
    let text = |text: Option<&str>| text.map_or(SqlValue::Null, SqlValue::from);
    let row = |(created, closed, kind, status, solution): &Row<'_>| {
        vec![
            "Jane Quillfeather".into(),
            date(*created),
            date(*closed),
            text(*status),
            text(*kind),
            text(*solution),
            "High".into(),
            SqlValue::Null,
        ]
    };
    rows.iter().map(row).collect()
}

fn database(columns: Vec<TableColumn>, rows: Vec<Vec<SqlValue>>) -> Database {
    Database::new("cases", vec![Table::new("dbo", TABLE, columns, rows)]).unwrap()
}

/// Four unremarkable cases.
fn four() -> Database {
    let case: Row<'_> = (Some("2026-01-05"), None, Some("Individual"), Some("Open"), Some("Coaching"));
    database(columns(), rows(&[case; 4]))
}

/// A case database with a simulated server and a landing zone of its own.
struct Bench {
    server: TdsServer,
    scene: Scene,
    settings: Cases,
}

impl Bench {
    async fn new(database: Database) -> Bench {
        marts::extract::http::install_crypto();
        let users = vec![("reader".into(), PASSWORD.into())];
        let server = TdsServer::start(TdsOptions { users, ..TdsOptions::new(database) }).await.unwrap();
        let mut scene = Scene::new("etl_case_metrics", case_org(), "2026-01-20", "2026-01-20");
        let mut settings = case_database();
        let file = |name: &str, text: &str| {
            let path = scene.folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        settings.server.host = "127.0.0.1".into();
        settings.server.port = server.addr().port();
        settings.server.ca_file = Some(file("ca.pem", &server.ca_pem()));
        settings.server.timeout_secs = 1;
        settings.server.login = marts::config::SqlLogin::Password {
            user: "reader".into(),
            password: marts::config::SecretRef::File(file("password", PASSWORD)),
        };
        scene.config.limits.tries = 3;
        Bench { server, scene, settings }
    }

    async fn with(rows_of: &[Row<'_>]) -> Bench {
        Bench::new(database(columns(), rows(rows_of))).await
    }

    async fn with_faults(faults: FaultPlan) -> Bench {
        let bench = Bench::new(four()).await;
        bench.server.set_faults(faults);
        bench
    }

    async fn pull(&self, names: &[&'static Dataset]) -> anyhow::Result<Vec<Landed>> {
        let staging = Staging::new(&self.scene.config.staging.path);
        let pulled_at = "2026-01-21T11:00:00Z".parse().unwrap();
        let context = Context {
            config: &self.scene.config,
            org: &self.scene.org,
            staging: &staging,
            clock: Clock::fixed(pulled_at),
            pulled_at,
            as_of: day("2026-01-20"),
            saved: None,
            progress: &|_, _, _| {},
        };
        let wanted: Vec<_> = names.iter().map(|name| (*name, vec![Partition::Day(day("2026-01-20"))])).collect();
        cases::pull(&context, &self.settings, &wanted).await
    }

    /// The cases, row by row: number, created, closed, type, status, category; `-` for what is null.
    async fn cases(&self) -> anyhow::Result<Vec<String>> {
        Ok(lines(&self.pull(&[dataset("cases_summary").unwrap()]).await?[0]))
    }

    /// The error of pulling everything, as one line, after which nothing may have been written.
    async fn refusal(&self) -> String {
        let both = [dataset("cases_summary").unwrap(), dataset("cases_columns").unwrap()];
        let error = self.pull(&both).await.expect_err("the pull should have failed");
        assert_eq!(self.files(), [] as [PathBuf; 0], "a failed pull left files");
        let line = format!("{error:#}");
        assert!(!line.contains('\n') && !line.contains(PASSWORD), "{line}");
        line
    }

    fn files(&self) -> Vec<PathBuf> {
        crate::night::stage::files(&self.scene.config.staging.path)
    }

    fn connections(&self) -> usize {
        self.server.log().iter().filter(|entry| matches!(entry, LogEntry::Connected { .. })).count()
    }
}

fn lines(landed: &Landed) -> Vec<String> {
    let mut lines = Vec::new();
    for file in landed.row_files() {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap().build().unwrap();
        for batch in reader {
            let batch = batch.unwrap();
            for at in 0..batch.num_rows() {
                let cell = |column: &std::sync::Arc<dyn arrow::array::Array>| {
                    let options = FormatOptions::default().with_null("-");
                    ArrayFormatter::try_new(column, &options).unwrap().value(at).to_string()
                };
                lines.push(batch.columns().iter().map(cell).collect::<Vec<_>>().join("|"));
            }
        }
    }
    lines
}

#[tokio::test]
async fn values_land_trimmed_and_impossible_dates_as_none() {
    let bench = Bench::with(&[
        (
            Some("2026-01-05"),
            Some("2026-01-20"),
            Some("Individual"),
            Some("  Closed  - Done "),
            Some("Ärztliche\u{a0}Hilfe"),
        ),
        // Two years ahead of the 21st, on which it is asked.
        (Some("1900-01-01"), Some("2028-01-22"), Some(""), Some("   "), None),
        (Some("1990-01-01"), Some("2028-01-21"), None, Some("open"), Some("x")),
        (Some("2026-01-21"), None, Some("Individual"), Some("Open"), Some("x")),
    ])
    .await;
    // Ordered by what is read, NULLs first: so the same table always lands the same.
    assert_eq!(
        bench.cases().await.unwrap(),
        [
            "1|-|-|-|-|-",
            "2|1990-01-01|2028-01-21|-|open|x",
            "3|2026-01-05|2026-01-20|Individual|Closed  - Done|Ärztliche\u{a0}Hilfe",
            "4|2026-01-21|-|Individual|Open|x",
        ]
    );
}

#[tokio::test]
async fn no_names_or_comments_are_selected() {
    let book = CaseBook::generate(CaseOptions::new(3, day("2025-12-01"), day("2026-01-20")));
    let bench = Bench::new(marts::sandbox::cases::database(&book).unwrap()).await;
    let both = [dataset("cases_summary").unwrap(), dataset("cases_columns").unwrap()];
    let landed = bench.pull(&both).await.unwrap();
    assert_eq!(landed[0].manifest().rows, book.cases.len() as u64);
    // Word for word: the five columns, and nothing else of the thirty-nine.
    let asked: Vec<String> = bench.server.statements().into_iter().filter(|sql| sql.contains(TABLE)).collect();
    assert_eq!(
        asked,
        ["SELECT CAST([Case Create Date] AS date) AS [created_date], CAST([Date Closed] AS date) AS [closed_date], \
          CAST([Case Type] AS nvarchar(60)) AS [case_type], CAST([Workflow Status] AS nvarchar(60)) AS [workflow_status], \
          CAST([Solution] AS nvarchar(80)) AS [category] FROM [dbo].[Case_Data_Summary_NOPHI] \
          ORDER BY [created_date], [closed_date], [case_type], [workflow_status], [category]"]
    );
    assert_eq!(landed[1].manifest().rows, 39);
    assert!(lines(&landed[1]).iter().all(|line| line.ends_with("|true")), "all of them are known");
    assert_eq!(lines(&landed[1]).iter().filter(|line| line.ends_with("|true|true")).count(), 5);
    assert_eq!(bench.connections(), 1);
}

#[tokio::test]
async fn the_category_is_the_column_that_the_settings_name_and_no_other() {
    let case: Row<'_> = (Some("2026-01-05"), None, Some("Individual"), Some("Open"), Some("Coaching"));
    let mut bench = Bench::with(&[case]).await;
    bench.settings.category_column = "Triage Tier".into();
    assert_eq!(bench.cases().await.unwrap(), ["1|2026-01-05|-|Individual|Open|High"]);
    let asked = bench.server.statements().concat();
    assert!(asked.contains("[Triage Tier]") && !asked.contains("[Solution]"), "{asked}");
    // The configuration refuses this; so does the extractor, whoever made the settings.
    let mut bench = Bench::with(&[case]).await;
    bench.settings.category_column = "Primary Counselor Name".into();
    let line = bench.refusal().await;
    assert!(line.contains("category would come from [Primary Counselor Name], which is not on the list"), "{line}");
    assert!(!bench.server.statements().concat().contains(TABLE), "nothing was asked of the table");
}

#[tokio::test]
async fn a_column_outside_the_list_fails_the_pull_before_anything_is_asked() {
    let good = dataset("cases_summary").unwrap();
    let mut columns: Vec<Column> = good.columns.to_vec();
    columns.push(Column { name: "counselor", from: "Primary Counselor Name", ..good.columns[3] });
    let widened: &'static Dataset = Box::leak(Box::new(Dataset {
        columns: columns.leak(),
        name: good.name,
        meaning: good.meaning,
        key: good.key,
        ..*good
    }));
    let bench = Bench::new(four()).await;
    let line = format!("{:#}", bench.pull(&[widened]).await.unwrap_err());
    assert!(line.contains("counselor would come from [Primary Counselor Name], which is not on the list"), "{line}");
    assert_eq!(bench.files(), [] as [PathBuf; 0]);
    assert!(!bench.server.statements().concat().contains(TABLE), "nothing was asked of the table");
}

#[tokio::test]
async fn a_planted_personal_value_fails_the_pull_before_anything_is_written() {
    let cases = [
        ("Solution", "jane.roe@example.com", "an e-mail address"),
        ("Solution", "Call 612-555-0147", "a phone number"),
        ("Case Type", "123-45-6789", "a social security number"),
        ("Workflow Status", "DOB 02/29/1980", "a date of birth"),
        ("Workflow Status", "Waiting for Jane Quillfeather", "a person's name"),
        ("Case Type", "Individual\r\nwanted a call", "free text"),
        // Spellings that the mart would put right.
        ("Solution", "Jane  Quillfeather", "a person's name"),
        ("Workflow Status", "Jane\u{a0}Quillfeather", "a person's name"),
        ("Case Type", "Quillfeather,Jane", "a person's name"),
        ("Workflow Status", "612\t555  0147", "a phone number"),
        ("Case Type", "123\u{2013}45\u{2013}6789", "a social security number"),
        ("Solution", "jane.roe@example.com/home", "an e-mail address"),
    ];
    for (column, value, kind) in cases {
        let options = CaseOptions {
            planted: Some((column, value.into())),
            ..CaseOptions::new(3, day("2025-12-01"), day("2026-01-20"))
        };
        let bench = Bench::new(marts::sandbox::cases::database(&CaseBook::generate(options)).unwrap()).await;
        let line = bench.refusal().await;
        let expected = format!(
            "pulling cases_summary 2026-01-20: dbo.{TABLE}: [{column}] holds what looks like {kind}, so nothing was landed"
        );
        assert!(line.starts_with(&expected), "{line}");
        for part in value.split_whitespace().filter(|part| part.len() > 2) {
            assert!(!line.contains(part), "the value is in: {line}");
        }
        assert_eq!(bench.connections(), 1, "trying again would not help");
    }
    // The same in columns that are not read is none of our business.
    for column in ["Satisfaction Comments", "Primary Counselor Name", "Client Type"] {
        let planted = Some((column, "jane.roe@e.example".into()));
        let options = CaseOptions { planted, ..CaseOptions::new(3, day("2025-12-01"), day("2026-01-20")) };
        let bench = Bench::new(marts::sandbox::cases::database(&CaseBook::generate(options)).unwrap()).await;
        assert!(!bench.cases().await.unwrap().concat().contains("jane.roe"), "{column}");
    }
}

#[tokio::test]
async fn a_label_that_somebody_found_harmless_passes() {
    let case: Row<'_> = (Some("2026-01-05"), None, Some("Individual"), Some("Open"), Some("Elizabeth Blackwell Award"));
    let mut bench = Bench::with(&[case]).await;
    assert!(bench.refusal().await.contains("[Solution] holds what looks like a person's name"));
    bench.settings.harmless_labels = vec!["elizabeth blackwell  award".into()];
    assert_eq!(bench.cases().await.unwrap().len(), 1);
}

#[tokio::test]
async fn new_columns_are_never_selected_and_are_told() {
    let mut wider = columns();
    wider.insert(0, TableColumn::new("Client Home Address", SqlType::NVarChar(200)));
    let mut row = rows(&[(Some("2026-01-05"), None, Some("Individual"), Some("Open"), Some("Coaching"))]).remove(0);
    row.insert(0, "12 Elm Street".into());
    let bench = Bench::new(database(wider, vec![row])).await;
    let both = [dataset("cases_summary").unwrap(), dataset("cases_columns").unwrap()];
    let landed = bench.pull(&both).await.unwrap();
    assert_eq!(lines(&landed[0]), ["1|2026-01-05|-|Individual|Open|Coaching"]);
    assert!(!bench.server.statements().concat().contains("Home Address"));
    assert_eq!(
        lines(&landed[1]),
        [
            "Client Home Address|nvarchar|false|false",
            "Primary Counselor Name|varchar|false|true",
            "Case Create Date|date|true|true",
            "Date Closed|date|true|true",
            "Workflow Status|varchar|true|true",
            "Case Type|char|true|true",
            "Solution|nvarchar|true|true",
            "Triage Tier|varchar|false|true",
            "Pre: Burnout|varchar|false|true",
        ]
    );
}

#[tokio::test]
async fn what_the_catalog_does_not_promise_fails_the_pull() {
    let without = |name: &str| columns().into_iter().filter(|column| column.name != name).collect::<Vec<_>>();
    for (name, needed) in [("Date Closed", "closed_date"), ("Solution", "category"), ("Case Type", "case_type")] {
        let bench = Bench::new(database(without(name), Vec::new())).await;
        let line = bench.refusal().await;
        assert!(line.contains(&format!("dbo.{TABLE} has no column {name}, which {needed} needs")), "{line}");
    }
    // Retyped: a day as text or as a number is not guessed at; as a moment it is cut to its day.
    for (sql_type, shown) in [(SqlType::VarChar(10), "varchar(10)"), (SqlType::Int, "int")] {
        let mut retyped = columns();
        retyped[2].sql_type = sql_type;
        let line = Bench::new(database(retyped, Vec::new())).await.refusal().await;
        assert!(
            line.contains(&format!("[Date Closed] is {shown}")) || line.contains(&format!("Date Closed is {shown}")),
            "{line}"
        );
    }
    let mut moments = columns();
    moments[1].sql_type = SqlType::DateTime;
    let mut row = rows(&[(None, None, Some("Individual"), Some("Open"), Some("x"))]).remove(0);
    row[1] =
        SqlValue::DateTime(NaiveDate::from_ymd_opt(2026, 1, 20).unwrap().and_hms_milli_opt(23, 59, 59, 997).unwrap());
    let bench = Bench::new(database(moments, vec![row])).await;
    assert_eq!(bench.cases().await.unwrap(), ["1|2026-01-20|-|Individual|Open|x"]);

    let mut bench = Bench::new(four()).await;
    bench.settings.table = "Case_Data".into();
    let line = bench.refusal().await;
    assert!(line.contains("there is no dbo.Case_Data, or the login may not see it"), "{line}");
}

#[tokio::test]
async fn an_empty_table_is_a_broken_one() {
    let line = Bench::with(&[]).await.refusal().await;
    assert!(line.contains("cases_summary of 2026-01-20 came back empty, which it never is"), "{line}");
}

#[tokio::test]
async fn failures_that_pass_are_outlived_with_every_case_once() {
    let broken = |how: Break| Fault::statement(TABLE, StatementFault::AfterRows(3, how));
    let plans = [
        Fault::connection(ConnectionFault::RefuseLogin(SqlError::known(40613))),
        Fault::connection(ConnectionFault::Close),
        Fault::connection(ConnectionFault::Reset),
        Fault::connection(ConnectionFault::StallHandshake(Duration::from_secs(5))),
        Fault::statement("COLUMNS", StatementFault::AfterRows(2, Break::Close)),
        Fault::statement(TABLE, StatementFault::Error(SqlError::known(40501))),
        Fault::statement(TABLE, StatementFault::Delay(Duration::from_secs(5))),
        broken(Break::Error(SqlError::known(1205))),
        broken(Break::Close),
        broken(Break::Reset),
        broken(Break::StallUntilAttention),
    ];
    for fault in plans {
        let what = format!("{fault:?}");
        let bench = Bench::with_faults(FaultPlan::one(fault)).await;
        let started = Instant::now();
        assert_eq!(bench.cases().await.unwrap().len(), 4, "{what}");
        assert_eq!(bench.connections(), 2, "{what}");
        assert!(started.elapsed() < Duration::from_secs(4), "{what}");
    }
}

#[tokio::test]
async fn failures_that_stay_are_told_in_one_line_with_nothing_left_behind() {
    let login = |error: SqlError| Fault::connection(ConnectionFault::RefuseLogin(error)).times(99);
    let statement = |fault: StatementFault| Fault::statement(TABLE, fault).times(99);
    let denied = SqlError::new(229, 5, 14, "The SELECT permission was denied on the object.");
    let value =
        SqlError::new(245, 1, 16, "Conversion failed when converting the varchar value 'Jane Roe' to data type int.");
    let cases = [
        (login(SqlError::known(40615)), "firewall does not admit this machine's address", 1),
        (login(SqlError::known(18456)), "it refused the login of user reader", 1),
        (login(SqlError::known(40613)), "gave up after 3 tries", 3),
        (statement(StatementFault::Error(SqlError::known(40501))), "gave up after 3 tries", 3),
        (statement(StatementFault::Error(denied)), "user reader lacks a right", 1),
        (statement(StatementFault::Error(value)), "the varchar value '…' to data type int", 1),
        (statement(StatementFault::AfterRows(3, Break::Reset)), "gave up after 3 tries", 3),
        (statement(StatementFault::AfterRows(3, Break::StallUntilAttention)), "gave up after 3 tries", 3),
        (
            Fault::connection(ConnectionFault::StallHandshake(Duration::from_secs(9))).times(99),
            "gave up after 3 tries",
            3,
        ),
    ];
    for (fault, expected, connections) in cases {
        let bench = Bench::with_faults(FaultPlan::one(fault)).await;
        let line = bench.refusal().await;
        assert!(line.contains(expected) && line.starts_with("pulling cases_summary 2026-01-20: "), "{line}");
        assert!(!line.contains("Roe"), "{line}");
        assert_eq!(bench.connections(), connections, "{line}");
    }
}

#[tokio::test]
async fn who_answers_in_another_protocol_is_no_sql_server() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let replies: [&[u8]; 5] =
        [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", b"\x04", b"\0", &[0xFF; 64]];
    for reply in replies {
        let mut bench = Bench::new(four()).await;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        bench.settings.server.port = listener.local_addr().unwrap().port();
        let other = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 256]).await;
                let _ = stream.write_all(reply).await;
            }
        });
        let started = Instant::now();
        let line = bench.refusal().await;
        other.abort();
        assert!(line.contains("SQL Server 127.0.0.1: "), "{reply:?}: {line}");
        assert!(started.elapsed() < Duration::from_secs(12), "{reply:?}: {line}");
        assert_eq!(bench.connections(), 0, "{line}");
    }
}

#[tokio::test]
async fn the_generated_book_is_the_same_for_a_seed_and_leaves_the_past_alone() {
    let book = |seed, to: &str| CaseBook::generate(CaseOptions::new(seed, day("2025-06-01"), day(to)));
    assert_eq!(book(5, "2026-01-20").cases, book(5, "2026-01-20").cases);
    assert_ne!(book(5, "2026-01-20").cases, book(6, "2026-01-20").cases);
    let created = |book: &CaseBook, until: &str| {
        book.cases
            .iter()
            .filter(|case| case.created.is_some_and(|date| date >= day("2025-06-01") && date <= day(until)))
            .count()
    };
    assert_eq!(created(&book(5, "2026-01-20"), "2025-12-31"), created(&book(5, "2026-02-20"), "2025-12-31"));
    let small = CaseOptions { cases_per_day: 2, ..CaseOptions::new(5, day("2025-06-01"), day("2026-01-20")) };
    assert!(CaseBook::generate(small).cases.len() * 3 < book(5, "2026-01-20").cases.len());
}

#[tokio::test]
async fn a_world_has_about_as_many_cases_and_people_as_it_is_asked_for() {
    use marts::sandbox::world::{World, WorldOptions};
    marts::extract::http::install_crypto();
    let options = WorldOptions::new(5, day("2026-01-20"), Clock::system());
    let world = World::start(WorldOptions { bulk_cases: Some(9_000), people: Some(30), ..options }).await.unwrap();
    let cases = world.case_book.cases.len();
    assert!((8_000..=10_000).contains(&cases), "{cases}");
    let users: std::collections::BTreeSet<_> = day("2026-01-01")
        .iter_days()
        .take(20)
        .flat_map(|date| world.app.events(date, day("2026-02-01")))
        .filter_map(|event| event.user)
        .collect();
    assert!((15..=31).contains(&users.len()), "{}", users.len());
}
