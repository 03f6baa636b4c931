//! A TDS server of our own, over real sockets on loopback.
//!
//! It speaks what [MS-TDS] says of versions 7.3 to 8.0, so far as a client that reads needs it: PRELOGIN, TLS in both
//! framings, LOGIN7, batches and `sp_executesql`, every type of a column, attention, transactions. It knows no SQL: what
//! a request is answered with is up to [`Answers`], and what those do not know is an error that names it. Packets can be
//! cut anywhere, faults are scripted, and all that clients asked is kept. Nothing here reads a clock or draws lots.

mod answer;
mod bytes;
mod fault;
mod handshake;
mod login;
mod metadata;
mod packet;
mod parameter;
mod prelogin;
mod request;
mod row;
mod script;
mod session;
mod statement;
mod tls;
mod token;
mod value;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::bytes::{Bytes, BytesMut};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub(crate) use self::answer::{Answer, Encoded, Row};
pub(crate) use self::fault::{Fault, Harm, Stage};
pub(crate) use self::handshake::Line;
pub(crate) use self::login::Login;
pub(crate) use self::packet::Splits;
pub(crate) use self::prelogin::Encryption;
pub(crate) use self::request::{Request, Way};
pub(crate) use self::row::RowStyle;
pub(crate) use self::script::Script;
pub(crate) use self::session::Session;
pub(crate) use self::tls::Certificate;
pub(crate) use self::token::ServerError;
pub(crate) use self::value::{Collation, Column, Length, SqlType, Value};

use self::session::Connection;
use self::tls::Acceptors;

/// What a server knows.
pub(crate) trait Answers: Send + Sync + 'static {
    /// Whether a login may come in.
    fn admit(&self, _login: &Login) -> Admission {
        Admission::Welcome
    }

    /// The answer to a request; `None` for one that is not known.
    fn answer(&self, session: &Session, request: &Request) -> Option<Answer>;
}

/// What becomes of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Welcome,
    /// The client is to come to another host and port, as a listener or a gateway says.
    SentTo(String, u16),
    /// The client is told these errors.
    Refused(Vec<ServerError>),
}

/// How the server speaks, whatever it says.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) encryption: Encryption,
    /// Needed for any encryption.
    pub(crate) certificate: Option<Arc<Certificate>>,
    pub(crate) rows: RowStyle,
    pub(crate) splits: Splits,
    /// Bytes of a packet, headers included, whatever the client wishes.
    pub(crate) packet_size: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        let (rows, splits) = (RowStyle::default(), Splits::default());
        Self { encryption: Encryption::NotSupported, certificate: None, rows, splits, packet_size: None }
    }
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) session: Session,
    pub(crate) request: Request,
}

/// The running server; it stops when this is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    settings: Settings,
    acceptors: Option<Acceptors>,
    answers: Arc<dyn Answers>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: u64,
    faults: Vec<(Stage, Fault)>,
    logins: Vec<Login>,
    seen: Vec<Seen>,
    attentions: u64,
}

impl Server {
    /// A server on a free port of loopback.
    pub(crate) async fn start(settings: Settings, answers: Arc<dyn Answers>) -> io::Result<Self> {
        Self::listen("127.0.0.1:0", settings, answers).await
    }

    /// A server at `address`.
    pub(crate) async fn listen(address: &str, settings: Settings, answers: Arc<dyn Answers>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let acceptors = settings.certificate.as_ref().map(|certificate| certificate.acceptors()).transpose()?;
        let shared = Arc::new(Shared { settings, acceptors, answers, state: Mutex::default() });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a fault for the next exchange of this stage, after those that are waiting for the same.
    pub(crate) fn fault(&self, stage: Stage, fault: Fault) {
        self.shared.state().faults.push((stage, fault));
    }

    /// Forgets the faults that still wait.
    pub(crate) fn mend(&self) {
        self.shared.state().faults.clear();
    }

    /// How many faults still wait.
    pub(crate) fn waiting_faults(&self) -> usize {
        self.shared.state().faults.len()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.state().connections
    }

    /// The logins so far.
    pub(crate) fn logins(&self) -> Vec<Login> {
        self.shared.state().logins.clone()
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// How many answers were called off.
    pub(crate) fn attentions(&self) -> u64 {
        self.shared.state().attentions
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the fault that waits for this.
    fn fault(&self, stage: &Stage) -> Option<Fault> {
        let mut state = self.state();
        let nth = state.faults.iter().position(|(waiting, _)| waiting.meets(stage))?;
        Some(state.faults.remove(nth).1)
    }

    fn note(&self, session: &Session, request: &Request) {
        self.state().seen.push(Seen { session: session.clone(), request: request.clone() });
    }

    fn note_attention(&self) {
        self.state().attentions += 1;
    }

    fn next_connection(&self) -> u64 {
        let mut state = self.state();
        state.connections += 1;
        state.connections
    }
}

/// Accepts until the task is aborted, and its connections with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        // How a connection ends is what the tests are about.
        let serving = serve(socket, Arc::clone(&shared));
        connections.spawn(async move { drop(serving.await) });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(socket: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let number = shared.next_connection();
    socket.set_nodelay(true)?;
    match shared.fault(&Stage::Accept).map(|fault| fault.harm) {
        Some(Harm::Stall) => std::future::pending::<()>().await,
        Some(Harm::Wait(pause)) => tokio::time::sleep(pause).await,
        Some(Harm::Reset) => return socket.set_zero_linger(),
        Some(Harm::Close | Harm::Error(_)) => return Ok(()),
        None => {}
    }
    let same = std::net::TcpStream::from(socket.as_fd().try_clone_to_owned()?);
    let arrival = handshake::receive_login(socket, shared.settings.encryption, shared.acceptors.as_ref()).await?;
    shared.state().logins.push(arrival.login.clone());
    Connection::new(number, arrival, same, shared).serve().await
}

/// Rows as tokens, for [`Answer::encoded`].
pub(crate) fn encode(columns: &[Column], rows: &[Row], style: RowStyle) -> Result<Bytes, String> {
    let (columns, mut out) = (columns.iter().map(Column::as_sent).collect::<Vec<_>>(), BytesMut::new());
    for row in rows {
        row::put(&mut out, &columns, row, style).map_err(|misfit| misfit.0)?;
    }
    Ok(out.freeze())
}
