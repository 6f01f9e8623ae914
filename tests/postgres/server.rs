//! Reaching a server: the embedded one, a lost connection, messages.

use marts::config::{PostgresSettings, SecretRef};
use marts::postgres::{Answer, Database, Locked, serve};
use sqlx::{Connection, PgConnection};

use super::database::{TestDatabase, second_connection};

#[tokio::test]
async fn a_second_process_is_told_who_has_the_embedded_server() {
    let mut test = TestDatabase::embedded().await;
    let error = Database::embedded(&test.settings.data_dir, "second").await.unwrap_err();
    let message = format!("{error:#}");
    assert!(message.contains(&format!("in use by process {} since 20", std::process::id())), "{message}");
    test.reopen().await;
    assert_eq!(test.value("select count(*) from organizations").await, "2");
}

#[tokio::test]
async fn a_connection_lost_while_idle_is_replaced_and_its_locks_taken_again() {
    let Some(test) = TestDatabase::real().await else { return };
    assert!(matches!(test.get().lock("m", 1).await.unwrap(), Locked::Taken));
    let pid = test.value("select pg_backend_pid()").await;
    let mut other = second_connection(&test.settings).await;
    let kill = sqlx::AssertSqlSafe(format!("select pg_terminate_backend({pid}), pg_sleep(0.2)"));
    sqlx::raw_sql(kill).execute(&mut other).await.unwrap();
    assert_ne!(test.value("select pg_backend_pid()").await, pid);
    let held: i64 = sqlx::query_scalar("select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())")
        .fetch_one(&mut other).await.unwrap();
    assert_eq!(held, 1);
    other.close().await.unwrap();
}

#[tokio::test]
async fn sessions_are_in_utc_and_named_after_the_run() {
    for test in TestDatabase::each().await {
        assert_eq!(test.value("show timezone").await, "UTC");
        assert_eq!(test.value("show application_name").await, "marts test");
    }
}

#[tokio::test]
async fn answers_are_text_and_errors_one_line() {
    for test in TestDatabase::each().await {
        let answers =
            test.get().execute("select 1 as a, null as b, '{}'::jsonb; set local x.y = 'z'; select 'é'").await.unwrap();
        assert_eq!(answers[0].columns, ["a", "b", "jsonb"]);
        assert_eq!(answers[0].rows, [[Some("1".to_owned()), None, Some("{}".to_owned())]]);
        assert_eq!(answers[1], Answer::default());
        assert_eq!(answers[2].rows, [[Some("é".to_owned())]]);
        let refusal = test.refusal("select from nowhere").await;
        assert!(refusal.contains("relation \"nowhere\" does not exist"), "{refusal}");
    }
}

#[tokio::test]
async fn messages_say_where_and_what_to_do_and_never_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    std::fs::write(&file, "postgres://loader:s3cret@127.0.0.1:1/marts").unwrap();
    let settings = PostgresSettings { url: Some(SecretRef::File(file)), data_dir: folder.path().to_owned() };
    let message = format!("{:#}", Database::connect(&settings, "x").await.unwrap_err());
    assert!(message.contains("loader@127.0.0.1:1/marts") && message.contains("is it running"), "{message}");
    assert!(!message.contains("s3cret") && !message.contains('\n'), "{message}");
}

#[tokio::test]
async fn the_embedded_server_serves_one_client_after_another() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("postgres");
    let refused = serve(&data_dir, "0.0.0.0:0".parse().unwrap(), |_| {}, async {}).await.unwrap_err();
    assert!(refused.to_string().contains("not a loopback address"));
    let (started, address) = tokio::sync::oneshot::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let folder = data_dir.clone();
    let server = tokio::spawn(async move {
        let stopped = async { stopped.await.unwrap_or_default() };
        serve(&folder, "127.0.0.1:0".parse().unwrap(), |address| started.send(address).unwrap(), stopped).await
    });
    let url = format!("postgres://postgres@{}/postgres?sslmode=disable", address.await.unwrap());
    for round in 0..2 {
        let mut client = PgConnection::connect(&url).await.unwrap();
        let one: i32 = sqlx::query_scalar("select 1").fetch_one(&mut client).await.unwrap();
        assert_eq!(one, 1);
        if round == 1 {
            // One that is still connected does not keep the server from stopping.
            stop.send(()).unwrap();
            tokio::time::timeout(std::time::Duration::from_secs(20), server).await.unwrap().unwrap().unwrap();
            break;
        }
    }
    Database::embedded(&data_dir, "after").await.unwrap().close().await.unwrap();
}

/// The folder for the child process of the next test.
const CRASH_IN: &str = "MARTS_TEST_CRASH_IN";

#[tokio::test]
async fn what_was_committed_outlasts_a_crash_and_nothing_else_does() {
    const INSERT: &str = "insert into organizations (slug, name, timezone, fiscal_year_start_month) values";
    if let Ok(data_dir) = std::env::var(CRASH_IN) {
        let database = Database::embedded(data_dir.as_ref(), "crash").await.unwrap();
        database.migrate().await.unwrap();
        database.execute(&format!("{INSERT} ('kept', 'x', 'UTC', 1)")).await.unwrap();
        database.execute(&format!("begin; {INSERT} ('lost', 'x', 'UTC', 1)")).await.unwrap();
        std::process::abort();
    }
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("postgres");
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .arg("what_was_committed_outlasts_a_crash")
        .env(CRASH_IN, &data_dir)
        .output()
        .unwrap();
    assert!(child.status.code().is_none(), "{}", String::from_utf8_lossy(&child.stdout));
    let database = Database::embedded(&data_dir, "after").await.unwrap();
    database.migrate().await.unwrap();
    let slugs = database.execute("select slug from organizations").await.unwrap();
    assert_eq!(slugs[0].rows, [[Some("kept".to_owned())]]);
    database.close().await.unwrap();
}
