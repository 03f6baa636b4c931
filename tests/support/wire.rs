//! A bad line: a proxy on loopback that passes bytes on to a server, and harms the exchanges that it was told to.
//!
//! An exchange is one request and its answer. Its request line decides which of the waiting faults it gets; the others
//! pass unharmed, on the same connection if the client likes.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const BUFFER: usize = 64 * 1024;
const METHODS: [&[u8]; 5] = [b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE "];

/// The direction of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client: requests.
    Up,
    /// From the server: answers.
    Down,
}

/// What is done to an exchange.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Nothing, once.
    None,
    /// The connection is reset after so many bytes of the request's body, or of the answer. `Reset(Down, 0)` loses the
    /// answer to a request that was served.
    Reset(Way, usize),
    /// Silence for ever after as many bytes.
    Stall(Way, usize),
    /// Pieces of at most so many bytes in one direction, with a pause after each.
    Drip(Way, usize, Duration),
    /// The whole request is kept back until [`Wire::release`], whoever still waits for its answer.
    Late,
    /// The request does not get through: this status with this body is the answer.
    Answer(u16, &'static str),
}

/// The proxy; it ends with the runtime of the test.
pub(crate) struct Wire {
    pub(crate) endpoint: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    server: String,
    state: Mutex<State>,
    released: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    refuse: usize,
    heads: Vec<String>,
    harmed: usize,
    late: Vec<String>,
}

struct Rule {
    method: &'static str,
    part: &'static str,
    faults: VecDeque<Fault>,
    /// Whether the last fault stays.
    always: bool,
}

impl Wire {
    /// A wire to the server at `url` (scheme, host and port).
    pub(crate) async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = url.strip_prefix("http://").expect("an address without TLS").trim_end_matches('/').to_owned();
        let shared = Arc::new(Shared { server, state: Mutex::default(), released: watch::Sender::new(false) });
        let accepting = Mutex::new(Some(tokio::spawn(accept(listener, Arc::clone(&shared)))));
        Self { endpoint: format!("http://{address}"), address, shared, accepting }
    }

    /// Faults for the next requests of `method` whose target has `part` in it, one each.
    pub(crate) fn harm(&self, method: &'static str, part: &'static str, faults: impl IntoIterator<Item = Fault>) {
        let rule = Rule { method, part, faults: faults.into_iter().collect(), always: false };
        self.shared.state().rules.push(rule);
    }

    /// One fault for all such requests.
    pub(crate) fn harm_always(&self, method: &'static str, part: &'static str, fault: Fault) {
        self.shared.state().rules.push(Rule { method, part, faults: VecDeque::from([fault]), always: true });
    }

    /// No more faults for new exchanges.
    pub(crate) fn mend(&self) {
        self.shared.state().rules.clear();
    }

    /// The next so many connections are reset as soon as they are made.
    pub(crate) fn refuse(&self, connections: usize) {
        self.shared.state().refuse = connections;
    }

    /// From now on nobody listens: connections are refused.
    pub(crate) async fn unplug(&self) {
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take().expect("a wire in use");
        accepting.abort();
        // The port is free when the task is gone.
        let _ = accepting.await;
    }

    /// Listens again, at the same address.
    pub(crate) async fn plug_in(&self) {
        let listener = TcpListener::bind(self.address).await.expect("the same port");
        let accepting = tokio::spawn(accept(listener, Arc::clone(&self.shared)));
        *self.accepting.lock().unwrap_or_else(PoisonError::into_inner) = Some(accepting);
    }

    /// Sends the requests that were kept back, which must be all that were harmed, and gives the status lines of their
    /// answers when all are there.
    pub(crate) async fn release(&self) -> Vec<String> {
        self.shared.released.send_replace(true);
        loop {
            let (kept, late) = {
                let state = self.shared.state();
                (state.harmed, state.late.clone())
            };
            if late.len() == kept {
                return late;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The heads of the requests so far, in order.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.shared.state().heads.clone()
    }

    /// How many exchanges were harmed.
    pub(crate) fn harmed(&self) -> usize {
        self.shared.state().harmed
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes a request, and gives its fault.
    fn begin(&mut self, head: &str) -> Option<Fault> {
        self.heads.push(head.to_owned());
        let (method, rest) = head.split_once(' ')?;
        let target = rest.split(' ').next()?;
        let meant = |rule: &&mut Rule| rule.method == method && target.contains(rule.part) && !rule.faults.is_empty();
        let rule = self.rules.iter_mut().find(meant)?;
        let fault = if rule.always { rule.faults.front().cloned() } else { rule.faults.pop_front() };
        self.harmed += usize::from(!matches!(fault, Some(Fault::None)));
        fault
    }

    fn refuses(&mut self) -> bool {
        let refuses = self.refuse > 0;
        self.refuse = self.refuse.saturating_sub(1);
        refuses
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        if shared.state().refuses() {
            reset(&client);
            continue;
        }
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(&shared.server).await else { return };
            let line = Line { client, server, shared, fault: None, passed: 0, answered: true };
            // An end that was made on purpose is an error like any other.
            let _ = line.carry().await;
        });
    }
}

