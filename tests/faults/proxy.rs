//! A proxy between `marts` and its PostgreSQL that knows just enough of the protocol to cut the line where it hurts.
//!
//! Messages are framed as in the PostgreSQL documentation, chapter "Message Formats": a letter, then a length that counts
//! itself; the first message of a client has no letter.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Where a line is cut, once; every later connection is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// In the middle of the n-th message with rows of a COPY.
    DuringCopy(u64),
    /// Before the COMMIT that follows a COPY reaches the server.
    BeforeCommit,
    /// After the server has carried out the COMMIT that follows a COPY, before its answer comes back.
    AfterCommit,
    /// When so many bytes have come from the client, or have gone back to it.
    AtByte(u64),
}

/// A proxy at work; dropping it ends it.
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    cut: Cut,
    /// Messages with rows, and bytes of both directions, of all connections so far.
    copied: AtomicU64,
    bytes: AtomicU64,
    cuts: AtomicU64,
}

impl Proxy {
    pub async fn start(server: SocketAddr, cut: Cut) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { cut, copied: 0.into(), bytes: 0.into(), cuts: 0.into() });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(server).await {
                        // A line that breaks is what this is for.
                        let _ = carry(client, server, &state).await;
                    }
                });
            }
        });
        Proxy { address, state, task }
    }

    /// Bytes that have come from clients, or have gone back to them.
    pub fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::SeqCst)
    }

    /// How often the line was cut: once, or never where the night never came to that point.
    pub fn cuts(&self) -> u64 {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    /// Whether the line is to be cut now: never twice.
    fn cut_now(&self) -> bool {
        self.cuts.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Counts bytes; how many of them may still pass where the line is cut among them.
    fn last_bytes(&self, count: usize) -> Option<usize> {
        let before = self.bytes.fetch_add(count as u64, Ordering::SeqCst);
        match self.cut {
            Cut::AtByte(limit) if before + count as u64 > limit && self.cut_now() => {
                Some(usize::try_from(limit.saturating_sub(before)).unwrap())
            }
            _ => None,
        }
    }
}

/// Carries both directions until one ends or the line is cut; both ends are closed then.
async fn carry(client: TcpStream, server: TcpStream, state: &State) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let held = AtomicU64::new(0);
    let back = async {
        let mut buffer = vec![0; 1 << 14];
        loop {
            let count = from_server.read(&mut buffer).await?;
            // Answers that come while a COMMIT's is held back are held back too.
            if count == 0 || held.load(Ordering::SeqCst) > 0 {
                return Ok(());
            }
            if let Some(last) = state.last_bytes(count) {
                to_client.write_all(&buffer[..last]).await?;
                return Ok(());
            }
            to_client.write_all(&buffer[..count]).await?;
        }
    };
    let forth = async {
        let mut is_begun = false;
        let mut has_copied = false;
        loop {
            let mut kind = None;
            if is_begun {
                kind = Some(from_client.read_u8().await?);
            }
            let length = from_client.read_u32().await?;
            let mut body = vec![0; length as usize - 4];
            from_client.read_exact(&mut body).await?;
            // A request for TLS comes before the true first message, and is answered by one byte.
            let is_tls = kind.is_none() && body == 80_877_103u32.to_be_bytes();
            is_begun |= !is_tls;
            let mut message: Vec<u8> = kind.into_iter().collect();
            message.extend(length.to_be_bytes());
            message.extend(&body);

            let says = |text: &[u8]| body.get(..text.len()).is_some_and(|head| head.eq_ignore_ascii_case(text));
            let is_commit = kind == Some(b'Q') && says(b"commit");
            match (state.cut, kind) {
                (Cut::DuringCopy(nth), Some(b'd'))
                    if state.copied.fetch_add(1, Ordering::SeqCst) + 1 == nth && state.cut_now() =>
                {
                    to_server.write_all(&message[..message.len() / 2]).await?;
                    to_server.flush().await?;
                    return Ok(());
                }
                (Cut::BeforeCommit, _) if is_commit && has_copied && state.cut_now() => return Ok(()),
                (Cut::AfterCommit, _) if is_commit && has_copied && state.cut_now() => {
                    held.store(1, Ordering::SeqCst);
                    to_server.write_all(&message).await?;
                    to_server.flush().await?;
                    // The other direction ends when the answer has come.
                    tokio::time::sleep(Duration::from_secs(30)).await;
                    return Ok(());
                }
                _ => {}
            }
            has_copied |= kind == Some(b'c');
            if let Some(last) = state.last_bytes(message.len()) {
                to_server.write_all(&message[..last]).await?;
                return Ok(());
            }
            to_server.write_all(&message).await?;
        }
    };
    tokio::select! {
        done = back => done,
        done = forth => done,
    }
}
