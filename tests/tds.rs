//! The simulated SQL Server, seen from a client.

use std::{sync::Arc, time::Duration};

use chrono::{NaiveDate, NaiveDateTime};
use marts::sandbox::tds::*;
use tiberius::{AuthMethod, Client, ColumnData, Config, EncryptionLevel, error::Error};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

type Connection = Client<Compat<TcpStream>>;

fn day(y: i32, m: u32, d: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(y, m, d).unwrap()
}

fn at(date: NaiveDate, h: u32, m: u32, s: u32, ms: u32) -> NaiveDateTime {
    date.and_hms_milli_opt(h, m, s, ms).unwrap()
}

fn money(mantissa: i128) -> SqlValue {
    SqlValue::Decimal { mantissa, scale: 4 }
}

/// Three invoices and a table of a hundred thousand.
fn database() -> Database {
    let columns = vec![
        TableColumn::new("InvoiceNo", SqlType::Int).not_null(),
        TableColumn::new("InvoiceDate", SqlType::DateTime),
        TableColumn::new("GrandTotal", SqlType::Money),
        TableColumn::new("BillTo", SqlType::Char(8)),
        TableColumn::new("Note", SqlType::NVarCharMax),
    ];
    let rows = vec![
        vec![
            SqlValue::Int(3),
            SqlValue::DateTime(at(day(2026, 1, 31), 23, 59, 59, 997)),
            money(9_223_372_036_854_775_807),
            "B1".into(),
            SqlValue::Text("né€😀".into()),
        ],
        vec![
            SqlValue::Int(1),
            SqlValue::DateTime(at(day(2026, 2, 1), 0, 0, 0, 0)),
            money(-12345),
            "a9".into(),
            SqlValue::Null,
        ],
        vec![SqlValue::Int(2), SqlValue::Null, SqlValue::Null, SqlValue::Null, SqlValue::Null],
    ];
    let invoices = Table::new("ben002", "InvoiceReg", columns, rows);
    let big = Table {
        schema: "ben002".into(),
        name: "Big".into(),
        columns: vec![
            TableColumn::new("Id", SqlType::BigInt).not_null(),
            TableColumn::new("Amount", SqlType::Decimal { precision: 19, scale: 4 }),
            TableColumn::new("Name", SqlType::NVarChar(100)),
        ],
        rows: Rows::Generated {
            count: 100_000,
            row: Arc::new(|n| {
                vec![SqlValue::Int(n as i64), money(i128::from(n) * 10_001), SqlValue::Text(format!("row {n}"))]
            }),
            sorted_by: vec!["Id".into()],
        },
    };
    Database::new("evo", vec![invoices, big]).unwrap()
}

fn options() -> TdsOptions {
    TdsOptions {
        users: vec![("reader".into(), "pw".into())],
        access_tokens: vec!["good-token".into()],
        encryption: Encryption::None,
        ..TdsOptions::new(database())
    }
}

async fn plain(faults: FaultPlan) -> TdsServer {
    TdsServer::start(TdsOptions { faults, ..options() }).await.unwrap()
}

fn config(server: &TdsServer) -> Config {
    let mut config = Config::new();
    config.host("localhost");
    config.port(server.addr().port());
    config.database("evo");
    config.application_name("marts");
    config.authentication(AuthMethod::sql_server("reader", "pw"));
    config.encryption(EncryptionLevel::NotSupported);
    config.handshake_timeout(Some(Duration::from_secs(5)));
    config.command_timeout(Some(Duration::from_secs(5)));
    config
}

async fn try_connect(server: &TdsServer, config: Config) -> Result<Connection, Error> {
    // tiberius leaves the choice to whoever starts the program.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tcp = TcpStream::connect(server.addr()).await?;
    tcp.set_nodelay(true)?;
    Client::connect(config, tcp.compat_write()).await
}

async fn connect(server: &TdsServer) -> Connection {
    try_connect(server, config(server)).await.unwrap()
}

async fn rows(
    client: &mut Connection,
    sql: &str,
    parameters: &[&dyn tiberius::ToSql],
) -> Result<Vec<tiberius::Row>, Error> {
    client.query(sql, parameters).await?.into_first_result().await
}

fn code<T>(result: Result<T, Error>) -> u32 {
    match result {
        Err(Error::Server(error)) => error.code(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("no error"),
    }
}

fn io_kind<T>(result: Result<T, Error>) -> std::io::ErrorKind {
    match result {
        Err(Error::Io { kind, .. }) => kind,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("no error"),
    }
}

#[tokio::test]
async fn money_is_exact_and_char_is_padded() {
    let server = plain(FaultPlan::default()).await;
    let mut client = connect(&server).await;
    let sql = "SELECT [InvoiceNo], CAST([GrandTotal] AS decimal(19,4)) AS [total], CAST([InvoiceDate] AS date) AS [day], \
               CAST([BillTo] AS nvarchar(40)) AS [bill], [Note] FROM [BEN002].[invoicereg] ORDER BY [InvoiceNo]";
    let rows = rows(&mut client, sql, &[]).await.unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0].get::<i32, _>("InvoiceNo"), Some(1));
    let total = |i: usize| rows[i].get::<tiberius::numeric::Numeric, _>("total").map(|n| (n.value(), n.scale()));
    assert_eq!(total(0), Some((-12345, 4)));
    assert_eq!(total(1), None);
    assert_eq!(total(2), Some((9_223_372_036_854_775_807, 4)));
    assert_eq!(rows[2].get::<NaiveDate, _>("day"), Some(day(2026, 1, 31)));
    assert_eq!(rows[2].get::<&str, _>("bill"), Some("B1      "));
    assert_eq!(rows[2].get::<&str, _>("Note"), Some("né€😀"));
    let Some(LogEntry::Login { login, .. }) = server.log().into_iter().nth(1) else { panic!("no login") };
    assert_eq!((login.user.as_str(), login.database.as_str(), login.application.as_str()), ("reader", "evo", "marts"));
}

