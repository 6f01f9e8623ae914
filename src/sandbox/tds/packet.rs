//! Messages cut into packets: an 8-byte header each, the last one marked.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Packet types a client sends; the server always answers with `TABULAR_RESULT`.
pub(crate) mod kind {
    pub const BATCH: u8 = 0x01;
    pub const RPC: u8 = 0x03;
    pub const TABULAR_RESULT: u8 = 0x04;
    pub const ATTENTION: u8 = 0x06;
    pub const TRANSACTION: u8 = 0x0E;
    pub const LOGIN7: u8 = 0x10;
    pub const PRELOGIN: u8 = 0x12;
}

pub(crate) const HEADER: usize = 8;
const END_OF_MESSAGE: u8 = 1;
/// No request of ours comes near; a broken length must not fill the memory.
const LARGEST_MESSAGE: usize = 16 << 20;
/// How much of an answer is collected before it is written out.
const CHUNK: usize = 64 << 10;

/// A whole message, headers removed.
#[derive(Debug)]
pub(crate) struct Message {
    pub kind: u8,
    pub body: Vec<u8>,
}

/// Reads exactly one message, not a byte beyond it.
pub(crate) async fn read_message<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<Message> {
    let mut body = Vec::new();
    loop {
        let mut header = [0; HEADER];
        reader.read_exact(&mut header).await?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let payload = length.checked_sub(HEADER).ok_or(io::ErrorKind::InvalidData)?;
        let at = body.len();
        if at + payload > LARGEST_MESSAGE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        body.resize(at + payload, 0);
        reader.read_exact(&mut body[at..]).await?;
        if header[1] & END_OF_MESSAGE != 0 {
            return Ok(Message { kind: header[0], body });
        }
    }
}

/// Collects an answer and sends it in packets of the negotiated size.
pub(crate) struct PacketWriter<W> {
    inner: W,
    payload: usize,
    id: u8,
    /// The part of the answer not yet sent; tokens are appended here.
    pub buffer: Vec<u8>,
    wire: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> PacketWriter<W> {
    pub(crate) fn new(inner: W, packet_size: usize) -> Self {
        PacketWriter {
            inner,
            payload: packet_size - HEADER,
            id: 1,
            buffer: Vec::with_capacity(CHUNK + (CHUNK >> 2)),
            wire: Vec::with_capacity(CHUNK * 2),
        }
    }

    pub(crate) fn into_inner(self) -> W {
        self.inner
    }

    /// Whether enough has gathered to be worth sending.
    pub(crate) fn is_large(&self) -> bool {
        self.buffer.len() >= CHUNK
    }

    /// Sends all full packets and keeps the rest, which is never empty so that the last packet has a body.
    pub(crate) async fn spill(&mut self) -> io::Result<()> {
        let full = self.buffer.len().saturating_sub(1) / self.payload * self.payload;
        self.send(full, false).await
    }

    /// Sends everything there is without ending the message.
    pub(crate) async fn push(&mut self) -> io::Result<()> {
        self.send(self.buffer.len(), false).await?;
        self.inner.flush().await
    }

    /// Sends everything there is and ends the message.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        self.send(self.buffer.len(), true).await?;
        self.id = 1;
        self.inner.flush().await
    }

    async fn send(&mut self, length: usize, last: bool) -> io::Result<()> {
        self.wire.clear();
        let mut packets = self.buffer[..length].chunks(self.payload).peekable();
        while let Some(body) = packets.next() {
            let end = if last && packets.peek().is_none() { END_OF_MESSAGE } else { 0 };
            let [high, low] = ((body.len() + HEADER) as u16).to_be_bytes();
            self.wire.extend([kind::TABULAR_RESULT, end, high, low, 0, 51, self.id, 0]);
            self.wire.extend_from_slice(body);
            self.id = self.id.wrapping_add(1);
        }
        self.buffer.drain(..length);
        self.inner.write_all(&self.wire).await
    }
}
