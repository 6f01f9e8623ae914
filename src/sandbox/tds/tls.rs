//! Certificates, and the two ways TLS is laid into TDS.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        version::{TLS12, TLS13},
    },
    server::TlsStream,
};

use super::packet::{HEADER, kind};

/// A certificate authority of this server alone, and what it signed for localhost.
pub(crate) struct Tls {
    pub ca_pem: String,
    /// TLS 1.2, for the handshake wrapped in PRELOGIN packets. With 1.3 the client's LOGIN7 follows its Finished at
    /// once and would be read while the handshake is still being unwrapped; real servers keep to 1.2 there too.
    wrapped: TlsAcceptor,
    /// TLS 1.3, for TDS 8.
    strict: TlsAcceptor,
}

impl Tls {
    pub(crate) fn new() -> anyhow::Result<Tls> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "marts sandbox CA");
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let certificate = leaf.signed_by(&key, &issuer)?.der().clone();

        let acceptor = |version: &'static SupportedProtocolVersion, alpn: bool| -> anyhow::Result<TlsAcceptor> {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
            let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(&[version])?
                .with_no_client_auth()
                .with_single_cert(vec![certificate.clone()], key)?;
            if alpn {
                config.alpn_protocols = vec![b"tds/8.0".to_vec()];
            }
            Ok(TlsAcceptor::from(Arc::new(config)))
        };
        Ok(Tls { ca_pem, wrapped: acceptor(&TLS12, false)?, strict: acceptor(&TLS13, true)? })
    }

    /// TLS 7.x: the handshake travels in PRELOGIN packets, what follows does not.
    pub(crate) async fn accept_wrapped(&self, tcp: TcpStream) -> io::Result<TlsStream<Wrapped>> {
        let mut tls = self.wrapped.accept(Wrapped::new(tcp, true)).await?;
        tls.get_mut().0.wrapping = false;
        Ok(tls)
    }

    /// TDS 8: TLS from the first byte.
    pub(crate) async fn accept_strict(&self, tcp: TcpStream) -> io::Result<TlsStream<Wrapped>> {
        self.strict.accept(Wrapped::new(tcp, false)).await
    }
}

/// A socket that, while `wrapping`, takes packet headers off what it reads and puts them on what it writes.
pub(crate) struct Wrapped {
    tcp: TcpStream,
    wrapping: bool,
    header: [u8; HEADER],
    header_read: usize,
    /// Bytes of the current packet still to come.
    left: usize,
    /// Written by TLS, not yet in a packet.
    pending: Vec<u8>,
    /// Packets on their way out.
    outgoing: Vec<u8>,
}

impl Wrapped {
    fn new(tcp: TcpStream, wrapping: bool) -> Self {
        Wrapped {
            tcp,
            wrapping,
            header: [0; HEADER],
            header_read: 0,
            left: 0,
            pending: Vec::new(),
            outgoing: Vec::new(),
        }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub(crate) fn into_tcp(self) -> TcpStream {
        self.tcp
    }
}

impl AsyncRead for Wrapped {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        if !me.wrapping {
            return Pin::new(&mut me.tcp).poll_read(cx, out);
        }
        while me.left == 0 {
            let mut buffer = ReadBuf::new(&mut me.header[me.header_read..]);
            ready!(Pin::new(&mut me.tcp).poll_read(cx, &mut buffer))?;
            match buffer.filled().len() {
                0 => return Poll::Ready(Ok(())),
                read => me.header_read += read,
            }
            if me.header_read == HEADER {
                me.header_read = 0;
                let length = usize::from(u16::from_be_bytes([me.header[2], me.header[3]]));
                match length.checked_sub(HEADER) {
                    Some(payload) if me.header[0] == kind::PRELOGIN => me.left = payload,
                    _ => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                }
            }
        }
        let room = me.left.min(out.remaining());
        let mut buffer = ReadBuf::new(out.initialize_unfilled_to(room));
        ready!(Pin::new(&mut me.tcp).poll_read(cx, &mut buffer))?;
        let read = buffer.filled().len();
        me.left -= read;
        out.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wrapped {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        if !me.wrapping {
            return Pin::new(&mut me.tcp).poll_write(cx, bytes);
        }
        // One flight of the handshake goes out as one packet, at the flush.
        me.pending.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        for body in std::mem::take(&mut me.pending).chunks(4096 - HEADER) {
            let [high, low] = ((body.len() + HEADER) as u16).to_be_bytes();
            me.outgoing.extend([kind::PRELOGIN, 1, high, low, 0, 0, 0, 0]);
            me.outgoing.extend_from_slice(body);
        }
        while !me.outgoing.is_empty() {
            let written = ready!(Pin::new(&mut me.tcp).poll_write(cx, &me.outgoing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            me.outgoing.drain(..written);
        }
        Pin::new(&mut me.tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

/// A connection, whichever way it is carried.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<Wrapped>>),
}

impl Stream {
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0.tcp(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, out),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, out),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
