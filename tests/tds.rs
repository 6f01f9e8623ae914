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
        vec![
            SqlValue::Int(2),
            SqlValue::Null,
            SqlValue::Null,
            SqlValue::Null,
            SqlValue::Null,
        ],
    ];
    let invoices = Table::new("ben002", "InvoiceReg", columns, rows);
    let big = Table {
        schema: "ben002".into(),
        name: "Big".into(),
        columns: vec![
            TableColumn::new("Id", SqlType::BigInt).not_null(),
            TableColumn::new(
                "Amount",
                SqlType::Decimal {
                    precision: 19,
                    scale: 4,
                },
            ),
            TableColumn::new("Name", SqlType::NVarChar(100)),
        ],
        rows: Rows::Generated {
            count: 100_000,
            row: Arc::new(|n| {
                vec![
                    SqlValue::Int(n as i64),
                    money(i128::from(n) * 10_001),
                    SqlValue::Text(format!("row {n}")),
                ]
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
    TdsServer::start(TdsOptions {
        faults,
        ..options()
    })
    .await
    .unwrap()
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
    client
        .query(sql, parameters)
        .await?
        .into_first_result()
        .await
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
    let total = |i: usize| {
        rows[i]
            .get::<tiberius::numeric::Numeric, _>("total")
            .map(|n| (n.value(), n.scale()))
    };
    assert_eq!(total(0), Some((-12345, 4)));
    assert_eq!(total(1), None);
    assert_eq!(total(2), Some((9_223_372_036_854_775_807, 4)));
    assert_eq!(rows[2].get::<NaiveDate, _>("day"), Some(day(2026, 1, 31)));
    assert_eq!(rows[2].get::<&str, _>("bill"), Some("B1      "));
    assert_eq!(rows[2].get::<&str, _>("Note"), Some("né€😀"));
    let Some(LogEntry::Login { login, .. }) = server.log().into_iter().nth(1) else {
        panic!("no login")
    };
    assert_eq!(
        (
            login.user.as_str(),
            login.database.as_str(),
            login.application.as_str()
        ),
        ("reader", "evo", "marts")
    );
}

#[tokio::test]
async fn the_catalog_describes_columns() {
    let server = plain(FaultPlan::default()).await;
    let mut client = connect(&server).await;
    let sql = "SELECT [COLUMN_NAME], [DATA_TYPE], [IS_NULLABLE], [NUMERIC_PRECISION], [NUMERIC_SCALE], \
               [CHARACTER_MAXIMUM_LENGTH] FROM [INFORMATION_SCHEMA].[COLUMNS] WHERE [TABLE_SCHEMA] = @P1 AND \
               [TABLE_NAME] = @P2 ORDER BY [ORDINAL_POSITION]";
    let rows = rows(&mut client, sql, &[&"ben002", &"InvoiceReg"])
        .await
        .unwrap();
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
        (
            Some("InvoiceNo"),
            Some("int"),
            Some("NO"),
            Some(10),
            Some(0),
            None,
        ),
        (
            Some("InvoiceDate"),
            Some("datetime"),
            Some("YES"),
            None,
            None,
            None,
        ),
        (
            Some("GrandTotal"),
            Some("money"),
            Some("YES"),
            Some(19),
            Some(4),
            None,
        ),
        (
            Some("BillTo"),
            Some("char"),
            Some("YES"),
            None,
            None,
            Some(8),
        ),
        (
            Some("Note"),
            Some("nvarchar"),
            Some("YES"),
            None,
            None,
            Some(-1),
        ),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn typed_parameters_filter() {
    let server = plain(FaultPlan::default()).await;
    let mut client = connect(&server).await;
    let select = |filter: &str| {
        format!("SELECT [InvoiceNo] FROM [ben002].[InvoiceReg] WHERE {filter} ORDER BY [InvoiceNo]")
    };
    let numbers = |rows: Vec<tiberius::Row>| {
        rows.iter()
            .map(|r| r.get::<i32, _>(0).unwrap())
            .collect::<Vec<_>>()
    };
    let january: [&dyn tiberius::ToSql; 2] = [&day(2026, 1, 1), &day(2026, 2, 1)];
    let window = select("[InvoiceDate] >= @P1 AND [InvoiceDate] < @P2");
    assert_eq!(
        numbers(rows(&mut client, &window, &january).await.unwrap()),
        [3]
    );
    let cast = select("CAST([InvoiceDate] AS date) = @P1 OR [InvoiceDate] IS NULL");
    assert_eq!(
        numbers(
            rows(&mut client, &cast, &[&day(2026, 1, 31)])
                .await
                .unwrap()
        ),
        [2, 3]
    );
    let grouped = select("([BillTo] = @P1 OR [BillTo] IS NULL) AND [InvoiceNo] <> @P2");
    assert_eq!(
        numbers(
            rows(&mut client, &grouped, &[&"A9  ", &7i64])
                .await
                .unwrap()
        ),
        [1, 2]
    );
    let moment = select("[InvoiceDate] > @P1");
    assert_eq!(
        numbers(
            rows(&mut client, &moment, &[&at(day(2026, 1, 31), 23, 0, 0, 0)])
                .await
                .unwrap()
        ),
        [1, 3]
    );
    assert!(
        rows(&mut client, &moment, &[&None::<i32>])
            .await
            .unwrap()
            .is_empty()
    );
    let decimal = select("[GrandTotal] < @P1");
    assert_eq!(
        numbers(
            rows(
                &mut client,
                &decimal,
                &[&tiberius::numeric::Numeric::new_with_scale(-12344, 4)]
            )
            .await
            .unwrap()
        ),
        [1]
    );
    // Text against a datetime is refused, whether or not it reads as a date.
    assert_eq!(
        code(rows(&mut client, &window, &[&"2026-01-01", &"2026-02-01"]).await),
        242
    );
    assert_eq!(
        code(rows(&mut client, &window, &[&"yesterday", &"today"]).await),
        241
    );
    assert_eq!(code(rows(&mut client, &moment, &[&7i32]).await), 206);
    let Some(LogEntry::Statement { parameters, .. }) = server.log().into_iter().nth(2) else {
        panic!("no statement")
    };
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
        (
            "SELECT [InvoiceNo] FROM [ben002].[InvoiceReg] WITH (NOLOCK)",
            102,
        ),
        (
            "SELECT [InvoiceNo] FROM [ben002].[InvoiceReg] WHERE [InvoiceNo] = 1",
            102,
        ),
        ("DELETE FROM [ben002].[InvoiceReg]", 102),
        ("SELECT [InvoiceNo] FROM [ben002].[InvoiceReg", 105),
        ("", 102),
        ("SELECT [InvoiceNo] FROM [ben002].[Nope]", 208),
        ("SELECT [CustNo] FROM [ben002].[InvoiceReg]", 207),
        (
            "SELECT [InvoiceNo] FROM [ben002].[InvoiceReg] ORDER BY [CustNo]",
            207,
        ),
        (
            "SELECT [InvoiceNo] FROM [ben002].[InvoiceReg] WHERE [InvoiceNo] = @P9",
            137,
        ),
        (
            "SELECT [InvoiceNo], COUNT_BIG(*) AS [n] FROM [ben002].[InvoiceReg]",
            8120,
        ),
        (
            "SELECT CAST([GrandTotal] AS decimal(9,4)) AS [x] FROM [ben002].[InvoiceReg]",
            8115,
        ),
        (
            "SELECT CAST([BillTo] AS int) AS [x] FROM [ben002].[InvoiceReg]",
            245,
        ),
        (
            "SELECT CAST([BillTo] AS date) AS [x] FROM [ben002].[InvoiceReg]",
            241,
        ),
        (
            "SELECT CAST([Note] AS decimal(9,2)) AS [x] FROM [ben002].[InvoiceReg]",
            8114,
        ),
    ] {
        assert_eq!(code(rows(&mut client, sql, &[]).await), number, "{sql}");
        // The connection stays good.
        assert_eq!(
            rows(&mut client, "SELECT 1", &[]).await.unwrap()[0].get::<i32, _>(0),
            Some(1)
        );
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
    let version = client
        .simple_query("SELECT @@VERSION")
        .await
        .unwrap()
        .into_row()
        .await
        .unwrap()
        .unwrap();
    assert!(
        version
            .get::<&str, _>(0)
            .unwrap()
            .starts_with("Microsoft SQL")
    );
    let sql = "SELECT COUNT_BIG(*) AS [n], SUM(CAST([GrandTotal] AS decimal(19,4))) AS [total] FROM [ben002].[InvoiceReg]";
    let row = &rows(&mut client, sql, &[]).await.unwrap()[0];
    assert_eq!(row.get::<i64, _>("n"), Some(3));
    let total = row.get::<tiberius::numeric::Numeric, _>("total").unwrap();
    assert_eq!(
        (total.value(), total.scale()),
        (9_223_372_036_854_775_807 - 12345, 4)
    );
    let none = format!("{sql} WHERE [InvoiceNo] > @P1");
    let row = &rows(&mut client, &none, &[&100i32]).await.unwrap()[0];
    assert_eq!(row.get::<i64, _>("n"), Some(0));
    assert!(row.get::<tiberius::numeric::Numeric, _>("total").is_none());
    let top = "SELECT TOP (1) [InvoiceNo], CAST(NULL AS nvarchar(10)) AS [nothing] FROM [ben002].[InvoiceReg] ORDER BY [InvoiceNo] DESC";
    let rows = rows(&mut client, top, &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].get::<i32, _>(0), rows[0].get::<&str, _>(1)),
        (Some(3), None)
    );
}

#[tokio::test]
async fn every_type_arrives() {
    let uuid = [
        0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 8,
    ];
    let long = "x€".repeat(20_000);
    let midnight = at(day(2024, 2, 29), 0, 0, 0, 0);
    let nanos = midnight + chrono::Duration::nanoseconds(45_296_123_456_700);
    let dec = |mantissa, scale| SqlValue::Decimal { mantissa, scale };
    let largest = 10i128.pow(38) - 1;
    // Type, what is stored, and how tiberius prints it.
    let cases: Vec<(SqlType, SqlValue, String)> = vec![
        (SqlType::TinyInt, SqlValue::Int(200), "U8(Some(200))".into()),
        (
            SqlType::SmallInt,
            SqlValue::Int(-300),
            "I16(Some(-300))".into(),
        ),
        (SqlType::Int, SqlValue::Int(-7), "I32(Some(-7))".into()),
        (
            SqlType::BigInt,
            SqlValue::Int(i64::MIN),
            format!("I64(Some({}))", i64::MIN),
        ),
        (SqlType::Bit, SqlValue::Bit(true), "Bit(Some(true))".into()),
        (
            SqlType::Float,
            SqlValue::Float(0.1),
            "F64(Some(0.1))".into(),
        ),
        (SqlType::Real, SqlValue::Float(1.5), "F32(Some(1.5))".into()),
        (SqlType::Money, dec(-19_999, 4), "F64(Some(-1.9999))".into()),
        (
            SqlType::SmallMoney,
            dec(2_147_483_647, 4),
            "F64(Some(214748.3647))".into(),
        ),
        (
            SqlType::Decimal {
                precision: 9,
                scale: 2,
            },
            dec(-5, 1),
            "-0.50".into(),
        ),
        (
            SqlType::Decimal {
                precision: 38,
                scale: 0,
            },
            dec(largest, 0),
            format!("{largest}."),
        ),
        (
            SqlType::Decimal {
                precision: 28,
                scale: 10,
            },
            dec(15, 1),
            "1.5000000000".into(),
        ),
        (
            SqlType::DateTime,
            SqlValue::DateTime(at(day(1753, 1, 1), 12, 0, 0, 7)),
            "1753-01-01T12:00:00.006666666".into(),
        ),
        (
            SqlType::SmallDateTime,
            SqlValue::DateTime(at(day(2026, 1, 1), 11, 59, 30, 0)),
            "2026-01-01T12:00:00".into(),
        ),
        (
            SqlType::DateTime2(7),
            SqlValue::DateTime(nanos),
            "2024-02-29T12:34:56.123456700".into(),
        ),
        (
            SqlType::DateTime2(3),
            SqlValue::DateTime(nanos),
            "2024-02-29T12:34:56.123".into(),
        ),
        (
            SqlType::DateTime2(0),
            SqlValue::DateTime(nanos),
            "2024-02-29T12:34:56".into(),
        ),
        (
            SqlType::Date,
            SqlValue::Date(day(1, 1, 1)),
            "0001-01-01".into(),
        ),
        (SqlType::VarChar(10), "né€".into(), "né€".into()),
        (SqlType::VarChar(10), "日".into(), "?".into()),
        (SqlType::NVarChar(10), "日€😀".into(), "日€😀".into()),
        (SqlType::Char(5), "ab".into(), "ab   ".into()),
        (SqlType::NChar(5), "日".into(), "日    ".into()),
        (
            SqlType::VarCharMax,
            SqlValue::Text(long.clone()),
            long.clone(),
        ),
        (
            SqlType::NVarCharMax,
            SqlValue::Text(long.clone()),
            long.clone(),
        ),
        (
            SqlType::UniqueIdentifier,
            SqlValue::Uuid(uuid),
            "12345678-9abc-def0-0102-030405060708".into(),
        ),
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
    thirds
        .iter_mut()
        .step_by(3)
        .for_each(|value| *value = SqlValue::Null);
    let mut halves = full.clone();
    halves
        .iter_mut()
        .step_by(2)
        .for_each(|value| *value = SqlValue::Null);
    let nulls = vec![SqlValue::Null; full.len()];
    let tables = vec![
        Table::new(
            "dbo",
            "nullable",
            columns(false),
            vec![full.clone(), thirds, halves, nulls],
        ),
        Table::new("dbo", "strict", columns(true), vec![full]),
    ];
    for packet_size in [512, 4096, 32767] {
        let database = Database::new("evo", tables.clone()).unwrap();
        let server = TdsServer::start(TdsOptions {
            database,
            ..options()
        })
        .await
        .unwrap();
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
        ColumnData::Date(value) => value
            .and_then(|_| row.get::<NaiveDate, _>(i))
            .map(|d| d.to_string()),
        ColumnData::DateTime(None)
        | ColumnData::SmallDateTime(None)
        | ColumnData::DateTime2(None) => None,
        ColumnData::DateTime(_) | ColumnData::SmallDateTime(_) | ColumnData::DateTime2(_) => row
            .get::<NaiveDateTime, _>(i)
            .map(|d| d.format("%Y-%m-%dT%H:%M:%S%.f").to_string()),
        other => Some(format!("{other:?}")).filter(|text| !text.contains("None")),
    }
}
