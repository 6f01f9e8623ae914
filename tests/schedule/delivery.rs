//! That alerts arrive: a webhook and a mail server on loopback; and that nothing depends on it.

use std::sync::{Arc, Mutex};

use chrono::Utc;
use marts::clock::Clock;
use marts::sandbox::http::{Fault, FaultPlan, HttpServer, Reply, handler};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::process::Process;
use super::resident::{at, stage};
use crate::night::stage::{Stage, as_of};

/// A webhook that takes everything, on `/hook`, and an address to ping, on `/ping`.
async fn receiver(stage: &Stage) -> HttpServer {
    let answer = handler(|_| async { Reply::text(200, "ok") });
    let server = HttpServer::start(answer, FaultPlan::new(), Clock::system()).await.unwrap();
    let secret = |name: &str, path: &str| {
        std::fs::write(stage.folder.path().join("secrets").join(name), format!("{}/{path}\n", server.url())).unwrap();
    };
    secret("webhook", "hook");
    secret("ping", "ping");
    server
}

/// The texts that the webhook was given.
fn texts(server: &HttpServer) -> Vec<String> {
    let log = server.log();
    let posts = log.iter().filter(|logged| logged.request.path == "/hook" && logged.status == Some(200));
    let text = |body: &[u8]| {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        body["text"].as_str().unwrap().to_owned()
    };
    posts.map(|logged| text(&logged.request.body)).collect()
}

fn pings(server: &HttpServer) -> usize {
    server.log().iter().filter(|logged| logged.request.path == "/ping").count()
}

const HOOK: &str = "[alerts]\nwebhook = \"file:secrets/webhook\"\nping = \"file:secrets/ping\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_scheduler_is_noticed_by_whoever_comes_next() {
    let stage = stage().await;
    stage.amend(HOOK);
    let server = receiver(&stage).await;
    let mut process = Process::start(at(&stage, "14:02:00", &["schedule"]));
    process.says("next: etl_sales_daily of bennett").await;
    // Of vital all is well; bennett has never run, and is not missed yet.
    assert_eq!((texts(&server), pings(&server)), (Vec::new(), 1));
    process.signal("KILL");
    assert_eq!(process.ends().await.code(), None);

    // The next morning nothing has run since.
    stage.turn_to(as_of() + chrono::Days::new(1));
    let morning = |arguments: &[&str]| {
        let mut command = at(&stage, "00:00:00", arguments);
        let at: chrono::DateTime<Utc> = "2026-01-22T16:30:00Z".parse().unwrap();
        command.env("MARTS_CLOCK_SHIFT", (at - Utc::now()).num_seconds().to_string());
        command
    };
    let mut alert = Process::start(morning(&["alert"]));
    assert_eq!(alert.ends().await.code(), Some(1), "{}", alert.said());
    let said = alert.said();
    assert!(
        said.contains("NO SUCCESS etl_zoom_metrics of vital (A services company), since 2026-01-21 08:02 CST"),
        "{said}"
    );
    assert!(said.contains("LATE etl_zoom_metrics of vital (A services company), since 2026-01-22 08:01 CST"), "{said}");
    assert!(said.contains("12 wrong, 12 told"), "{said}");
    let [text] = <[String; 1]>::try_from(texts(&server)).unwrap();
    assert!(text.starts_with("marts: 12 alerts (vital)\n"), "{text}");
    assert!(text.contains("rows: mart_zoom_metrics after 2026-01-20: not published"), "{text}");
    // It is said once.
    let mut alert = Process::start(morning(&["alert"]));
    assert_eq!(alert.ends().await.code(), Some(1), "{}", alert.said());
    assert!(alert.said().contains("12 wrong, 0 told"), "{}", alert.said());
    assert_eq!(texts(&server).len(), 1);

    // A run of one job notices the others too, and takes back what it has mended.
    let mut run = Process::start(morning(&["run", "etl_hubspot_contacts", "--org", "vital"]));
    assert_eq!(run.ends().await.code(), Some(0), "{}", run.said());
    let text = texts(&server).pop().unwrap();
    assert!(text.starts_with("marts: 2 resolved (vital)\n"), "{text}");
    assert!(
        text.contains(
            "RESOLVED etl_hubspot_contacts of vital (A services company): was NO SUCCESS since 2026-01-21 08:02 CST"
        ),
        "{text}"
    );
    assert_eq!(pings(&server), 1, "something is still wrong");
    let open = stage.rows("select kind, count(*) from etl_alerts where closed_at is null group by 1 order by 1");
    assert_eq!(open, [["late", "5"], ["no_success", "5"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_night_is_told_and_taken_back_and_a_dead_webhook_fails_no_night() {
    let stage = Stage::start().await;
    stage.amend(HOOK);
    stage.amend("[limits]\ntries = 1\n");
    let server = receiver(&stage).await;
    server.set_faults(FaultPlan::new().on("POST /hook", 1..=1, Fault::reply(Reply::text(500, "no"))));
    let fails = || FaultPlan::new().on("GET *", .., Fault::reply(Reply::json(500, "{}")));
    stage.world.hubspot.set_faults(fails());
    let (_, said) = stage.ends(&["run", "etl_hubspot_contacts"], 1);
    assert!(said.contains("an alert could not be delivered: the webhook: it answered 500"), "{said}");
    assert!(!said.contains(&server.url()), "the address is a secret: {said}");
    assert_eq!(texts(&server), Vec::<String>::new());

    // Who comes next says what nobody was told; then it is over.
    let (_, said) = stage.ends(&["run", "etl_hubspot_contacts"], 1);
    assert!(!said.contains("could not be delivered"), "{said}");
    let text = texts(&server).pop().unwrap();
    let error = "etl_hubspot_contacts/vital 2026-01-20: pulling hubspot_contacts";
    assert!(
        text.contains("\n\nFAILED etl_hubspot_contacts of vital (A services company), since 2026-01-21 08:0"),
        "{text}"
    );
    assert!(text.contains(error) && text.contains("500 Internal Server Error"), "{text}");
    assert!(text.contains("  rows: mart_crm_contacts 2026-01-20: what was published before stands\n"), "{text}");
    stage.world.hubspot.set_faults(FaultPlan::new());
    // Nights in one second ask for more searches than HubSpot allows in it.
    stage.reword("tries = 1", "tries = 4\nfirst_backoff_millis = 400");
    stage.ends(&["run", "etl_hubspot_contacts"], 0);
    let text = texts(&server).pop().unwrap();
    assert!(text.starts_with("marts: 1 resolved (vital)\n"), "{text}");
    assert_eq!((texts(&server).len(), pings(&server)), (2, 1));
    assert_eq!(stage.value("select count(*) from etl_alerts where closed_at is null"), "0");

    // Nobody there at all: the night does not care.
    drop(server);
    stage.world.hubspot.set_faults(fails());
    let (_, said) = stage.ends(&["run", "etl_hubspot_deals"], 1);
    assert!(said.contains("an alert could not be delivered: the webhook: it cannot be reached"), "{said}");
    stage.world.hubspot.set_faults(FaultPlan::new());
    stage.ends(&["run", "etl_hubspot_deals"], 0);
}

/// A mail server that takes everything from whoever knows the password, and keeps what it was told.
async fn mail_server() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&told);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, Arc::clone(&kept)));
        }
    });
    (port, told)
}

