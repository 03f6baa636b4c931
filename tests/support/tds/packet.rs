//! Packets: what a message is cut into on its way.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The first byte of a packet: what its message is.
pub(super) mod kind {
    pub(crate) const BATCH: u8 = 1;
    pub(crate) const RPC: u8 = 3;
    pub(crate) const REPLY: u8 = 4;
    pub(crate) const ATTENTION: u8 = 6;
    pub(crate) const TRANSACTION: u8 = 14;
    pub(crate) const LOGIN: u8 = 16;
    pub(crate) const PRELOGIN: u8 = 18;
}

/// Bytes of a packet's header.
pub(super) const HEADER: usize = 8;

const END_OF_MESSAGE: u8 = 1;

/// Bytes that are collected before they are written.
const FLUSH: usize = 128 << 10;

/// A whole message of a client.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) payload: Vec<u8>,
}

/// The header of a packet with `payload` bytes.
pub(super) fn header(kind: u8, last: bool, payload: usize, id: u8) -> [u8; HEADER] {
    let [high, low] = u16::try_from(payload + HEADER).unwrap_or(u16::MAX).to_be_bytes();
    [kind, if last { END_OF_MESSAGE } else { 0 }, high, low, 0, 0, id, 0]
}

/// The next message, without a byte read beyond it: for the time before a connection's stream is settled.
pub(super) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Message> {
    let mut payload = Vec::new();
    loop {
        let mut head = [0; HEADER];
        stream.read_exact(&mut head).await?;
        let begin = payload.len();
        payload.resize(begin + payload_len(&head)?, 0);
        stream.read_exact(&mut payload[begin..]).await?;
        if head[1] & END_OF_MESSAGE != 0 {
            return Ok(Message { kind: head[0], payload });
        }
    }
}

fn payload_len(head: &[u8]) -> io::Result<usize> {
    let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
    len.checked_sub(HEADER)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a packet shorter than its header"))
}

/// The messages of a client.
pub(super) struct Reader<R> {
    stream: R,
    buffer: BytesMut,
    payload: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(stream: R) -> Self {
        Self { stream, buffer: BytesMut::new(), payload: Vec::new() }
    }

    /// The next message; `None` at the end. Nothing is lost when this future is dropped.
    pub(super) async fn message(&mut self) -> io::Result<Option<Message>> {
        loop {
            while let Some(message) = self.packet()? {
                if let Some(message) = message {
                    return Ok(Some(message));
                }
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Takes a packet from the buffer, if one is there: the message that it ends, if it ends one.
    fn packet(&mut self) -> io::Result<Option<Option<Message>>> {
        if self.buffer.len() < HEADER || self.buffer.len() < HEADER + payload_len(&self.buffer)? {
            return Ok(None);
        }
        let head = self.buffer.split_to(HEADER);
        self.payload.extend_from_slice(&self.buffer.split_to(payload_len(&head)?));
        let whole = head[1] & END_OF_MESSAGE != 0;
        Ok(Some(whole.then(|| Message { kind: head[0], payload: std::mem::take(&mut self.payload) })))
    }
}

/// How a reply is cut into packets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Splits {
    /// Bytes of payload per packet, in turn; full packets if empty.
    pub(crate) sizes: Vec<usize>,
    /// Writes each packet on its own, with a pause before it.
    pub(crate) pause: Option<Duration>,
}

/// The replies of the server.
pub(super) struct Writer<W> {
    stream: W,
    splits: Splits,
    /// Bytes of payload of a full packet.
    full: usize,
    pending: BytesMut,
    packed: Vec<u8>,
    packets: usize,
    /// Bytes, headers included, after which the connection is cut.
    left: Option<usize>,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub(super) fn new(stream: W, splits: Splits, packet_size: usize) -> Self {
        let (pending, packed) = (BytesMut::new(), Vec::new());
        Self { stream, splits, full: packet_size - HEADER, pending, packed, packets: 0, left: None }
    }

    /// Packets have so many bytes, headers included, from the next message on.
    pub(super) fn set_packet_size(&mut self, packet_size: usize) {
        self.full = packet_size - HEADER;
    }

    /// Fails with `ConnectionAborted` when so many more bytes were written.
    pub(super) fn cut_after(&mut self, bytes: usize) {
        self.left = Some(bytes);
    }

    /// Adds to the message. Full packets go out, but never the last one.
    pub(super) async fn push(&mut self, payload: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(payload);
        while self.pending.len() > self.next_size() {
            self.pack(self.next_size(), false).await?;
        }
        Ok(())
    }

    /// Ends the message.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        self.pack(self.pending.len(), true).await?;
        self.packets = 0;
        self.flush().await
    }

    /// Writes all there is of the message, in a packet that need not be full.
    pub(super) async fn flush_all(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.pack(self.pending.len(), false).await?;
        }
        self.flush().await
    }

    /// Writes all full packets.
    async fn flush(&mut self) -> io::Result<()> {
        let packed = std::mem::take(&mut self.packed);
        self.write(&packed).await?;
        self.packed = packed;
        self.packed.clear();
        self.stream.flush().await
    }

    fn next_size(&self) -> usize {
        let sizes = &self.splits.sizes;
        if sizes.is_empty() { self.full } else { sizes[self.packets % sizes.len()].clamp(1, self.full) }
    }

    async fn pack(&mut self, payload: usize, last: bool) -> io::Result<()> {
        self.packets += 1;
        let id = u8::try_from(self.packets % 256).unwrap_or_default();
        self.packed.extend_from_slice(&header(kind::REPLY, last, payload, id));
        self.packed.extend_from_slice(&self.pending[..payload]);
        self.pending.advance(payload);
        if let Some(pause) = self.splits.pause {
            tokio::time::sleep(pause).await;
            return self.flush().await;
        }
        if self.packed.len() >= FLUSH { self.flush().await } else { Ok(()) }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let allowed = self.left.unwrap_or(usize::MAX).min(bytes.len());
        self.stream.write_all(&bytes[..allowed]).await?;
        self.left = self.left.map(|left| left - allowed);
        if self.left == Some(0) {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut, as told"));
        }
        Ok(())
    }

    /// Ends the connection.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }
}