#[tokio::test]
async fn the_catalog_describes_columns() {
    let server = plain(FaultPlan::default()).await;
    let mut client = connect(&server).await;
    let sql = "SELECT [COLUMN_NAME], [DATA_TYPE], [IS_NULLABLE], [NUMERIC_PRECISION], [NUMERIC_SCALE], \
               [CHARACTER_MAXIMUM_LENGTH] FROM [INFORMATION_SCHEMA].[COLUMNS] WHERE [TABLE_SCHEMA] = @P1 AND \
               [TABLE_NAME] = @P2 ORDER BY [ORDINAL_POSITION]";
    let rows = rows(&mut client, sql, &[&"ben002", &"InvoiceReg"]).await.unwrap();
    let seen: Vec<_> = rows
        .iter()
        .map(|r| {
            let precision = r.get::<u8, _>(3);
            (
                r.get::<&str, _>(0),
                r.get::<&str, _>(1),
                r.get::<&str, _>(2),
                precision,
                r.get::<i32, _>(4),
                r.get::<i32, _>(5),
            )
        })
        .collect();
    let expected = [
        (Some("InvoiceNo"), Some("int"), Some("NO"), Some(10), Some(0), None),
        (Some("InvoiceDate"), Some("datetime"), Some("YES"), None, None, None),
        (Some("GrandTotal"), Some("money"), Some("YES"), Some(19), Some(4), None),
        (Some("BillTo"), Some("char"), Some("YES"), None, None, Some(8)),
        (Some("Note"), Some("nvarchar"), Some("YES"), None, None, Some(-1)),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn typed_parameters_filter() {
    let server = plain(FaultPlan::default()).await;
    let mut client = connect(&server).await;
    let select =
        |filter: &str| format!("SELECT [InvoiceNo] FROM [ben002].[InvoiceReg] WHERE {filter} ORDER BY [InvoiceNo]");
    let numbers = |rows: Vec<tiberius::Row>| rows.iter().map(|r| r.get::<i32, _>(0).unwrap()).collect::<Vec<_>>();
    let january: [&dyn tiberius::ToSql; 2] = [&day(2026, 1, 1), &day(2026, 2, 1)];
    let window = select("[InvoiceDate] >= @P1 AND [InvoiceDate] < @P2");
    assert_eq!(numbers(rows(&mut client, &window, &january).await.unwrap()), [3]);
    let cast = select("CAST([InvoiceDate] AS date) = @P1 OR [InvoiceDate] IS NULL");
    assert_eq!(numbers(rows(&mut client, &cast, &[&day(2026, 1, 31)]).await.unwrap()), [2, 3]);
    let grouped = select("([BillTo] = @P1 OR [BillTo] IS NULL) AND [InvoiceNo] <> @P2");
    assert_eq!(numbers(rows(&mut client, &grouped, &[&"A9  ", &7i64]).await.unwrap()), [1, 2]);
    let moment = select("[InvoiceDate] > @P1");
    assert_eq!(numbers(rows(&mut client, &moment, &[&at(day(2026, 1, 31), 23, 0, 0, 0)]).await.unwrap()), [1, 3]);
    assert!(rows(&mut client, &moment, &[&None::<i32>]).await.unwrap().is_empty());
    let decimal = select("[GrandTotal] < @P1");
    assert_eq!(
        numbers(rows(&mut client, &decimal, &[&tiberius::numeric::Numeric::new_with_scale(-12344, 4)]).await.unwrap()),
        [1]
    );
    // Text against a datetime is refused, whether or not it reads as a date.
    assert_eq!(code(rows(&mut client, &window, &[&"2026-01-01", &"2026-02-01"]).await), 242);
    assert_eq!(code(rows(&mut client, &window, &[&"yesterday", &"today"]).await), 241);
    assert_eq!(code(rows(&mut client, &moment, &[&7i32]).await), 206);
    let Some(LogEntry::Statement { parameters, .. }) = server.log().into_iter().nth(2) else { panic!("no statement") };
    assert_eq!(parameters[0].name, "@P1");
    assert_eq!(parameters[0].value, SqlValue::Date(day(2026, 1, 1)));
}

#[tokio::test]
async fn what_the_grammar_lacks_is_loud() {
    let server = plain(FaultPlan::default()).await;
    let mut client = connect(&server).await;
    for (sql, number) in [
        ("SELECT * FROM [ben002].[InvoiceReg]", 102),
        ("SELECT [InvoiceNo] FROM ben002.InvoiceReg", 102),
        ("SELECT [InvoiceNo] FROM [ben002].[InvoiceReg] WITH (NOLOCK)", 102),
        ("SELECT [InvoiceNo] FROM [ben002].[InvoiceReg] WHERE [InvoiceNo] = 1", 102),
        ("DELETE FROM [ben002].[InvoiceReg]", 102),
        ("SELECT [InvoiceNo] FROM [ben002].[InvoiceReg", 105),
        ("", 102),
        ("SELECT [InvoiceNo] FROM [ben002].[Nope]", 208),
        ("SELECT [CustNo] FROM [ben002].[InvoiceReg]", 207),
        ("SELECT [InvoiceNo] FROM [ben002].[InvoiceReg] ORDER BY [CustNo]", 207),
        ("SELECT [InvoiceNo] FROM [ben002].[InvoiceReg] WHERE [InvoiceNo] = @P9", 137),
        ("SELECT [InvoiceNo], COUNT_BIG(*) AS [n] FROM [ben002].[InvoiceReg]", 8120),
        ("SELECT CAST([GrandTotal] AS decimal(9,4)) AS [x] FROM [ben002].[InvoiceReg]", 8115),
        ("SELECT CAST([BillTo] AS int) AS [x] FROM [ben002].[InvoiceReg]", 245),
        ("SELECT CAST([BillTo] AS date) AS [x] FROM [ben002].[InvoiceReg]", 241),
        ("SELECT CAST([Note] AS decimal(9,2)) AS [x] FROM [ben002].[InvoiceReg]", 8114),
    ] {
        assert_eq!(code(rows(&mut client, sql, &[]).await), number, "{sql}");
        // The connection stays good.
        assert_eq!(rows(&mut client, "SELECT 1", &[]).await.unwrap()[0].get::<i32, _>(0), Some(1));
    }
}

#[tokio::test]
async fn batches_and_totals() {
    let server = plain(FaultPlan::default()).await;
    let mut client = connect(&server).await;
    client
        .simple_query("SET LOCK_TIMEOUT 30000; SET DEADLOCK_PRIORITY LOW;")
        .await
        .unwrap()
        .into_results()
        .await
        .unwrap();
    let version = client.simple_query("SELECT @@VERSION").await.unwrap().into_row().await.unwrap().unwrap();
    assert!(version.get::<&str, _>(0).unwrap().starts_with("Microsoft SQL"));
    let sql =
        "SELECT COUNT_BIG(*) AS [n], SUM(CAST([GrandTotal] AS decimal(19,4))) AS [total] FROM [ben002].[InvoiceReg]";
    let row = &rows(&mut client, sql, &[]).await.unwrap()[0];
    assert_eq!(row.get::<i64, _>("n"), Some(3));
    let total = row.get::<tiberius::numeric::Numeric, _>("total").unwrap();
    assert_eq!((total.value(), total.scale()), (9_223_372_036_854_775_807 - 12345, 4));
    let none = format!("{sql} WHERE [InvoiceNo] > @P1");
    let row = &rows(&mut client, &none, &[&100i32]).await.unwrap()[0];
    assert_eq!(row.get::<i64, _>("n"), Some(0));
    assert!(row.get::<tiberius::numeric::Numeric, _>("total").is_none());
    let top = "SELECT TOP (1) [InvoiceNo], CAST(NULL AS nvarchar(10)) AS [nothing] FROM [ben002].[InvoiceReg] ORDER BY [InvoiceNo] DESC";
    let rows = rows(&mut client, top, &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].get::<i32, _>(0), rows[0].get::<&str, _>(1)), (Some(3), None));
}

