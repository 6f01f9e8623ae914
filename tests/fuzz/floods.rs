//! Answers that are far too large: refused, in a line, and before they fill the memory. What the process took at its peak is
//! what Linux says of it (`VmHWM`).

use std::process::Stdio;
use std::time::Duration;

use marts::sandbox::tds::{Database, Encryption, TdsOptions, TdsServer};
use marts::sandbox::world::{DEALER_SCHEMA, table};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::faults::ground::figure;
use crate::night::stage::{Stage, as_of};

/// What a refusal may take beyond a night that goes well, in MiB: the largest answer there may be, and its values.
const MOST_MIB: u64 = 150;

/// Runs a job to its end; what it said, and the most memory it had, in MiB.
async fn run(stage: &Stage, job: &str) -> (String, u64) {
    let as_of = as_of().to_string();
    let arguments = ["run", job, "--as-of", &as_of];
    let mut child = stage.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        // The mark only rises: the last reading is the peak, but for the last few milliseconds.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        if let Some(mark) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            peak = mark.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024;
        }
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    };
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(ended.code(), Some(if said.contains("FAILED") { 1 } else { 0 }), "{said}");
    (said, peak)
}

/// A body, piece by piece.
type Pieces = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// A server that answers everything with 200 and a body, which it may say is packed.
async fn flood(encoding: &'static str, body: impl Fn() -> Pieces + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let body = std::sync::Arc::new(body);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let body = std::sync::Arc::clone(&body);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await?);
                }
                // What is left unread would reset the connection.
                let head = String::from_utf8_lossy(&head).to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
                client.read_exact(&mut vec![0; length.unwrap_or(0)]).await?;
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{encoding}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                );
                client.write_all(head.as_bytes()).await?;
                let mut pieces = body();
                while let Some(piece) = tokio::task::block_in_place(|| pieces.next()) {
                    client.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
                    client.write_all(&piece).await?;
                    client.write_all(b"\r\n").await?;
                }
                client.write_all(b"0\r\n\r\n").await?;
                client.shutdown().await
            });
        }
    });
    format!("http://{address}")
}

/// Pieces of about a quarter of a MiB out of many small ones.
fn pieces(head: &str, item: impl Fn(u64) -> String + Send + 'static, count: u64, tail: &str) -> Pieces {
    let (head, tail) = (head.as_bytes().to_vec(), tail.as_bytes().to_vec());
    let mut next = 0;
    let items = std::iter::from_fn(move || {
        (next < count).then(|| {
            let mut piece = Vec::with_capacity(1 << 18);
            while next < count && piece.len() < 1 << 18 {
                piece.extend(item(next).as_bytes());
                next += 1;
            }
            piece
        })
    });
    Box::new(std::iter::once(head).chain(items).chain(std::iter::once(tail)))
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_measure_are_refused_within_bounded_memory() {
    let stage = Stage::start().await;
    stage.amend("[limits]\ntries = 1\nhttp_timeout_secs = 60\nhttp_concurrency = 4\n");
    let base = format!("base_url = \"{}\"", stage.world.hubspot.url());
    let (said, usual) = run(&stage, "etl_hubspot_deals").await;
    assert!(said.contains("1 of 1 marts published"), "{said}");
    figure("peak memory of a usual pull of HubSpot's deals, MiB", usual);

    let mebi = "x".repeat(1 << 20);
    let ten_times = move || {
        pieces(
            "{\"results\": [], \"more\": \"",
            {
                let mebi = mebi.clone();
                move |_| mebi.clone()
            },
            640,
            "\"}",
        )
    };
    // As gzip packs it, 200 MiB of blanks are 200 KiB.
    let packed = std::process::Command::new("bash")
        .args(["-c", "head -c 209715200 /dev/zero | tr '\\0' ' ' | gzip -1"])
        .output();
    let packed = packed.unwrap().stdout;
    let floods = [
        ("ten times too large", flood("", ten_times).await, "the answer is larger than 64 MiB (max_answer_mib)"),
        (
            "200 MiB packed into little",
            flood("Content-Encoding: gzip\r\n", move || Box::new(std::iter::once(packed.clone()))).await,
            "the answer is larger than 64 MiB (max_answer_mib)",
        ),
        (
            "without end",
            flood("", || pieces("[", |at| format!("{at},"), u64::MAX, "")).await,
            "the answer is larger than 64 MiB",
        ),
        (
            "nested 100,000 deep",
            flood("", || {
                let tail = "]".repeat(100_000) + "}]}";
                pieces("{\"total\": 1, \"results\": [{\"id\": \"1\", \"properties\": ", |_| "[".into(), 100_000, &tail)
            })
            .await,
            "deal 1: properties: it is a list where an object is expected",
        ),
        (
            "of a million columns",
            flood("", || {
                pieces(
                    "{\"results\": [{\"id\": \"1\", \"properties\": {\"x\": 1",
                    |at| format!(",\"c{at}\":\"1\""),
                    1_000_000,
                    "}}]}",
                )
            })
            .await,
            "the answer has more than 1000000 values",
        ),
        (
            "of ten million empty lists",
            flood("", || pieces("{\"results\": [[]", |_| ",[]".into(), 10_000_000, "]}")).await,
            "the answer has more than 1000000 values",
        ),
    ];
    let mut before = base;
    for (name, url, said) in floods {
        let now = format!("base_url = \"{url}\"");
        stage.reword(&before, &now);
        before = now;
        let (output, peak) = run(&stage, "etl_hubspot_deals").await;
        assert!(output.contains("FAILED") && output.contains(said), "{name}: {output}");
        assert!(peak <= usual + MOST_MIB, "{name}: {peak} MiB, usual are {usual}");
        figure(&format!("peak memory at an answer {name}, MiB"), peak);
    }
}

/// By the names of the columns asked for: what is sent first, and then again and again.
type Flood = fn(&[&str]) -> (Vec<u8>, Vec<u8>);

/// The columns that were asked for, and one row whose first text does not end.
fn endless_row(names: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let mut bytes = vec![0x81];
    bytes.extend(u16::try_from(names.len()).unwrap().to_le_bytes());
    bytes.extend(names.iter().flat_map(|name| column(name)));
    bytes.push(0xd1);
    bytes.extend(u64::MAX.wrapping_sub(1).to_le_bytes());
    let mut chunk = 3_996u32.to_le_bytes().to_vec();
    chunk.resize(4_000, b'x');
    (bytes, chunk)
}

/// As many columns as the protocol can count, with long names.
fn wide(_: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let mut bytes = vec![0x81, 0xfe, 0xff];
    bytes.extend((0..65_534).flat_map(|at| column(&format!("{at:0>120}"))));
    (bytes, vec![0xfd; 4_000])
}

/// What a server sends in place of rows: packets of one message that does not end.
async fn flood_rows(mut client: TcpStream, server: std::net::SocketAddr, flood: Flood) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let asks: Vec<u8> = "CAST(".encode_utf16().flat_map(u16::to_le_bytes).collect();
    loop {
        let question = super::wire::message(&mut client).await?;
        if !question.windows(asks.len()).any(|part| part == asks) {
            server.write_all(&question).await?;
            let answer = super::wire::message(&mut server).await?;
            client.write_all(&answer).await?;
            continue;
        }
        let text: Vec<u16> = question.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let text = String::from_utf16_lossy(&text);
        // What is asked for, by the names that the question gives it.
        let names: Vec<&str> = text.split(" AS [").skip(1).filter_map(|rest| rest.split(']').next()).collect();
        let (mut bytes, again) = flood(&names);
        loop {
            for part in bytes.chunks(4_000) {
                let length = u16::try_from(part.len() + 8).unwrap();
                client.write_all(&[4, 0, (length >> 8) as u8, length as u8, 0, 0, 1, 0]).await?;
                client.write_all(part).await?;
            }
            bytes.clone_from(&again);
        }
    }
}