/// One connection.
struct Line {
    client: TcpStream,
    server: TcpStream,
    shared: Arc<Shared>,
    /// That of the exchange under way.
    fault: Option<Fault>,
    /// Bytes of the exchange that have passed in the direction of the fault.
    passed: usize,
    /// Whether the last bytes were the server's.
    answered: bool,
}

impl Line {
    /// Passes bytes on until one side closes.
    async fn carry(mut self) -> io::Result<()> {
        let (mut up, mut down) = (vec![0; BUFFER], vec![0; BUFFER]);
        loop {
            tokio::select! {
                read = self.client.read(&mut up) => match read? {
                    0 => return Ok(()),
                    len => self.sent(&up[..len]).await?,
                },
                read = self.server.read(&mut down) => match read? {
                    0 => return Ok(()),
                    len => {
                        self.answered = true;
                        self.pass(Way::Down, &down[..len]).await?;
                    }
                },
            }
        }
    }

    async fn sent(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut free = 0;
        if self.answered && METHODS.iter().any(|method| bytes.starts_with(method)) {
            let head = head(bytes);
            (self.answered, self.passed, free) = (false, 0, head.len());
            self.fault = self.shared.state().begin(&head);
        }
        match self.fault {
            Some(Fault::Late) => self.keep_back(bytes).await,
            Some(Fault::Answer(status, body)) => self.answer(bytes, status, body).await,
            _ => {
                let (head, body) = bytes.split_at(free);
                self.server.write_all(head).await?;
                if body.is_empty() && free > 0 { Ok(()) } else { self.pass(Way::Up, body).await }
            }
        }
    }

    async fn pass(&mut self, way: Way, bytes: &[u8]) -> io::Result<()> {
        match self.fault {
            Some(Fault::Reset(harmed, after)) if harmed == way => {
                if !self.pass_up_to(after, way, bytes).await? {
                    reset(&self.client);
                    reset(&self.server);
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                Ok(())
            }
            Some(Fault::Stall(harmed, after)) if harmed == way => {
                if !self.pass_up_to(after, way, bytes).await? {
                    self.swallow().await?;
                }
                Ok(())
            }
            Some(Fault::Drip(harmed, piece, pause)) if harmed == way => {
                for piece in bytes.chunks(piece) {
                    self.write(way, piece).await?;
                    sleep(pause).await;
                }
                Ok(())
            }
            _ => self.write(way, bytes).await,
        }
    }

    /// Whether all of `bytes` were passed without more than `after` in all.
    async fn pass_up_to(&mut self, after: usize, way: Way, bytes: &[u8]) -> io::Result<bool> {
        let allowed = after.saturating_sub(self.passed).min(bytes.len());
        self.passed += allowed;
        self.write(way, &bytes[..allowed]).await?;
        Ok(allowed == bytes.len())
    }

    async fn write(&mut self, way: Way, bytes: &[u8]) -> io::Result<()> {
        match way {
            Way::Up => self.server.write_all(bytes).await,
            Way::Down => self.client.write_all(bytes).await,
        }
    }

    /// Lets what the client sends go nowhere, until it closes.
    async fn swallow(&mut self) -> io::Result<()> {
        let mut nowhere = vec![0; BUFFER];
        while self.client.read(&mut nowhere).await? > 0 {}
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Takes the rest of the request, and sends all of it when the time has come.
    async fn keep_back(&mut self, bytes: &[u8]) -> io::Result<()> {
        let request = self.whole(bytes).await?;
        let mut released = self.shared.released.subscribe();
        // The sender lives as long as the wire.
        let _ = released.wait_for(|released| *released).await;
        self.server.write_all(&request).await?;
        let mut answer = vec![0; BUFFER];
        let len = self.server.read(&mut answer).await?;
        self.shared.state().late.push(head(&answer[..len]).lines().next().unwrap_or_default().to_owned());
        self.client.write_all(&answer[..len]).await
    }

    async fn answer(&mut self, bytes: &[u8], status: u16, body: &str) -> io::Result<()> {
        self.whole(bytes).await?;
        self.answered = true;
        let answer = format!("HTTP/1.1 {status} told\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        self.client.write_all(answer.as_bytes()).await
    }

    /// The request that begins with `begin`, which holds its head.
    async fn whole(&mut self, begin: &[u8]) -> io::Result<Vec<u8>> {
        let head = head(begin).to_ascii_lowercase();
        let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
        let mut request = begin.to_owned();
        while request.len() < head.len() + len {
            if self.client.read_buf(&mut request).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(request)
    }
}

/// The head of a message that begins so, with its empty line.
fn head(bytes: &[u8]) -> String {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Makes the end of a connection a reset.
fn reset(connection: &TcpStream) {
    connection.set_zero_linger().expect("an open socket");
}