async fn converse(stream: TcpStream, told: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 test ESMTP\r\n").await?;
    let mut is_data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_owned();
        let answer = match line.split([' ', ':']).next().unwrap_or_default() {
            _ if is_data && line == "." => {
                is_data = false;
                "250 kept\r\n"
            }
            _ if is_data => "",
            "EHLO" => "250-test\r\n250 AUTH PLAIN\r\n",
            // marts, hunter2, as PLAIN writes them.
            "AUTH" if line.ends_with(" AG1hcnRzAGh1bnRlcjI=") => "235 welcome\r\n",
            "AUTH" => "535 no\r\n",
            "MAIL" | "RCPT" => "250 ok\r\n",
            "DATA" => {
                is_data = true;
                "354 go on\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "500 what\r\n",
        };
        told.lock().unwrap().push(line);
        stream.write_all(answer.as_bytes()).await?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_says_of_each_way_whether_it_arrived() {
    let stage = Stage::start().await;
    let (_, said) = stage.ends(&["alert", "--test"], 2);
    assert!(said.contains("names nobody to tell: it has neither [alerts] webhook nor [alerts.mail]"), "{said}");
    stage.amend(HOOK);
    let server = receiver(&stage).await;
    let (port, told) = mail_server().await;
    std::fs::write(stage.folder.path().join("secrets/smtp"), "hunter2\n").unwrap();
    stage.amend(&format!(
        "[alerts.mail]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"off\"\nuser = \"marts\"\n\
         password = \"file:secrets/smtp\"\nfrom = \"Marts <marts@example.com>\"\n\
         to = [\"ops@example.com\", \"Ada <ada@example.com>\"]\n"
    ));
    let (said, _) = stage.ends(&["alert", "--test"], 0);
    assert_eq!(said, "webhook: delivered\nmail: delivered\nping: delivered\n");
    assert!(texts(&server).pop().unwrap().starts_with("marts: a test (bennett, vital)\n\nAlerts of these"));
    let lines = told.lock().unwrap().clone();
    let has = |line: &str| assert!(lines.iter().any(|told| told.starts_with(line)), "{line} is not in {lines:#?}");
    has("MAIL FROM:<marts@example.com>");
    has("RCPT TO:<ops@example.com>");
    has("RCPT TO:<ada@example.com>");
    has("Subject: marts: a test (bennett, vital)");
    has("Alerts of these organisations arrive here.");

    std::fs::write(stage.folder.path().join("secrets/smtp"), "wrong\n").unwrap();
    let (said, _) = stage.ends(&["alert", "--test"], 1);
    let refused = format!("mail: NOT delivered: the mail server 127.0.0.1:{port}: sending the mail: ");
    assert!(said.contains(&refused) && said.contains("webhook: delivered"), "{said}");
    assert!(!said.contains("wrong"), "{said}");
}
