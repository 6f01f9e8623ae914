//! The TDS row path over broken bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use marts::config::{Limits, SecretRef, SqlLogin, SqlServer, SqlTls};
use marts::extract::sqlserver::{Item, Select, Server, SqlType as Asked, value};
use marts::sandbox::tds::{Database, Encryption, SqlType, SqlValue, Table, TableColumn, TdsOptions, TdsServer};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{change, must_be_a_line, trials};

/// A server with rows of every type that is asked for.
async fn server() -> TdsServer {
    let columns = vec![
        TableColumn::new("Number", SqlType::BigInt).not_null(),
        TableColumn::new("Amount", SqlType::Decimal { precision: 19, scale: 4 }),
        TableColumn::new("Name", SqlType::NVarChar(40)),
        TableColumn::new("Note", SqlType::NVarCharMax),
        TableColumn::new("Day", SqlType::Date),
        TableColumn::new("Flag", SqlType::Bit),
    ];
    let row = |number: i64| {
        vec![
            SqlValue::Int(number),
            SqlValue::Decimal { mantissa: i128::from(number) * 12_345, scale: 4 },
            SqlValue::Text(format!("name {number}")),
            if number % 3 == 0 { SqlValue::Null } else { SqlValue::Text("ä€😀".repeat(20)) },
            SqlValue::Null,
            SqlValue::Bit(number % 2 == 0),
        ]
    };
    let table = Table::new("dbo", "Rows", columns, (1..=30).map(row).collect());
    TdsServer::start(TdsOptions {
        users: vec![("reader".into(), "pw".into())],
        encryption: Encryption::None,
        ..TdsOptions::new(Database::new("evo", vec![table]).unwrap())
    })
    .await
    .unwrap()
}

fn select() -> Select {
    let item = |name: &str, cast| Item { column: Some(name.into()), cast, alias: name.to_lowercase() };
    Select {
        schema: "dbo".into(),
        table: "Rows".into(),
        items: vec![
            item("Number", Asked::BigInt),
            item("Amount", Asked::Decimal { precision: 19, scale: 4 }),
            item("Name", Asked::NVarChar(40)),
            item("Note", Asked::NVarCharMax),
            item("Day", Asked::Date),
            item("Flag", Asked::Bit),
        ],
        conditions: Vec::new(),
        order: vec!["Number".into()],
    }
}

/// Stands between a client and the server and breaks the answer to the question about rows, as its die falls, or every
/// answer from the login on.
async fn breaker(server: SocketAddr, die: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let seed = die.load(Ordering::SeqCst);
            tokio::spawn(async move {
                let server = TcpStream::connect(server).await.unwrap();
                // A line that breaks is what this is for.
                let _ = carry(client, server, ChaCha8Rng::seed_from_u64(seed)).await;
            });
        }
    });
    address
}

/// One message: packets up to the one that says it is the last.
pub async fn message(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let mut header = [0; 8];
        from.read_exact(&mut header).await?;
        let mut body = vec![0; usize::from(u16::from_be_bytes([header[2], header[3]])) - 8];
        from.read_exact(&mut body).await?;
        whole.extend(header);
        whole.extend(body);
        if header[1] & 1 == 1 {
            return Ok(whole);
        }
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, mut die: ChaCha8Rng) -> std::io::Result<()> {
    let asks: Vec<u8> = "[Rows]".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let early = die.random_range(0..10) == 0;
    loop {
        let question = message(&mut client).await?;
        let is_it = early || question.windows(asks.len()).any(|part| part == asks);
        server.write_all(&question).await?;
        let mut answer = message(&mut server).await?;
        if !is_it {
            client.write_all(&answer).await?;
            continue;
        }
        // Mostly what the packets hold, sometimes their headers too.
        if die.random_range(0..5) == 0 {
            change::bytes(&mut answer, &mut die);
        } else {
            let mut body = answer.split_off(8);
            change::bytes(&mut body, &mut die);
            // Another length, but no other packet: what is behind it is cut off.
            let length = u16::try_from(body.len() + 8).unwrap_or(u16::MAX);
            answer[2..4].copy_from_slice(&length.to_be_bytes());
            answer[1] = 1;
            answer.extend(body);
        }
        client.write_all(&answer).await?;
        client.shutdown().await?;
        return Ok(());
    }
}

#[test]
fn broken_bytes_of_a_sql_server_are_refused_in_a_line() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "pw").unwrap();
    let die = Arc::new(AtomicU64::new(0));
    let (_server, port) = runtime.block_on(async {
        let server = server().await;
        let port = breaker(server.addr(), Arc::clone(&die)).await.port();
        (server, port)
    });
    let settings = SqlServer {
        host: "127.0.0.1".into(),
        port,
        database: "evo".into(),
        login: SqlLogin::Password { user: "reader".into(), password: SecretRef::File(folder.path().join("password")) },
        tls: SqlTls::Off,
        ca_file: None,
        timeout_secs: 1,
    };
    let limits = Limits { tries: 1, ..Limits::default() };
    let (mut read, mut refused) = (0, 0);
    trials("the TDS row path", 10, |random| {
        die.store(random.random(), Ordering::SeqCst);
        let rows = runtime.block_on(async {
            let mut server = Server::new(&settings, &limits);
            let statement = select().statement();
            let each = |rows: &mut Vec<usize>, row: &marts::extract::sqlserver::Row| {
                let mut cells = 0;
                for (_, cell) in row.cells() {
                    value(cell)?;
                    cells += 1;
                }
                rows.push(cells);
                Ok(())
            };
            server.query(&statement, || Ok(Vec::new()), each).await
        });
        match rows {
            Ok(rows) => {
                assert!(rows.iter().all(|cells| *cells == 6), "{rows:?}");
                read += 1;
            }
            Err(error) => {
                must_be_a_line(&error);
                refused += 1;
            }
        }
    });
    assert!(read > 0 && refused > 0, "{read} read, {refused} refused");
}