#[tokio::test]
async fn every_type_arrives() {
    let uuid = [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 8];
    let long = "x€".repeat(20_000);
    let midnight = at(day(2024, 2, 29), 0, 0, 0, 0);
    let nanos = midnight + chrono::Duration::nanoseconds(45_296_123_456_700);
    let dec = |mantissa, scale| SqlValue::Decimal { mantissa, scale };
    let largest = 10i128.pow(38) - 1;
    // Type, what is stored, and how tiberius prints it.
    let cases: Vec<(SqlType, SqlValue, String)> = vec![
        (SqlType::TinyInt, SqlValue::Int(200), "U8(Some(200))".into()),
        (SqlType::SmallInt, SqlValue::Int(-300), "I16(Some(-300))".into()),
        (SqlType::Int, SqlValue::Int(-7), "I32(Some(-7))".into()),
        (SqlType::BigInt, SqlValue::Int(i64::MIN), format!("I64(Some({}))", i64::MIN)),
        (SqlType::Bit, SqlValue::Bit(true), "Bit(Some(true))".into()),
        (SqlType::Float, SqlValue::Float(0.1), "F64(Some(0.1))".into()),
        (SqlType::Real, SqlValue::Float(1.5), "F32(Some(1.5))".into()),
        (SqlType::Money, dec(-19_999, 4), "F64(Some(-1.9999))".into()),
        (SqlType::SmallMoney, dec(2_147_483_647, 4), "F64(Some(214748.3647))".into()),
        (SqlType::Decimal { precision: 9, scale: 2 }, dec(-5, 1), "-0.50".into()),
        (SqlType::Decimal { precision: 38, scale: 0 }, dec(largest, 0), format!("{largest}.")),
        (SqlType::Decimal { precision: 28, scale: 10 }, dec(15, 1), "1.5000000000".into()),
        (
            SqlType::DateTime,
            SqlValue::DateTime(at(day(1753, 1, 1), 12, 0, 0, 7)),
            "1753-01-01T12:00:00.006666666".into(),
        ),
        (SqlType::SmallDateTime, SqlValue::DateTime(at(day(2026, 1, 1), 11, 59, 30, 0)), "2026-01-01T12:00:00".into()),
        (SqlType::DateTime2(7), SqlValue::DateTime(nanos), "2024-02-29T12:34:56.123456700".into()),
        (SqlType::DateTime2(3), SqlValue::DateTime(nanos), "2024-02-29T12:34:56.123".into()),
        (SqlType::DateTime2(0), SqlValue::DateTime(nanos), "2024-02-29T12:34:56".into()),
        (SqlType::Date, SqlValue::Date(day(1, 1, 1)), "0001-01-01".into()),
        (SqlType::VarChar(10), "né€".into(), "né€".into()),
        (SqlType::VarChar(10), "日".into(), "?".into()),
        (SqlType::NVarChar(10), "日€😀".into(), "日€😀".into()),
        (SqlType::Char(5), "ab".into(), "ab   ".into()),
        (SqlType::NChar(5), "日".into(), "日    ".into()),
        (SqlType::VarCharMax, SqlValue::Text(long.clone()), long.clone()),
        (SqlType::NVarCharMax, SqlValue::Text(long.clone()), long.clone()),
        (SqlType::UniqueIdentifier, SqlValue::Uuid(uuid), "12345678-9abc-def0-0102-030405060708".into()),
    ];
    let columns = |strict: bool| -> Vec<TableColumn> {
        let column = |(i, case): (usize, &(SqlType, _, _))| {
            let column = TableColumn::new(&format!("c{i}"), case.0);
            if strict { column.not_null() } else { column }
        };
        cases.iter().enumerate().map(column).collect()
    };
    let full: Vec<SqlValue> = cases.iter().map(|case| case.1.clone()).collect();
    let mut thirds = full.clone();
    thirds.iter_mut().step_by(3).for_each(|value| *value = SqlValue::Null);
    let mut halves = full.clone();
    halves.iter_mut().step_by(2).for_each(|value| *value = SqlValue::Null);
    let nulls = vec![SqlValue::Null; full.len()];
    let tables = vec![
        Table::new("dbo", "nullable", columns(false), vec![full.clone(), thirds, halves, nulls]),
        Table::new("dbo", "strict", columns(true), vec![full]),
    ];
    for packet_size in [512, 4096, 32767] {
        let database = Database::new("evo", tables.clone()).unwrap();
        let server = TdsServer::start(TdsOptions { database, ..options() }).await.unwrap();
        let mut wanted = config(&server);
        wanted.packet_size(packet_size);
        let mut client = try_connect(&server, wanted).await.unwrap();
        let items: Vec<String> = (0..cases.len()).map(|i| format!("[c{i}]")).collect();
        for (table, nulls) in [("nullable", vec![0, 3, 2, 1]), ("strict", vec![0])] {
            let sql = format!("SELECT {} FROM [dbo].[{table}]", items.join(", "));
            let rows = rows(&mut client, &sql, &[]).await.unwrap();
            assert_eq!(rows.len(), nulls.len());
            for (row, every) in rows.iter().zip(nulls) {
                for (i, (sql_type, _, expected)) in cases.iter().enumerate() {
                    let shown = show(row, i);
                    if every > 0 && i % every == 0 {
                        assert_eq!(shown, None, "{sql_type:?}");
                    } else {
                        assert_eq!(shown.as_ref(), Some(expected), "{sql_type:?}");
                    }
                }
            }
        }
    }
}

