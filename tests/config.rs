//! `marts.toml`: what is taken, what is refused, and how the refusal reads.

use std::collections::BTreeMap;
use std::path::Path;

use marts::config::{Basis, Config, FloorPlan, SecretRef, SqlLogin, SqlTls};
use marts::datasets::Connector;

const EXAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/marts.example.toml"));

const ORG: &str = r#"
[[org]]
slug = "vital"
name = "VITAL WorkLife"
timezone = "America/Chicago"
fiscal_year_start_month = 1
"#;

const QUICKBOOKS: &str = r#"
[org.quickbooks]
realm_id = "1234"
client_id = "env:ID"
client_secret = "env:SECRET"
refresh_token = "file:secrets/refresh"
"#;

const SOFTBASE: &str = r#"
[org.softbase]
schema = "ben002"
[org.softbase.server]
host = "127.0.0.1"
database = "evo"
user = "reader"
password = "env:PASSWORD"
"#;

fn parse(text: &str) -> anyhow::Result<Config> {
    Config::parse(text, Path::new("/etc/marts"))
}

fn refusal(text: &str) -> String {
    let message = format!("{:#}", parse(text).expect_err(text));
    assert!(!message.contains('\n'), "one line: {message}");
    message.strip_prefix("/etc/marts/marts.toml:").unwrap_or(&message).to_owned()
}

/// The refusal of ORG with one line of it replaced, or added where it has no such key.
fn refusal_with(line: &str) -> String {
    let key = line.split('=').next().unwrap();
    let kept: String = ORG.lines().filter(|old| !old.starts_with(key)).map(|old| format!("{old}\n")).collect();
    refusal(&format!("{kept}{line}\n"))
}

