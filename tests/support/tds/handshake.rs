//! From an accepted socket to a client that has sent its login.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::login::Login;
use super::packet::{HEADER, Message, header, kind, receive};
use super::prelogin::{self, Encryption, level};
use super::tls::{Acceptors, CLIENT_HELLO};

/// A connection in whichever clothes.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// How the bytes after the login travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Plain,
    /// Only the login was encrypted.
    PlainAfterLogin,
    Tls,
    /// TDS 8.
    Strict,
}

/// A client that waits for the answer to its login.
pub(super) struct Arrival {
    pub(super) stream: Box<dyn Stream>,
    pub(super) line: Line,
    pub(super) login: Login,
}

/// Goes through PRELOGIN, TLS and LOGIN7.
pub(super) async fn receive_login(
    mut socket: TcpStream,
    encryption: Encryption,
    acceptors: Option<&Acceptors>,
) -> io::Result<Arrival> {
    let mut first = [0];
    socket.peek(&mut first).await?;
    let acceptors = || acceptors.ok_or_else(|| invalid("TLS is wished, but there is no certificate"));
    match (encryption, first[0]) {
        (Encryption::Strict, CLIENT_HELLO) => {
            let mut stream = acceptors()?.around(socket).await?;
            answer_prelogin(&mut stream, encryption).await?;
            let login = login(&mut stream).await?;
            Ok(Arrival { stream: Box::new(stream), line: Line::Strict, login })
        }
        (Encryption::Strict, _) | (_, CLIENT_HELLO) => Err(invalid("the wrong framing of TLS")),
        _ => match answer_prelogin(&mut socket, encryption).await? {
            level::NOT_SUPPORTED => {
                let login = login(&mut socket).await?;
                Ok(Arrival { stream: Box::new(socket), line: Line::Plain, login })
            }
            level::LOGIN_ONLY => {
                let mut stream = acceptors()?.inside(socket).await?;
                let login = login(&mut stream).await?;
                let socket = stream.into_inner().0.into_socket();
                Ok(Arrival { stream: Box::new(socket), line: Line::PlainAfterLogin, login })
            }
            _ => {
                let mut stream = acceptors()?.inside(socket).await?;
                let login = login(&mut stream).await?;
                Ok(Arrival { stream: Box::new(stream), line: Line::Tls, login })
            }
        },
    }
}

/// Gives what was agreed on.
async fn answer_prelogin(stream: &mut impl Stream, encryption: Encryption) -> io::Result<u8> {
    let message = expect(receive(stream).await?, kind::PRELOGIN)?;
    let agreed = encryption.answer(prelogin::wished_encryption(&message.payload)?);
    let answer = prelogin::answer(agreed);
    let mut packet = Vec::with_capacity(HEADER + answer.len());
    packet.extend_from_slice(&header(kind::REPLY, true, answer.len(), 1));
    packet.extend_from_slice(&answer);
    stream.write_all(&packet).await?;
    stream.flush().await?;
    Ok(agreed)
}

async fn login(stream: &mut impl Stream) -> io::Result<Login> {
    let message = expect(receive(stream).await?, kind::LOGIN)?;
    Login::decode(&message.payload).map_err(|malformed| invalid(malformed.0))
}

fn expect(message: Message, kind: u8) -> io::Result<Message> {
    if message.kind == kind { Ok(message) } else { Err(invalid("a message out of turn")) }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