/// A cell by its own type, none for NULL.
fn show(row: &tiberius::Row, i: usize) -> Option<String> {
    let (_, data) = row.cells().nth(i).unwrap();
    match data {
        ColumnData::String(text) => text.as_ref().map(|t| t.to_string()),
        ColumnData::Guid(uuid) => uuid.map(|u| u.to_string()),
        ColumnData::Numeric(number) => number.map(|n| {
            let text = format!("{:0>1$}", n.value().abs(), n.scale() as usize + 1);
            let (whole, fraction) = text.split_at(text.len() - n.scale() as usize);
            format!("{}{whole}.{fraction}", if n.value() < 0 { "-" } else { "" })
        }),
        ColumnData::Date(value) => value.and_then(|_| row.get::<NaiveDate, _>(i)).map(|d| d.to_string()),
        ColumnData::DateTime(None) | ColumnData::SmallDateTime(None) | ColumnData::DateTime2(None) => None,
        ColumnData::DateTime(_) | ColumnData::SmallDateTime(_) | ColumnData::DateTime2(_) => {
            row.get::<NaiveDateTime, _>(i).map(|d| d.format("%Y-%m-%dT%H:%M:%S%.f").to_string())
        }
        other => Some(format!("{other:?}")).filter(|text| !text.contains("None")),
    }
}