#[test]
fn the_example_is_a_configuration() {
    let config = parse(EXAMPLE).unwrap();
    let [bennett, vital, ips] = config.orgs.as_slice() else { panic!("three organisations") };
    assert_eq!(bennett.timezone, chrono_tz::America::Chicago);
    assert_eq!(bennett.fiscal_year_start_month, 11);
    assert_eq!(bennett.data_start_date.unwrap().to_string(), "2025-03-01");
    assert_eq!(bennett.excluded_months.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2024-02-01"]);
    assert!(bennett.has(Connector::Softbase) && !bennett.has(Connector::QuickBooks));
    assert_eq!(vital.quickbooks.as_ref().unwrap().basis, Basis::Accrual);
    let cases = vital.cases.as_ref().unwrap();
    assert_eq!((cases.table.as_str(), cases.min_group_size), ("Case_Data_Summary_NOPHI", 5));
    let softbase = ips.softbase.as_ref().unwrap();
    assert_eq!(softbase.schema, "ind004");
    let (bennett, ips) = (bennett.ledger().unwrap(), ips.ledger().unwrap());
    assert_eq!((bennett.floor_plan, bennett.healthy_above, bennett.warning_above), (FloorPlan::Financing, 0, -50_000));
    assert_eq!((bennett.lacks(), ips.lacks()), (None, None));
    let SqlLogin::AzureAd { client_secret, .. } = &softbase.server.login else { panic!("an Azure AD login") };
    assert_eq!(*client_secret, SecretRef::File("/etc/marts/secrets/ips-softbase".into()));
}

/// What the example shows, live or commented out, is what the parser knows, table by table, in both directions.
#[test]
fn the_example_shows_every_key() {
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut table = String::new();
    for line in EXAMPLE.lines() {
        let line = line.trim_start_matches("# ");
        if line.starts_with('[') {
            table = line.to_owned();
            // A table is a key of the table that holds it.
            if let Some((outer, name)) = table.trim_matches(['[', ']']).rsplit_once('.') {
                let outer = if outer == "org" { "[[org]]".to_owned() } else { format!("[{outer}]") };
                shown.entry(outer).or_default().push(name.to_owned());
            }
            shown.entry(table.clone()).or_default();
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
        {
            shown.entry(table.clone()).or_default().push(key.to_owned());
        }
    }
    let mut probed = 0;
    for (table, keys) in &mut shown {
        // The parser names the keys it knows when it meets one that it does not know.
        let probe = EXAMPLE.replacen(&format!("\n{table}\n"), &format!("\n{table}\nzzzzzzzz = 1\n"), 1);
        let message = refusal(&probe);
        let (head, known) = message.split_once("; known keys are ").unwrap_or_else(|| panic!("{message}"));
        assert!(head.ends_with(&format!("unknown key \"zzzzzzzz\" in {table}")), "{message}");
        let mut known: Vec<&str> = known.split(", ").collect();
        known.sort_unstable();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(*keys, known, "keys of {table}: the example against the parser");
        probed += 1;
    }
    assert_eq!(probed, 23, "tables of the example");
}

#[test]
fn what_is_kept_may_lie_elsewhere_and_what_is_read_lies_beside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("marts.toml");
    let load = |more: &str| {
        std::fs::write(&path, format!("{more}{ORG}{QUICKBOOKS}")).unwrap();
        Config::load_for(&path, Path::new("/data")).unwrap()
    };
    let config = load("");
    assert_eq!(config.staging.path, Path::new("/data/staging"));
    assert_eq!(config.postgres.data_dir, Path::new("/data/.marts/postgres"));
    let token = config.orgs[0].quickbooks.as_ref().unwrap().refresh_token.clone();
    assert_eq!(token, Some(SecretRef::File(folder.path().join("secrets/refresh"))));
    let config = load("[staging]\npath = \"/elsewhere\"\n\n[postgres]\ndata_dir = \"mine\"\n\n");
    assert_eq!(config.staging.path, Path::new("/elsewhere"));
    assert_eq!(config.postgres.data_dir, Path::new("/data/mine"));
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = parse(&format!("{ORG}{QUICKBOOKS}{SOFTBASE}")).unwrap();
    assert!(config.postgres.url.is_none() && config.security.token_key.is_none());
    assert_eq!(config.postgres.data_dir, Path::new("/etc/marts/.marts/postgres"));
    assert_eq!(config.staging.path, Path::new("/etc/marts/staging"));
    assert_eq!(config.limits.tries, 6);
    let org = &config.orgs[0];
    assert!(org.data_start_date.is_none() && org.excluded_months.is_empty());
    let quickbooks = org.quickbooks.as_ref().unwrap();
    assert_eq!(quickbooks.base_url, "https://quickbooks.api.intuit.com");
    assert_eq!(quickbooks.refresh_token, Some(SecretRef::File("/etc/marts/secrets/refresh".into())));
    let softbase = org.softbase.as_ref().unwrap();
    assert!(!softbase.total_includes_tax);
    assert_eq!((softbase.server.port, softbase.server.tls), (1433, SqlTls::Required));
    assert!(softbase.ledger.is_none() && !org.has(Connector::SoftbaseLedger));
}

#[test]
fn audits_warn_as_the_file_says_for_all_and_for_one() {
    let thresholds = |text: &str| {
        let audit = parse(text).unwrap().orgs[0].audit;
        (audit.drop_pct, audit.jump_pct, audit.stale_days)
    };
    assert_eq!(thresholds(ORG), (50, 50, 5));
    let all = "[audit]\ndrop_pct = 20\nstale_days = 3\n";
    assert_eq!(thresholds(&format!("{all}{ORG}")), (20, 50, 3));
    assert_eq!(thresholds(&format!("{all}{ORG}[org.audit]\njump_pct = 200\ndrop_pct = 0\n")), (0, 200, 3));
    for (line, said) in [
        ("drop_pct = 101", "drop_pct is a share of what is published: 0 to 100"),
        ("jump_pct = 100001", "jump_pct is a percentage of what is published: 0 to 100000"),
        ("stale_days = 0", "stale_days is a number of days: 1 to 366"),
        ("stale_days = 367", "stale_days is a number of days: 1 to 366"),
    ] {
        assert!(refusal(&format!("[audit]\n{line}\n{ORG}")).ends_with(said), "{line}");
        assert!(refusal(&format!("{ORG}[org.audit]\n{line}\n")).ends_with(said), "{line}");
    }
    assert!(refusal(&format!("[audit]\njump = 5\n{ORG}")).contains("unknown key \"jump\" in [audit]"));
}

#[test]
fn months_are_closed_as_the_file_says() {
    let until = |lines: &str, last: &str| {
        let org = parse(&format!("{ORG}{lines}")).unwrap().orgs.swap_remove(0);
        org.closed.until(last.parse().unwrap()).map(|day| day.to_string())
    };
    assert_eq!(until("", "2026-01-20"), None);
    assert_eq!(until("closed_through = \"2024-02\"\n", "2026-01-20").as_deref(), Some("2024-02-29"));
    assert_eq!(until("close_after_days = 15\n", "2026-01-15").as_deref(), Some("2025-11-30"));
    assert_eq!(until("close_after_days = 15\n", "2026-01-16").as_deref(), Some("2025-12-31"));
    for (line, said) in [
        ("closed_through = \"2025-12-31\"", "is not a month: write it as in \"2024-02\""),
        ("close_after_days = 3661", "a month closes 0 to 3660 days after its end"),
    ] {
        assert!(refusal_with(line).ends_with(said), "{line}: {}", refusal_with(line));
    }
}

#[test]
fn a_misspelt_key_is_answered_with_the_nearest() {
    assert_eq!(
        refusal_with("tmezone = \"America/Chicago\""),
        "7:1: unknown key \"tmezone\" in [[org]]; did you mean \"timezone\"?"
    );
    let text = format!("{ORG}{}", QUICKBOOKS.replace("realm_id", "realmid"));
    assert_eq!(refusal(&text), "9:1: unknown key \"realmid\" in [org.quickbooks]; did you mean \"realm_id\"?");
    assert!(refusal(&format!("[postgress]\n{ORG}")).contains("did you mean \"postgres\"?"));
    assert!(
        refusal(&format!("tries = 3\n{ORG}")).starts_with("1:1: unknown key \"tries\" in the file; known keys are ")
    );
}

#[test]
fn a_missing_key_is_named_with_its_table() {
    let text = ORG.replace("slug = \"vital\"\n", "");
    assert_eq!(refusal(&text), "2:1: the key \"slug\" is missing in [[org]]");
    let text = format!("{ORG}{}", SOFTBASE.replace("database = \"evo\"\n", ""));
    assert_eq!(refusal(&text), "10:1: the key \"database\" is missing in [org.softbase.server]");
}

#[test]
fn a_secret_is_never_taken_literally_and_never_echoed() {
    for literal in
        ["\"hunter2\"", "\"environment:hunter2\"", "4711", "[\"hunter2\"]", "{ hunter2 = true }", "\"env:hunter-2\""]
    {
        let text = format!("{ORG}{}", QUICKBOOKS.replace("\"env:SECRET\"", literal));
        let message = refusal(&text);
        assert!(message.starts_with("11:17: "), "{message}");
        assert!(!message.contains("hunter") && !message.contains("4711"), "{message}");
    }
    let message = refusal(&format!("[postgres]\nurl = \"postgres://loader:hunter2@db/marts\"\n{ORG}"));
    assert_eq!(message, "2:7: a secret is never written here: refer to it as env:NAME or file:PATH");
    // A syntax error does not quote its line either.
    let message = refusal(&format!("[postgres]\nurl = \"postgres://loader:hunter2@db/marts\n{ORG}"));
    assert!(message.starts_with("2:") && !message.contains("hunter2"), "{message}");
}

#[test]
fn what_an_organisation_says_of_itself_is_checked() {
    for (line, expected) in [
        ("slug = \"Vital\"", "a slug is made of lower-case letters"),
        ("slug = \"\"", "a slug is made of lower-case letters"),
        ("slug = \"../other\"", "a slug is made of lower-case letters"),
        ("name = \" \"", "this may not be empty"),
        ("timezone = \"America/Chicgo\"", "did you mean \"America/Chicago\"?"),
        ("timezone = \"CDT\"", "no time zone is called \"CDT\""),
        ("fiscal_year_start_month = 0", "a fiscal year starts in month 1 to 12, not 0"),
        ("fiscal_year_start_month = 13", "a fiscal year starts in month 1 to 12, not 13"),
        ("data_start_date = \"2025-3-1\"", "\"2025-3-1\" is not a date"),
        ("data_start_date = \"2025-02-30\"", "is not a date"),
        ("data_start_date = 2025-03-01T00:00:00Z", "is not a date"),
        ("excluded_months = [\"2024-13\"]", "\"2024-13\" is not a month"),
        ("excluded_months = [\"2024-02-01\"]", "is not a month"),
    ] {
        let message = refusal_with(line);
        assert!(message.contains(expected), "{line}: {message}");
        assert!(message.starts_with("6:") || message.starts_with("7:"), "{line}: {message}");
    }
    assert!(refusal(&format!("{ORG}{ORG}")).contains("two organisations have the slug \"vital\""));
    assert!(refusal("[staging]\npath = \"x\"").contains("there is no [[org]]"));
}

#[test]
fn addresses_are_checked() {
    let quickbooks = |base_url: &str| parse(&format!("{ORG}{QUICKBOOKS}base_url = \"{base_url}\""));
    for good in
        ["https://sandbox-quickbooks.api.intuit.com/", "http://127.0.0.1:8080", "http://[::1]:1", "http://localhost"]
    {
        let config = quickbooks(good).unwrap();
        assert_eq!(config.orgs[0].quickbooks.as_ref().unwrap().base_url, good.trim_end_matches('/'));
    }
    for bad in [
        "http://quickbooks.api.intuit.com",
        "quickbooks.api.intuit.com",
        "https://u:p@host",
        "https://h/?a=1",
        "ftp://h",
    ] {
        assert!(quickbooks(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_sql_server_wants_tls_and_one_login() {
    let with = |from: &str, to: &str| parse(&format!("{ORG}{}", SOFTBASE.replace(from, to)));
    let text = |from: &str, to: &str| refusal(&format!("{ORG}{}", SOFTBASE.replace(from, to)));
    for tls in ["off", "trust-any"] {
        assert!(with("database", &format!("tls = \"{tls}\"\ndatabase")).is_ok());
        let elsewhere = format!("host = \"db.example.com\"\ntls = \"{tls}\"");
        assert!(text("host = \"127.0.0.1\"", &elsewhere).contains("for loopback hosts only"));
    }
    for host in ["tcp:db.example.com", "https://db", "db.example.com:1433", "a/b"] {
        assert!(text("127.0.0.1", host).contains("is not a host name"), "{host}");
    }
    assert!(with("127.0.0.1", "::1").is_ok());
    assert!(text("user = \"reader\"\n", "").contains("wants a login"));
    assert!(text("schema = \"ben002\"", "schema = \"ben002]; drop\"").contains("a schema is made of"));
    assert!(text("database", "port = 0\ndatabase").contains("at least 1"));
}

#[test]
fn a_case_database_has_defaults_and_a_category_that_says_nothing_of_persons() {
    let with = |lines: &str| {
        format!(
            "{ORG}[org.cases]\n{lines}\n{}",
            SOFTBASE.replace("[org.softbase]\nschema = \"ben002\"\n", "").replace("softbase", "cases")
        )
    };
    let config = parse(&with("")).unwrap();
    let cases = config.orgs[0].cases.as_ref().unwrap();
    assert_eq!((cases.schema.as_str(), cases.table.as_str()), ("dbo", "Case_Data_Summary_NOPHI"));
    assert_eq!((cases.category_column.as_str(), cases.min_group_size), ("Solution", 5));
    assert!(cases.harmless_labels.is_empty() && config.orgs[0].has(Connector::Cases));
    let message = refusal(&with("category_column = \"Organization\""));
    assert!(message.starts_with("8:19: \"Organization\" is no column that may be read as category"), "{message}");
    assert!(refusal(&with("min_group_size = 0")).contains("at least 1"));
    assert!(refusal(&with("table = \" \"")).contains("may not be empty"));
    assert!(refusal(&format!("{ORG}[org.cases]\n")).contains("\"server\" is missing in [org.cases]"));
}

#[test]
fn jobs_are_due_at_their_own_times_unless_the_organisation_says_otherwise() {
    let times = |text: &str| {
        let config = parse(&format!("{ORG}{text}")).unwrap();
        let cron = |job: &marts::jobs::Job| config.orgs[0].cron(job).unwrap().to_string();
        marts::jobs::JOBS.iter().map(cron).collect::<Vec<_>>()
    };
    // The specification, section 4.
    let default = [
        "0 1 * * *",
        "30 1 * * *",
        "0 2 * * *",
        "0 2 * * *",
        "0 3 * * *",
        "0 3 * * *",
        "0 4 * * *",
        "0 5 * * *",
        "0 6 * * *",
    ];
    assert_eq!(times(""), default);
    let one = times("[org.schedule]\netl_zoom_metrics = \"15  23 * * MON-FRI\"\n");
    assert_eq!(one[6], "15 23 * * MON-FRI");
    assert_eq!((&one[..6], &one[7..]), (&default.map(str::to_owned)[..6], &default.map(str::to_owned)[7..]));
    let all = times("[org.schedule]\netl_sales_daily = \"5 0 * * *\"\nall = \"30 2 * * *\"\n");
    assert_eq!((all[0].as_str(), all[1].as_str(), all[8].as_str()), ("5 0 * * *", "30 2 * * *", "30 2 * * *"));
    // What the example shows are the defaults.
    let config = parse(EXAMPLE).unwrap();
    for job in marts::jobs::JOBS {
        assert_eq!(config.orgs[0].cron(job).unwrap(), config.orgs[1].cron(job).unwrap(), "{}", job.name);
    }
    assert_eq!(config.schedule, parse(ORG).unwrap().schedule);
}

#[test]
fn a_time_that_is_none_is_refused_where_it_stands() {
    let refused = |line: &str| refusal(&format!("{ORG}[org.schedule]\n{line}\n"));
    let message = refused("etl_sales_daily = \"61 2 * * *\"");
    assert!(message.starts_with("8:19: \"61 2 * * *\" is no cron expression: "), "{message}");
    assert!(message.ends_with("write minute, hour, day, month and weekday, as in \"30 2 * * *\""), "{message}");
    assert!(refused("all = \"0 2 30 2 *\"").starts_with("8:7: \"0 2 30 2 *\" names a time that never comes"));
    assert!(refused("all = 2").starts_with("8:7: write a time as in"));
    assert_eq!(
        refused("etl_sales = \"0 2 * * *\""),
        "8:1: unknown key \"etl_sales\" in [org.schedule]; did you mean \"etl_sales_daily\"?"
    );
    assert!(refusal(&format!("[schedule]\ncatch_up_hours = 0\n{ORG}")).starts_with("2:18: at least 1"));
}

#[test]
fn no_file_is_one_line_that_says_how_to_make_one() {
    let message = format!("{:#}", Config::load(Path::new("/nonexistent/marts.toml")).unwrap_err());
    assert_eq!(
        message,
        "there is no configuration at /nonexistent/marts.toml: `marts init` writes one, and --config names another file"
    );
}