/// The start of a column of a result: `nvarchar(max)`, as MS-TDS 2.2.7.4 writes it.
fn column(name: &str) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 9, 0, 0xe7, 0xff, 0xff, 0x09, 0x04, 0xd0, 0x00, 0x34];
    let name: Vec<u16> = name.encode_utf16().collect();
    bytes.push(name.len() as u8);
    bytes.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_measure_are_refused_within_bounded_memory() {
    let stage = Stage::start().await;
    stage.amend("[limits]\ntries = 1\n");
    let tables = stage.world.dealer.tables().into_iter().map(|data| table(DEALER_SCHEMA, data).unwrap());
    let password = std::fs::read_to_string(stage.folder.path().join("secrets/softbase-password")).unwrap();
    let plain = TdsServer::start(TdsOptions {
        users: vec![("marts_reader".into(), password.trim().into())],
        encryption: Encryption::None,
        ..TdsOptions::new(Database::new("evo", tables.collect()).unwrap())
    })
    .await
    .unwrap();
    let old_port = format!("port = {}", stage.world.softbase.addr().port());
    stage.reword(&old_port, &format!("port = {}", plain.addr().port()));
    stage.reword("tls = \"required\"\nca_file = \"softbase-ca.pem\"", "tls = \"off\"");
    let (said, usual) = run(&stage, "etl_sales_daily").await;
    assert!(said.contains("1 of 1 marts published"), "{said}");
    figure("peak memory of a usual pull of invoices, MiB", usual);

    let mut before = format!("port = {}", plain.addr().port());
    let floods: [(&str, Flood, &str); 2] = [
        ("a row without end", endless_row, "it sent more than 16 MiB without a row"),
        ("65,534 columns", wide, "it gave an answer with other columns than were asked for"),
    ];
    for (name, flood, said) in floods {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let now = format!("port = {}", listener.local_addr().unwrap().port());
        let server = plain.addr();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(flood_rows(client, server, flood));
            }
        });
        stage.reword(&before, &now);
        before = now;
        let (output, peak) = run(&stage, "etl_sales_daily").await;
        assert!(output.contains("FAILED") && output.contains(said), "{name}: {output}");
        assert!(peak <= usual + MOST_MIB, "{name}: {peak} MiB, usual are {usual}");
        figure(&format!("peak memory at {name} of a SQL Server, MiB"), peak);
        task.abort();
    }
}