#[tokio::test]
async fn tls_as_the_client_asks() {
    for (encryption, client, good) in [
        (Encryption::LoginOnly, EncryptionLevel::Off, true),
        (Encryption::LoginOnly, EncryptionLevel::On, true),
        (Encryption::On, EncryptionLevel::Off, true),
        (Encryption::On, EncryptionLevel::Required, true),
        (Encryption::Strict, EncryptionLevel::Required, true),
        (Encryption::Strict, EncryptionLevel::Strict, true),
        (Encryption::None, EncryptionLevel::Required, false),
        (Encryption::On, EncryptionLevel::Strict, false),
    ] {
        let server = TdsServer::start(TdsOptions { encryption, ..options() }).await.unwrap();
        let mut wanted = config(&server);
        wanted.encryption(client);
        wanted.trust_cert_ca_bundle(server.ca_pem().into_bytes());
        match try_connect(&server, wanted).await {
            Ok(mut client) => {
                assert!(good, "{encryption:?}");
                let count = "SELECT [Id] FROM [ben002].[Big] WHERE [Id] < @P1";
                let rows = rows(&mut client, count, &[&5000i64]).await.unwrap();
                assert_eq!(rows.len(), 5000);
            }
            Err(error) => assert!(!good, "{encryption:?} {client:?}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_certificate_is_checked() {
    let server = |encryption| async move { TdsServer::start(TdsOptions { encryption, ..options() }).await.unwrap() };
    for (encryption, client) in
        [(Encryption::On, EncryptionLevel::Required), (Encryption::Strict, EncryptionLevel::Strict)]
    {
        let (server, other) = (server(encryption).await, server(encryption).await);
        let mut wanted = config(&server);
        wanted.encryption(client);
        // By address.
        let mut address = wanted.clone();
        address.host("127.0.0.1");
        address.trust_cert_ca_bundle(server.ca_pem().into_bytes());
        assert!(try_connect(&server, address).await.is_ok());
        // By another authority, by none, by another name.
        let mut unknown = wanted.clone();
        unknown.trust_cert_ca_bundle(other.ca_pem().into_bytes());
        assert!(matches!(try_connect(&server, unknown).await, Err(Error::Io { .. } | Error::Tls(_))));
        assert!(try_connect(&server, wanted.clone()).await.is_err());
        let mut name = wanted.clone();
        name.trust_cert_ca_bundle(server.ca_pem().into_bytes());
        name.hostname_in_certificate("evo.database.windows.net");
        assert!(try_connect(&server, name).await.is_err());
        // Not checked at all.
        let mut trusting = wanted;
        trusting.trust_cert();
        assert!(try_connect(&server, trusting).await.is_ok());
    }
}

#[tokio::test]
async fn only_known_logins_get_in() {
    let server = TdsServer::start(TdsOptions { encryption: Encryption::On, ..options() }).await.unwrap();
    let mut wanted = config(&server);
    wanted.encryption(EncryptionLevel::Required);
    wanted.trust_cert();
    let with = |auth: AuthMethod| {
        let mut config = wanted.clone();
        config.authentication(auth);
        config
    };
    for refused in [
        AuthMethod::sql_server("reader", "PW"),
        AuthMethod::sql_server("somebody", "pw"),
        AuthMethod::aad_token("bad-token"),
    ] {
        assert_eq!(code(try_connect(&server, with(refused)).await), 18456);
    }
    let mut elsewhere = wanted.clone();
    elsewhere.database("other");
    assert_eq!(code(try_connect(&server, elsewhere).await), 4060);
    let azure = with(AuthMethod::sql_server("reader@evo", "pw"));
    assert!(try_connect(&server, azure).await.is_ok());
    let mut token = with(AuthMethod::aad_token("good-token"));
    token.readonly(true);
    let mut client = try_connect(&server, token).await.unwrap();
    assert_eq!(rows(&mut client, "SELECT 1", &[]).await.unwrap().len(), 1);
    let last = server.log().into_iter().filter_map(|entry| match entry {
        LogEntry::Login { login, .. } => Some(login),
        _ => None,
    });
    let last = last.collect::<Vec<_>>().pop().unwrap();
    assert!(last.access_token && last.read_only_intent);
    assert!(!format!("{:?}", server.log()).contains("good-token"), "secrets stay out of the log");
}

#[tokio::test]
async fn connections_fail_as_planned() {
    let route = ConnectionFault::Route { host: "worker.example.test".into(), port: 11433 };
    let server = plain(
        FaultPlan::one(Fault::connection(ConnectionFault::Close))
            .and(Fault::connection(ConnectionFault::Reset).nth(2))
            .and(Fault::connection(ConnectionFault::RefuseLogin(SqlError::known(40613))).nth(3))
            .and(Fault::connection(ConnectionFault::RefuseLogin(SqlError::known(40613).with_class(20))).nth(4))
            .and(Fault::connection(ConnectionFault::RefuseLogin(SqlError::known(40615))).nth(5))
            .and(Fault::connection(route).nth(6))
            .and(Fault::connection(ConnectionFault::StallHandshake(Duration::from_secs(60))).nth(7)),
    )
    .await;
    let mut wanted = config(&server);
    wanted.handshake_timeout(Some(Duration::from_millis(200)));
    let attempt = || try_connect(&server, wanted.clone());
    assert!(matches!(attempt().await, Err(Error::Io { .. })));
    assert!(matches!(attempt().await, Err(Error::Io { .. })));
    for number in [40613, 40613, 40615] {
        assert_eq!(code(attempt().await), number);
    }
    match attempt().await {
        Err(Error::Routing { host, port }) => {
            assert_eq!((host.as_str(), port), ("worker.example.test", 11433))
        }
        other => panic!("{:?}", other.map(drop)),
    }
    assert_eq!(io_kind(attempt().await), std::io::ErrorKind::TimedOut);
    assert!(attempt().await.is_ok());
}

const BIG: &str = "SELECT [Id], CAST([Amount] AS decimal(19,4)) AS [Amount], [Name] FROM [ben002].[Big] ORDER BY [Id]";

/// Reads until the end or an error; how many rows came before it.
async fn drain(client: &mut Connection, sql: &str) -> (u64, Option<Error>) {
    use futures_util::TryStreamExt;
    let mut seen = 0;
    let stream = match client.query(sql, &[]).await {
        Ok(stream) => stream,
        Err(error) => return (0, Some(error)),
    };
    let mut rows = stream.into_row_stream();
    loop {
        match rows.try_next().await {
            Ok(Some(_)) => seen += 1,
            Ok(None) => return (seen, None),
            Err(error) => return (seen, Some(error)),
        }
    }
}

#[tokio::test]
async fn statements_fail_as_planned() {
    let on_big = |fault| Fault::statement("[Big]", fault);
    let server = plain(
        FaultPlan::one(on_big(StatementFault::Error(SqlError::known(1205))))
            .and(on_big(StatementFault::AfterRows(1000, Break::Error(SqlError::known(1205)))).nth(2))
            .and(on_big(StatementFault::AfterRows(u64::MAX, Break::Error(SqlError::known(1205)))).nth(3))
            .and(on_big(StatementFault::AfterRows(20_000, Break::Stall(Duration::from_millis(50)))).nth(4)),
    )
    .await;
    let mut client = connect(&server).await;
    for expected in [0, 1000, 100_000] {
        let (seen, error) = drain(&mut client, BIG).await;
        assert_eq!(seen, expected);
        assert!(error.unwrap().is_deadlock());
        // The connection is still good, and other statements are not concerned.
        assert_eq!(rows(&mut client, "SELECT 1", &[]).await.unwrap().len(), 1);
    }
    assert!(matches!(drain(&mut client, BIG).await, (100_000, None)));
    assert!(matches!(drain(&mut client, BIG).await, (100_000, None)));
}

#[tokio::test]
async fn connections_break_in_the_middle() {
    use std::io::ErrorKind::{BrokenPipe, TimedOut, UnexpectedEof};
    for encryption in [Encryption::None, Encryption::On] {
        for (what, kinds) in [
            // Inside TLS a bare FIN is no proper end, and tiberius reports that like a reset.
            (Break::Close, if encryption == Encryption::On { &[BrokenPipe][..] } else { &[UnexpectedEof][..] }),
            (Break::Reset, &[BrokenPipe, std::io::ErrorKind::ConnectionReset][..]),
            (Break::StallUntilAttention, &[TimedOut][..]),
        ] {
            for after in [0, 5000] {
                let fault = Fault::statement("", StatementFault::AfterRows(after, what.clone()));
                let server = TdsServer::start(TdsOptions { encryption, faults: FaultPlan::one(fault), ..options() })
                    .await
                    .unwrap();
                let mut wanted = config(&server);
                wanted.command_timeout(Some(Duration::from_millis(300)));
                if encryption == Encryption::On {
                    wanted.encryption(EncryptionLevel::Required);
                    wanted.trust_cert();
                }
                let mut client = try_connect(&server, wanted).await.unwrap();
                let (seen, error) = drain(&mut client, BIG).await;
                assert!(seen <= after, "{seen} rows");
                match error {
                    Some(Error::Io { kind, message }) => {
                        assert!(kinds.contains(&kind), "{encryption:?} {what:?} {after}: {kind:?} {message}")
                    }
                    other => panic!("{what:?}: {other:?}"),
                }
                if what == Break::StallUntilAttention {
                    assert_eq!(seen, after, "what was made before the stall has arrived");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_cancel_is_acknowledged_inside_the_message() {
    use futures_util::StreamExt;
    let fault = Fault::statement("", StatementFault::AfterRows(5000, Break::StallUntilAttention));
    let server = plain(FaultPlan::one(fault)).await;
    let mut client = connect(&server).await;
    {
        let mut rows = client.query(BIG, &[]).await.unwrap().into_row_stream();
        assert!(rows.next().await.unwrap().is_ok());
    }
    client.cancel_query().await.unwrap();
    assert!(server.log().iter().any(|entry| matches!(entry, LogEntry::Attention { .. })));
    assert_eq!(rows(&mut client, "SELECT 1", &[]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_cancel_is_acknowledged_after_the_message() {
    use futures_util::StreamExt;
    let server = plain(FaultPlan::one(Fault::statement("[Big]", StatementFault::IgnoreAttention))).await;
    let mut client = connect(&server).await;
    {
        let mut rows = client.query(BIG, &[]).await.unwrap().into_row_stream();
        assert!(rows.next().await.unwrap().is_ok());
    }
    // The client loses track here: the acknowledgement comes in a message it no longer waits for. Whoever cancels has
    // to drop the connection.
    let _ = client.cancel_query().await;
    drop(client);
    for _ in 0..100 {
        if server.log().iter().any(|entry| matches!(entry, LogEntry::Attention { .. })) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no attention arrived");
}

#[tokio::test]
async fn an_abandoned_result_is_drained() {
    let server = plain(FaultPlan::default()).await;
    let mut client = connect(&server).await;
    drop(client.query(BIG, &[]).await.unwrap());
    assert_eq!(rows(&mut client, "SELECT 1", &[]).await.unwrap()[0].get::<i32, _>(0), Some(1));
}

#[tokio::test]
async fn a_large_table_streams_exactly() {
    use futures_util::TryStreamExt;
    let server = plain(FaultPlan::default()).await;
    let mut client = connect(&server).await;
    let mut stream = client.query(BIG, &[]).await.unwrap().into_row_stream();
    let (mut expected, mut total) = (0i64, 0i128);
    while let Some(row) = stream.try_next().await.unwrap() {
        assert_eq!(row.get::<i64, _>(0), Some(expected));
        total += row.get::<tiberius::numeric::Numeric, _>(1).unwrap().value();
        expected += 1;
    }
    assert_eq!(expected, 100_000);
    assert_eq!(total, (0..100_000).map(|n| n * 10_001).sum::<i128>());
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind, 1];
    packet.extend((body.len() as u16 + 8).to_be_bytes());
    packet.extend([0, 0, 1, 0]);
    packet.extend(body);
    packet
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// What a client sends for one query: PRELOGIN, LOGIN7, sp_executesql with a few parameters.
fn conversation() -> Vec<u8> {
    let prelogin = [0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF, 1, 2, 3, 4, 0, 0, 2];
    let mut login = vec![0; 94];
    login[8..12].copy_from_slice(&4096u32.to_le_bytes());
    let secret: Vec<u8> = utf16("pw").iter().map(|b| b.rotate_left(4) ^ 0xA5).collect();
    for (at, value) in
        [(36, vec![]), (40, utf16("reader")), (44, secret), (48, vec![]), (52, vec![]), (68, utf16("evo"))]
    {
        let offset = (login.len() as u16).to_le_bytes();
        login[at..at + 2].copy_from_slice(&offset);
        login[at + 2..at + 4].copy_from_slice(&(value.len() as u16 / 2).to_le_bytes());
        login.extend(value);
    }
    let mut call = vec![22, 0, 0, 0, 18, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
    call.extend([0xFF, 0xFF, 10, 0, 0, 0]);
    let text = |value: &str| {
        let value = utf16(value);
        let mut out = vec![0xE7, 0x40, 0x1F, 0, 0, 0, 0, 0];
        out.extend((value.len() as u16).to_le_bytes());
        out.extend(value);
        out
    };
    let sql = "SELECT [InvoiceNo] FROM [ben002].[InvoiceReg] WHERE [InvoiceNo] < @a AND [InvoiceDate] < @b AND \
               [GrandTotal] < @c AND [InvoiceDate] < @d AND [BillTo] <> @e";
    for (name, value) in [
        ("", text(sql)),
        ("", text("@a int")),
        ("@a", vec![0x26, 4, 4, 9, 0, 0, 0]),
        ("@b", vec![0x2A, 7, 8, 1, 2, 3, 4, 5, 0x45, 0x46, 0x0B]),
        ("@c", vec![0x6C, 17, 38, 4, 9, 1, 9, 9, 9, 9, 9, 9, 9, 9]),
        ("@d", vec![0x6F, 8, 8, 1, 2, 0, 0, 1, 2, 3, 0]),
        ("@e", text("x")),
    ] {
        call.push(name.len() as u8);
        call.extend(utf16(name));
        call.push(0);
        call.extend(value);
    }
    [packet(0x12, &prelogin), packet(0x10, &login), packet(0x03, &call)].concat()
}

#[tokio::test]
async fn garbage_ends_the_connection_and_nothing_else() {
    use rand_chacha::rand_core::{Rng, SeedableRng};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = plain(FaultPlan::default()).await;
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let good = conversation();
    let mut sent = vec![good.clone(), vec![0; 100], vec![0xFF; 5000], b"GET / HTTP/1.1\r\n\r\n".to_vec()];
    for _ in 0..400 {
        let mut bad = good.clone();
        for _ in 0..1 + random.next_u32() % 3 {
            let at = random.next_u32() as usize % bad.len();
            bad[at] = random.next_u32() as u8;
        }
        sent.push(bad);
    }
    let count = sent.len();
    for (i, bytes) in sent.into_iter().enumerate() {
        let mut tcp = TcpStream::connect(server.addr()).await.unwrap();
        let _ = tcp.write_all(&bytes).await;
        let _ = tcp.shutdown().await;
        let mut answer = Vec::new();
        let _ = tcp.read_to_end(&mut answer).await;
        if i == 0 {
            // Untouched, it is a good question: the last token says that the procedure ended without an error.
            assert!(answer.ends_with(&[0xFE, 0, 0, 0xC1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "{answer:02X?}");
        }
    }
    // A connection that panicked would not have been logged as closed.
    let closed = || server.log().iter().filter(|entry| matches!(entry, LogEntry::Closed { .. })).count();
    for _ in 0..200 {
        if closed() == count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(closed(), count);
    assert!(server.statements().len() > 50, "most of it got as far as a statement");
    let mut client = connect(&server).await;
    assert_eq!(rows(&mut client, "SELECT 1", &[]).await.unwrap().len(), 1);
}

/// `CAST(value AS target)` for a value of a column type: the printed cell, or the error's number.
#[tokio::test]
async fn casts_are_those_of_sql_server() {
    let decimal = |precision, scale| SqlType::Decimal { precision, scale };
    let dec = |mantissa, scale| SqlValue::Decimal { mantissa, scale };
    let late = SqlValue::DateTime(at(day(2026, 1, 31), 23, 59, 59, 997));
    let text = SqlType::NVarChar(50);
    let cases: Vec<(SqlType, SqlValue, &str, Result<&str, u32>)> = vec![
        (SqlType::Money, dec(-9_223_372_036_854_775_808, 4), "decimal(19,4)", Ok("-922337203685477.5808")),
        (SqlType::Money, dec(5, 4), "decimal(19,2)", Ok("0.00")),
        (SqlType::Money, dec(50, 4), "decimal(19,2)", Ok("0.01")),
        (decimal(9, 3), dec(-1005, 3), "decimal(9,2)", Ok("-1.01")),
        (decimal(9, 3), dec(-1004, 3), "decimal(9,2)", Ok("-1.00")),
        (decimal(9, 2), dec(99_999, 2), "decimal(4,1)", Err(8115)),
        (decimal(38, 0), dec(10i128.pow(38) - 1, 0), "decimal(38,1)", Err(8115)),
        (SqlType::Float, SqlValue::Float(0.1), "decimal(19,4)", Ok("0.1000")),
        (SqlType::Float, SqlValue::Float(1e30), "decimal(19,4)", Err(8115)),
        (SqlType::Int, SqlValue::Int(-7), "decimal(19,4)", Ok("-7.0000")),
        (SqlType::Int, SqlValue::Int(-7), "nvarchar(10)", Ok("-7")),
        (SqlType::Int, SqlValue::Int(12345), "varchar(3)", Ok("*")),
        (SqlType::Int, SqlValue::Int(12345), "nvarchar(3)", Err(8115)),
        (SqlType::Int, SqlValue::Int(70_000), "smallint", Err(8115)),
        (SqlType::Bit, SqlValue::Bit(true), "int", Ok("I32(Some(1))")),
        (SqlType::Money, dec(15_000, 4), "int", Ok("I32(Some(2))")),
        (decimal(9, 1), dec(19, 1), "int", Ok("I32(Some(1))")),
        (SqlType::Money, dec(123_456, 4), "nvarchar(20)", Ok("12.35")),
        (decimal(9, 2), dec(-5, 2), "nvarchar(20)", Ok("-0.05")),
        (SqlType::Float, SqlValue::Float(1_234_567.0), "nvarchar(20)", Ok("1.23457e+006")),
        (SqlType::Float, SqlValue::Float(0.25), "nvarchar(20)", Ok("0.25")),
        (SqlType::DateTime, late.clone(), "date", Ok("2026-01-31")),
        (SqlType::DateTime, late.clone(), "datetime2(3)", Ok("2026-01-31T23:59:59.997")),
        (SqlType::DateTime, late.clone(), "datetime2(0)", Ok("2026-02-01T00:00:00")),
        (SqlType::DateTime, late.clone(), "nvarchar(30)", Ok("Jan 31 2026 11:59PM")),
        (SqlType::DateTime, late, "decimal(9,2)", Err(529)),
        (
            SqlType::DateTime2(2),
            SqlValue::DateTime(at(day(2026, 1, 5), 3, 4, 5, 60)),
            "nvarchar(30)",
            Ok("2026-01-05 03:04:05.06"),
        ),
        (SqlType::Date, SqlValue::Date(day(2026, 1, 5)), "nvarchar(30)", Ok("2026-01-05")),
        (SqlType::Date, SqlValue::Date(day(2026, 1, 5)), "datetime2(0)", Ok("2026-01-05T00:00:00")),
        (SqlType::Date, SqlValue::Date(day(2026, 1, 5)), "int", Err(529)),
        (SqlType::Char(5), "ab".into(), "nvarchar(10)", Ok("ab   ")),
        (SqlType::Char(5), "ab".into(), "nvarchar(1)", Ok("a")),
        (text, "日本".into(), "varchar(10)", Ok("??")),
        (text, " 12 ".into(), "int", Ok("I32(Some(12))")),
        (text, "".into(), "int", Ok("I32(Some(0))")),
        (text, "12.5".into(), "int", Err(245)),
        (text, "x".into(), "bigint", Err(8114)),
        (text, "12.345".into(), "decimal(9,2)", Ok("12.35")),
        (text, "".into(), "decimal(9,2)", Err(8114)),
        (text, "1e3".into(), "float", Ok("F64(Some(1000.0))")),
        (text, "x".into(), "float", Err(8114)),
        (text, "TRUE".into(), "bit", Ok("Bit(Some(true))")),
        (text, "2026-02-29".into(), "date", Err(241)),
        (text, "20260228".into(), "date", Ok("2026-02-28")),
        (text, "2026-02-28T10:11:12.5".into(), "datetime2(1)", Ok("2026-02-28T10:11:12.500")),
        (
            SqlType::UniqueIdentifier,
            SqlValue::Uuid([0xAB; 16]),
            "nvarchar(36)",
            Ok("ABABABAB-ABAB-ABAB-ABAB-ABABABABABAB"),
        ),
        (SqlType::UniqueIdentifier, SqlValue::Uuid([0xAB; 16]), "nvarchar(35)", Err(8170)),
        (SqlType::UniqueIdentifier, SqlValue::Uuid([0xAB; 16]), "int", Err(529)),
    ];
    let tables = cases.iter().enumerate().map(|(i, (sql_type, value, ..))| {
        let columns = vec![TableColumn::new("v", *sql_type)];
        Table::new("dbo", &format!("t{i}"), columns, vec![vec![value.clone()]])
    });
    let database = Database::new("evo", tables.collect()).unwrap();
    let server = TdsServer::start(TdsOptions { database, ..options() }).await.unwrap();
    let mut client = connect(&server).await;
    for (i, (sql_type, value, target, expected)) in cases.iter().enumerate() {
        let sql = format!("SELECT CAST([v] AS {target}) AS [v] FROM [dbo].[t{i}]");
        let case = format!("{value:?} ({sql_type:?}) as {target}");
        match (rows(&mut client, &sql, &[]).await, expected) {
            (Ok(rows), Ok(expected)) => {
                assert_eq!(show(&rows[0], 0).as_deref(), Some(*expected), "{case}")
            }
            (Err(error), Err(number)) => assert_eq!(error.code(), Some(*number), "{case}: {error}"),
            (Ok(rows), Err(_)) => panic!("{case}: {:?}", show(&rows[0], 0)),
            (Err(error), Ok(_)) => panic!("{case}: {error}"),
        }
    }
}

#[test]
fn a_wrong_table_is_refused_when_it_is_made() {
    let make = |sql_type, value: SqlValue| {
        let columns = vec![TableColumn::new("v", sql_type).not_null()];
        Database::new("evo", vec![Table::new("dbo", "t", columns, vec![vec![value]])]).map(drop)
    };
    assert!(make(SqlType::TinyInt, SqlValue::Int(255)).is_ok());
    assert!(make(SqlType::TinyInt, SqlValue::Int(256)).is_err());
    assert!(make(SqlType::Int, SqlValue::Null).is_err());
    assert!(make(SqlType::NVarChar(3), "four".into()).is_err());
    assert!(make(SqlType::DateTime, SqlValue::DateTime(at(day(1752, 12, 31), 0, 0, 0, 0))).is_err());
    assert!(make(SqlType::Decimal { precision: 39, scale: 0 }, SqlValue::Int(1)).is_err());
    assert!(make(SqlType::Date, SqlValue::Int(1)).is_err());
}

/// Aggregates over a small shop: amounts with four places, labels that differ by case and blanks, NULLs.
fn shop() -> Database {
    let orders = vec![
        TableColumn::new("No", SqlType::NVarChar(10)),
        TableColumn::new("Day", SqlType::DateTime),
        TableColumn::new("Amount", SqlType::Money),
        TableColumn::new("Status", SqlType::Char(8)),
        TableColumn::new("Paid", SqlType::Bit),
        TableColumn::new("Weight", SqlType::Float),
    ];
    let order = |no: &str, moment: Option<NaiveDateTime>, amount: Option<i128>, status: &str, paid: Option<bool>| {
        let paid = paid.map_or(SqlValue::Null, SqlValue::Bit);
        let moment = moment.map_or(SqlValue::Null, SqlValue::DateTime);
        vec![no.into(), moment, amount.map_or(SqlValue::Null, money), status.into(), paid, SqlValue::Float(1.5)]
    };
    let rows = vec![
        order("1", Some(at(day(2026, 1, 31), 23, 59, 59, 997)), Some(10_005), "Open", Some(true)),
        order(" 2", Some(at(day(2026, 2, 1), 0, 0, 0, 0)), Some(-25_000), "OPEN", Some(false)),
        order("91", None, None, "closed", None),
    ];
    let lines = vec![TableColumn::new("No", SqlType::NVarChar(10)), TableColumn::new("Part", SqlType::NVarChar(10))];
    let line = |no: &str, part: &str| vec![no.into(), part.into()];
    let tables = vec![
        Table::new("ben002", "Orders", orders, rows),
        Table::new("ben002", "Lines", lines, vec![line("1", "a"), line("1 ", "B"), line("1", "b"), line("91", "c")]),
    ];
    Database::new("evo", tables).unwrap()
}

#[tokio::test]
async fn sums_and_counts_are_those_of_sql_server() {
    let server = TdsServer::start(TdsOptions {
        users: vec![("reader".into(), "pw".into())],
        encryption: Encryption::None,
        ..TdsOptions::new(shop())
    })
    .await
    .unwrap();
    let mut client = connect(&server).await;
    let day = day(2026, 2, 1);
    for (sql, expected) in [
        ("SELECT COUNT_BIG(*) AS [n] FROM [ben002].[Orders] WHERE [Day] < @P1", "1"),
        ("SELECT CAST(SUM([Amount]) AS decimal(19,4)) AS [n] FROM [ben002].[orders]", "-1.4995"),
        (
            "SELECT CAST(COALESCE(SUM([Amount]), 0) AS decimal(19,4)) AS [n] FROM [ben002].[Orders] WHERE [Day] > @P1",
            "0.0000",
        ),
        ("SELECT CAST(SUM(CASE WHEN [Paid] = 1 THEN 0 ELSE 1 END) AS bigint) AS [n] FROM [ben002].[Orders]", "2"),
        // A collation without case, which passes over blanks at the end.
        ("SELECT COUNT_BIG(*) AS [n] FROM [ben002].[Orders] WHERE [Status] = 'oPEN  '", "2"),
        ("SELECT COUNT_BIG(DISTINCT [Part]) AS [n] FROM [ben002].[Lines]", "3"),
        ("SELECT COUNT_BIG(*) AS [n] FROM [ben002].[Orders] WHERE LTRIM([No]) NOT LIKE '9%'", "2"),
        ("SELECT COUNT_BIG(*) AS [n] FROM [ben002].[Orders] WHERE [Status] IN (NULL)", "0"),
        (
            "SELECT COUNT_BIG(*) AS [n] FROM [ben002].[Orders] AS [o] INNER JOIN [ben002].[Lines] AS [l] ON [l].[No] = [o].[No]",
            "4",
        ),
        (
            "SELECT CAST(MAX([s].[n]) AS bigint) AS [n] FROM (SELECT [Status], COUNT_BIG(*) AS [n] FROM [ben002].[Orders] \
             GROUP BY [Status]) AS [s]",
            "2",
        ),
    ] {
        let found = client.query(sql, &[&day]).await.unwrap().into_first_result().await.unwrap();
        assert_eq!(found.len(), 1, "{sql}");
        let value = match found[0].cells().next().unwrap().1 {
            ColumnData::I64(Some(number)) => number.to_string(),
            ColumnData::Numeric(Some(number)) => number.to_string(),
            other => panic!("{sql}: {other:?}"),
        };
        assert_eq!(value, expected, "{sql}");
    }
}

#[tokio::test]
async fn aggregates_that_are_not_simulated_are_refused() {
    let server = TdsServer::start(TdsOptions {
        users: vec![("reader".into(), "pw".into())],
        encryption: Encryption::None,
        ..TdsOptions::new(shop())
    })
    .await
    .unwrap();
    let mut client = connect(&server).await;
    for (sql, number) in [
        ("SELECT COUNT_BIG(*) AS [n] FROM [ben002].[Nothing] WHERE [a] IN (1)", 208),
        ("SELECT CAST(SUM([Nothing]) AS bigint) AS [n] FROM [ben002].[Orders]", 207),
        // A column of a type that is not simulated here.
        ("SELECT CAST(SUM([Weight]) AS decimal(19,4)) AS [n] FROM [ben002].[Orders] WHERE 1 = 1", 207),
        ("SELECT COUNT_BIG(*) AS [n] FROM [ben002].[Orders] WHERE [No] IN (@P9)", 137),
        ("SELECT SUM(CASE WHEN [Paid] = 1 THEN 1 ELSE 0 END) AS [n] FROM [ben002].[Orders]", 102),
        ("SELECT COUNT_BIG(*) AS [n] FROM Orders WHERE 1 = 1", 102),
        ("SELECT COUNT_BIG(*) AS [n] FROM [ben002].[Orders] WHERE 1 = 1 LIMIT 1", 102),
        ("SELECT CAST(SUM(LEN([No])) AS bigint) AS [n] FROM [ben002].[Orders]", 102),
        ("SELECT COUNT_BIG(*) AS [n] FROM [ben002].[Orders] WHERE 1 = 1; SELECT 1", 102),
    ] {
        assert_eq!(code(rows(&mut client, sql, &[]).await), number, "{sql}");
    }
}
