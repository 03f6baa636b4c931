//! TLS in both framings, and the certificates for it.
//!
//! Until TDS 7.4, the handshake's bytes travel inside PRELOGIN packets, and what follows does not; there is TLS 1.2 only,
//! because in 1.3 a server speaks once more when the handshake is over. In TDS 8, TLS comes first, with ALPN `tds/8.0`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion};
use tokio_rustls::server::TlsStream;

use super::packet::{HEADER, header, kind};

/// The first byte of a TLS handshake.
pub(super) const CLIENT_HELLO: u8 = 0x16;

const ALPN: &[u8] = b"tds/8.0";

/// Bytes of the handshake in a packet, at most.
const FRAME: usize = 4096 - HEADER;

/// A server's certificate, and the authority that a client has to trust for it.
pub(crate) struct Certificate {
    /// The authority's certificate as PEM.
    pub(crate) authority: String,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Certificate {
    /// A new one for these names and addresses, under an authority of its own. Nothing of it expires in our time.
    pub(crate) fn new(names: &[&str]) -> Result<Self, rcgen::Error> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.distinguished_name.push(DnType::CommonName, format!("the authority of {names:?}"));
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate()?;
        let root = authority.self_signed(&authority_key)?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate()?;
        let own = CertificateParams::new(names)?.signed_by(&key, &Issuer::new(authority, authority_key))?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        Ok(Self { authority: root.pem(), chain: vec![own.into()], key })
    }

    /// For TLS inside of TDS, and around it.
    pub(super) fn acceptors(&self) -> io::Result<Acceptors> {
        let mut strict = self.settings(&[&TLS12, &TLS13])?;
        strict.alpn_protocols = vec![ALPN.to_owned()];
        Ok(Acceptors { inside: Arc::new(self.settings(&[&TLS12])?).into(), around: Arc::new(strict).into() })
    }

    fn settings(&self, versions: &[&'static SupportedProtocolVersion]) -> io::Result<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_protocol_versions(versions).map_err(io::Error::other)?.with_no_client_auth();
        builder.with_single_cert(self.chain.clone(), self.key.clone_key()).map_err(io::Error::other)
    }
}

/// The two ways to begin TLS.
pub(super) struct Acceptors {
    inside: TlsAcceptor,
    around: TlsAcceptor,
}

impl Acceptors {
    /// The handshake inside of PRELOGIN packets.
    pub(super) async fn inside(&self, socket: TcpStream) -> io::Result<TlsStream<Framed>> {
        let mut stream = self.inside.accept(Framed::new(socket, true)).await?;
        stream.get_mut().0.framed = false;
        Ok(stream)
    }

    /// TLS before anything else.
    pub(super) async fn around(&self, socket: TcpStream) -> io::Result<TlsStream<Framed>> {
        let stream = self.around.accept(Framed::new(socket, false)).await?;
        if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "TLS without the protocol tds/8.0"));
        }
        Ok(stream)
    }
}

/// A socket whose bytes are packets of a handshake, until it is over.
pub(super) struct Framed {
    socket: TcpStream,
    framed: bool,
    head: [u8; HEADER],
    head_read: usize,
    /// Bytes of the packet that are still to come.
    left: usize,
    unwritten: BytesMut,
    packed: BytesMut,
}

impl Framed {
    fn new(socket: TcpStream, framed: bool) -> Self {
        let (unwritten, packed) = (BytesMut::new(), BytesMut::new());
        Self { socket, framed, head: [0; HEADER], head_read: 0, left: 0, unwritten, packed }
    }

    /// The socket alone: for the end of an encryption that was for the login only.
    pub(super) fn into_socket(self) -> TcpStream {
        self.socket
    }

    fn pack(&mut self) {
        while !self.unwritten.is_empty() {
            let frame = self.unwritten.split_to(self.unwritten.len().min(FRAME));
            self.packed.extend_from_slice(&header(kind::PRELOGIN, self.unwritten.is_empty(), frame.len(), 0));
            self.packed.extend_from_slice(&frame);
        }
    }

    /// Reads the rest of a packet's header. `false` at the end of the connection.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.left == 0 {
            let mut head = ReadBuf::new(&mut self.head[self.head_read..]);
            ready!(Pin::new(&mut self.socket).poll_read(context, &mut head))?;
            match head.filled().len() {
                0 => return Poll::Ready(Ok(false)),
                len => self.head_read += len,
            }
            if self.head_read == HEADER {
                self.head_read = 0;
                self.left = usize::from(u16::from_be_bytes([self.head[2], self.head[3]])).saturating_sub(HEADER);
            }
        }
        Poll::Ready(Ok(true))
    }
}

impl AsyncRead for Framed {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.framed {
            return Pin::new(&mut this.socket).poll_read(context, buffer);
        }
        if !ready!(this.poll_head(context))? {
            return Poll::Ready(Ok(()));
        }
        let mut part = vec![0; this.left.min(buffer.remaining())];
        let mut read = ReadBuf::new(&mut part);
        ready!(Pin::new(&mut this.socket).poll_read(context, &mut read))?;
        this.left -= read.filled().len();
        buffer.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Framed {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.framed {
            return Pin::new(&mut this.socket).poll_write(context, bytes);
        }
        this.unwritten.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.pack();
        while !this.packed.is_empty() {
            let written = ready!(Pin::new(&mut this.socket).poll_write(context, &this.packed))?;
            this.packed.advance(written);
        }
        Pin::new(&mut this.socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}
