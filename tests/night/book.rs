//! Every `marts …` command that the book shows is run as it is shown, in the order of its page, against the simulated sources.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use marts::clock::Clock;
use marts::sandbox::http::{FaultPlan, HttpServer, Reply, handler};
use marts::sandbox::world::WorldOptions;

use super::stage::{Stage, day, ended};

/// Commands that are not run here, and why.
const NOT_RUN: [(&str, &str); 5] = [
    ("sandbox --dir try", "it serves until it is stopped, what every stage here serves"),
    ("init", "it asks; tests/cli.rs answers"),
    ("auth quickbooks --org acme", "a person consents in a browser; tests/night/first_hour.rs does"),
    ("schedule", "it stays; tests/schedule/resident.rs has it stay"),
    ("schedule --listen 9187", "it stays, likewise"),
];

/// The pages with commands. Each is followed by a test below.
const PAGES: [&str; 6] =
    ["README.md", "deploy/README.md", "docs/analysts.md", "docs/audits.md", "docs/first-hour.md", "docs/operating.md"];

/// What a page says by its text: a command that does not end with 0, or comes after something has happened.
struct Special<'a> {
    command: &'a str,
    before: &'a dyn Fn(&Stage),
    code: i32,
}

fn text(page: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap()
}

/// The commands of a page, without the `marts` before them: the lines of its blocks of code; of the page about platforms, which
/// has none, what its table shows.
fn commands(page: &str) -> Vec<String> {
    let text = text(page);
    if page == "deploy/README.md" {
        let spans = text.split('`').skip(1).step_by(2);
        return spans.filter_map(|span| span.strip_prefix("marts ")).map(str::to_owned).collect();
    }
    let of_line = |line: &str| {
        let command = line.strip_prefix("    marts ").or_else(|| line.strip_prefix("$ marts "))?;
        Some(command.split(" > ").next()?.to_owned())
    };
    text.lines().filter_map(of_line).collect()
}

/// The words of a command, as a shell takes them. A run's name is that of the newest run: each page shows its own.
fn words(stage: &Stage, command: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (at, part) in command.split('\'').enumerate() {
        match at % 2 {
            1 => words.push(part.to_owned()),
            _ => words.extend(part.split_whitespace().map(str::to_owned)),
        }
    }
    for word in &mut words {
        let is_run = word.len() == "20260121T140810Z-91b7450d".len()
            && word[8..].starts_with('T')
            && word[15..].starts_with("Z-");
        if is_run {
            *word = stage.value("select run_id from etl_runs order by started_at desc limit 1");
        }
    }
    words
}

/// Runs the commands of a page.
fn follow(stage: &Stage, page: &str, specials: &[Special<'_>]) {
    let commands = commands(page);
    for special in specials {
        assert!(commands.iter().any(|command| command == special.command), "{page} has no `marts {}`", special.command);
    }
    for command in commands.iter().filter(|command| NOT_RUN.iter().all(|(name, _)| name != command)) {
        let special = specials.iter().find(|special| special.command == command);
        if let Some(special) = special {
            (special.before)(stage);
        }
        let code = special.map_or(0, |special| special.code);
        let words = words(stage, command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[0] {
            // Where no configuration is yet.
            "init" => {
                let folder = tempfile::tempdir().unwrap();
                let mut init = Command::new(env!("CARGO_BIN_EXE_marts"));
                let init = init.args(&words).current_dir(folder.path()).env_remove("MARTS_CONFIG");
                ended(&words, init.output().unwrap(), code);
                assert!(folder.path().join("marts.toml").exists());
            }
            _ => _ = stage.ends(&words, code),
        }
    }
}

#[test]
fn every_page_with_commands_is_followed_and_what_is_not_run_is_on_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of_folder = |folder: &str| {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}{name}")).collect::<Vec<_>>()
    };
    let pages = ["./", "docs/", "deploy/", "staging/"].into_iter().flat_map(of_folder);
    let pages = pages.map(|page| page.trim_start_matches("./").to_owned());
    let with_commands: BTreeSet<String> = pages.filter(|page| !commands(page).is_empty()).collect();
    assert_eq!(with_commands, PAGES.map(str::to_owned).into());
    let all: Vec<String> = PAGES.iter().flat_map(|page| commands(page)).collect();
    for (command, reason) in NOT_RUN {
        assert!(all.iter().any(|shown| shown == command), "no page shows `marts {command}` ({reason})");
    }
    assert!(all.len() > 35, "only {}", all.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_first_hour_can_be_followed() {
    let stage = Stage::start().await;
    // The page's nights report yesterday, which is the last day of the simulated business.
    follow(&stage, "docs/first-hour.md", &[]);
    assert_eq!(stage.value("select count(*) from etl_runs where status <> 'success'"), "0");
}

/// What analysts are shown to ask, of files and tables.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_analysts_can_be_followed() {
    let stage = Stage::start().await;
    stage.night(&["etl_sales_daily"], 0);
    follow(&stage, "docs/analysts.md", &[]);
    let page = text("docs/analysts.md");
    let (_, sql) = page.split_once("```sql").unwrap();
    let sql = sql.split("```").next().unwrap();
    let bennett = stage.value("select id from organizations where slug = 'bennett'");
    let sql = sql.replace("'1'", &format!("'{bennett}'"));
    for statement in sql.split(';').map(str::trim).filter(|statement| statement.starts_with("select")) {
        let as_reader =
            format!("begin; set local role marts_reader; set local marts.org_id = '{bennett}'; {statement}");
        let (answer, _) = stage.ends(&["postgres", "--format", "csv", &as_reader], 0);
        assert!(answer.lines().count() > 1, "{statement}: {answer}");
    }
}

/// README, and then the page about audits: what they show of one business, before and after a month is closed.
#[tokio::test(flavor = "multi_thread")]
async fn readme_and_the_page_about_audits_can_be_followed() {
    let options = Stage::options(7, day("2026-11-24"));
    let stage = Stage::with(WorldOptions { ledgers: true, ..options }).await;
    let customer = |date: &str| {
        let mut invoices = stage.world.dealer.invoices.iter();
        let found = invoices.rfind(|invoice| invoice.date.date() == day(date) && !invoice.bill_to.trim().is_empty());
        found.unwrap_or_else(|| panic!("nobody bought anything on {date}")).bill_to.trim().to_lowercase()
    };
    let schema = "schema = \"ben002\"";
    let exclude = |stage: &Stage, customer: &str| {
        stage.reword(schema, &format!("{schema}\nexcluded_customers = [\"{customer}\"]"));
    };
    let (first, second) = (customer("2026-11-20"), customer("2026-10-30"));
    let restate = ["run", "etl_sales_daily", "--org", "bennett", "--from-staging"];
    follow(
        &stage,
        "README.md",
        &[
            Special {
                command: "explain mart_cash_flow.operating_cash_flow --org bennett --period 2026-10 --limit 3",
                before: &|stage| _ = stage.ends(&["run"], 0),
                code: 0,
            },
            Special {
                command: "changes --limit 3 --causes 1",
                before: &|stage| {
                    exclude(stage, &first);
                    stage.ends(&restate, 0);
                },
                code: 0,
            },
            // Whoever was excluded is so no more.
            Special {
                command: "verify",
                before: &|stage| {
                    stage.reword(&format!("\nexcluded_customers = [\"{first}\"]"), "");
                    stage.ends(&restate, 0);
                },
                code: 0,
            },
            Special {
                command: "verify etl_cash_flow --org bennett --period 2026-10",
                before: &|stage| {
                    let by_hand = "update mart_cash_flow set operating_cash_flow = operating_cash_flow + 1000
                        where year = 2026 and month = 10 and org_id = (select id from organizations where slug = 'bennett')";
                    stage.ends(&["postgres", by_hand], 0);
                },
                code: 1,
            },
        ],
    );
    follow(
        &stage,
        "docs/audits.md",
        &[Special {
            command: "run etl_sales_daily --org bennett --from-staging --from 2026-10-30 --to 2026-11-02",
            before: &|stage| {
                exclude(stage, &second);
                super::closed::close(stage, "closed_through = \"2026-10\"");
            },
            code: 3,
        }],
    );
    assert_eq!(stage.value("select count(*) from etl_acceptances"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_about_operating_and_platforms_can_be_followed() {
    let stage = Stage::start().await;
    let webhook = handler(|_| async { Reply::text(200, "ok") });
    let webhook = HttpServer::start(webhook, FaultPlan::new(), Clock::system()).await.unwrap();
    std::fs::write(stage.folder.path().join("secrets/webhook"), webhook.url()).unwrap();
    stage.amend("[alerts]\nwebhook = \"file:secrets/webhook\"\n");
    follow(&stage, "docs/operating.md", &[]);
    assert_eq!(webhook.log().len(), 1, "`marts alert --test` sends one message");
    follow(&stage, "deploy/README.md", &[]);
}
