//! A session: the answer to its login, then request by request.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::FutureExt;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;

use super::answer::{Answer, Part};
use super::fault::{After, Fault, Harm, Stage};
use super::handshake::{Arrival, Line, Stream};
use super::login::Login;
use super::packet::{Message, Reader, Writer, kind};
use super::request::{Request, Way};
use super::row::{Misfit, RowStyle};
use super::statement::{self, Statement};
use super::token::{self, Done, ServerError, environment, status};
use super::value::{Collation, Column};
use super::{Admission, Shared, metadata, row};

/// The version that is spoken here, at most.
const TDS_7_4: u32 = 0x7400_0004;
/// The first one with the types for dates.
const TDS_7_3: u32 = 0x730A_0003;

/// Bytes of tokens that are collected before they become packets.
const BATCH: usize = 32 << 10;

/// Bytes of a packet, unless the client or the test wishes otherwise.
const PACKET: usize = 4096;

/// What is known about a session when it asks something.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Sessions are counted from 1.
    pub(crate) number: u64,
    pub(crate) login: Login,
    pub(crate) line: Line,
    /// As in `SNAPSHOT`.
    pub(crate) isolation: String,
    pub(crate) in_transaction: bool,
}

/// Why an answer is not written to its end.
enum Interrupt {
    /// The client has asked for that.
    Attention,
    /// The server says why.
    Error(ServerError),
    /// The connection is to end, or has ended.
    End(io::Error),
}

impl From<io::Error> for Interrupt {
    fn from(error: io::Error) -> Self {
        Self::End(error)
    }
}

impl From<Misfit> for Interrupt {
    fn from(misfit: Misfit) -> Self {
        Self::Error(ServerError::new(50_000, &format!("the script is wrong: {}", misfit.0)))
    }
}

/// One connection.
pub(super) struct Connection {
    session: Session,
    reader: Reader<ReadHalf<Box<dyn Stream>>>,
    writer: Writer<WriteHalf<Box<dyn Stream>>>,
    shared: Arc<Shared>,
    /// The same socket, to reset it.
    socket: std::net::TcpStream,
    out: BytesMut,
    fault: Option<Fault>,
}

impl Connection {
    pub(super) fn new(number: u64, arrival: Arrival, socket: std::net::TcpStream, shared: Arc<Shared>) -> Self {
        let Arrival { stream, line, login } = arrival;
        let (read, write) = tokio::io::split(stream);
        let isolation = "READ COMMITTED".to_owned();
        Self {
            session: Session { number, login, line, isolation, in_transaction: false },
            reader: Reader::new(read),
            writer: Writer::new(write, shared.settings.splits.clone(), PACKET),
            shared,
            socket,
            out: BytesMut::new(),
            fault: None,
        }
    }

    /// Serves the session to its end.
    pub(super) async fn serve(mut self) -> io::Result<()> {
        if !self.log_in().await? {
            return Ok(());
        }
        while let Some(message) = self.reader.message().await? {
            self.handle(&message).await?;
        }
        Ok(())
    }

    /// Whether the client may stay.
    async fn log_in(&mut self) -> io::Result<bool> {
        self.fault = self.shared.fault(&Stage::Login);
        let old = self.session.login.version < TDS_7_3;
        let admission = match self.strike_now().await {
            Err(Interrupt::Error(error)) => Admission::Refused(vec![error]),
            Err(Interrupt::End(error)) => return Err(error),
            _ if old => Admission::Refused(vec![ServerError::new(50_000, "TDS before 7.3 is not spoken here")]),
            _ => self.shared.answers.admit(&self.session.login),
        };
        match &admission {
            Admission::Welcome => self.welcome(),
            Admission::SentTo(host, port) => {
                self.welcome();
                token::put_routing(&mut self.out, host, *port);
            }
            Admission::Refused(errors) => errors.iter().for_each(|error| token::put_error(&mut self.out, error)),
        }
        let status = if matches!(admission, Admission::Refused(_)) { status::ERROR } else { 0 };
        token::put_done(&mut self.out, Done::Statement, status, 0);
        self.end_message().await?;
        self.writer.set_packet_size(self.packet_size());
        Ok(admission == Admission::Welcome)
    }

    fn packet_size(&self) -> usize {
        let wished = usize::try_from(self.session.login.packet_size).unwrap_or(PACKET);
        self.shared.settings.packet_size.unwrap_or(if wished == 0 { PACKET } else { wished.clamp(512, 32_767) })
    }

    fn welcome(&mut self) {
        let (login, out) = (&self.session.login, &mut self.out);
        let database = if login.database.is_empty() { "master" } else { &login.database };
        let context = ServerError::new(5701, &format!("Changed database context to '{database}'.")).class(0);
        let language = ServerError::new(5703, "Changed language setting to us_english.").class(0);
        token::put_change(out, environment::DATABASE, database, "master");
        token::put_error(out, &context);
        token::put_binary_change(out, environment::COLLATION, &Collation::Latin1.bytes(), &[]);
        token::put_change(out, environment::LANGUAGE, "us_english", "");
        token::put_error(out, &language);
        token::put_login_ack(out, login.version.min(TDS_7_4));
        let size = self.packet_size().to_string();
        token::put_change(&mut self.out, environment::PACKET_SIZE, &size, &PACKET.to_string());
    }

    async fn handle(&mut self, message: &Message) -> io::Result<()> {
        if message.kind == kind::ATTENTION {
            return self.acknowledge_attention().await;
        }
        let (way, outcome) = match Request::decode(message) {
            Ok(request) => (request.way, self.answer(request).await),
            Err(malformed) => {
                let error = ServerError::new(50_000, &format!("the stand-in was sent {malformed}"));
                (Way::Batch, Err(Interrupt::Error(error)))
            }
        };
        match outcome {
            Ok(()) => {}
            Err(Interrupt::Attention) => return self.acknowledge_attention().await,
            Err(Interrupt::Error(error)) => self.fail(way, &error),
            Err(Interrupt::End(error)) => return Err(error),
        }
        self.end_message().await
    }

    async fn answer(&mut self, request: Request) -> Result<(), Interrupt> {
        self.fault = self.shared.fault(&Stage::Request(request.text.clone()));
        self.shared.note(&self.session, &request);
        self.limit_bytes();
        self.strike_now().await?;
        let batch = statement::parse(&request.text);
        batch.statements.iter().for_each(|statement| self.perform(statement));
        if !batch.has_queries {
            finish(&mut self.out, request.way, 0, 0);
            return Ok(());
        }
        let unknown = || ServerError::new(50_000, &format!("the stand-in has no answer to: {}", request.normal_text()));
        let answer = self.shared.answers.answer(&self.session, &request).ok_or_else(unknown);
        self.write(request.way, answer.map_err(Interrupt::Error)?).await
    }

    /// What the server does by itself.
    fn perform(&mut self, statement: &Statement) {
        let number = self.session.number.to_le_bytes();
        match statement {
            Statement::Set => {}
            Statement::Isolation(level) => self.session.isolation.clone_from(level),
            Statement::Begin => {
                self.session.in_transaction = true;
                token::put_binary_change(&mut self.out, environment::BEGIN, &number, &[]);
            }
            Statement::Commit => {
                self.session.in_transaction = false;
                token::put_binary_change(&mut self.out, environment::COMMIT, &[], &number);
            }
            Statement::Rollback => {
                self.session.in_transaction = false;
                token::put_binary_change(&mut self.out, environment::ROLLBACK, &[], &number);
            }
            Statement::IfInTransaction(end) if self.session.in_transaction => self.perform(end),
            Statement::IfInTransaction(_) => {}
        }
    }

    async fn write(&mut self, way: Way, answer: Answer) -> Result<(), Interrupt> {
        let style = self.shared.settings.rows;
        let (mut columns, mut rows, mut open) = (Vec::new(), 0, false);
        for part in answer.parts {
            match part {
                Part::Columns(next) => {
                    self.end_result(way, open, rows);
                    (columns, rows, open) = (next.iter().map(Column::as_sent).collect::<Vec<_>>(), 0, true);
                    metadata::put(&mut self.out, &columns);
                }
                Part::Order(by) => token::put_order(&mut self.out, &by),
                Part::Rows(values) => {
                    for values in values {
                        self.write_row(&columns, &values, style, rows).await?;
                        rows += 1;
                    }
                }
                Part::Encoded(pieces) => {
                    for piece in pieces {
                        self.strike_after_rows(rows).await?;
                        self.out.extend_from_slice(&piece.bytes);
                        rows += piece.rows;
                        self.send_batch().await?;
                    }
                }
                Part::Message(message) if message.class > 10 => return Err(Interrupt::Error(message)),
                Part::Message(message) => token::put_error(&mut self.out, &message),
                Part::Affected(touched) => {
                    self.end_result(way, open, rows);
                    (rows, open) = (touched, true);
                }
                Part::Wait(pause) => {
                    self.send_all().await?;
                    self.wait(pause).await?;
                }
            }
        }
        self.strike_after_rows(rows).await?;
        finish(&mut self.out, way, if open { status::COUNT } else { 0 }, rows);
        Ok(())
    }

    async fn write_row(
        &mut self,
        columns: &[Column],
        values: &[super::value::Value],
        style: RowStyle,
        before: u64,
    ) -> Result<(), Interrupt> {
        self.strike_after_rows(before).await?;
        row::put(&mut self.out, columns, values, style)?;
        self.send_batch().await
    }

    /// Ends a result that is followed by something else.
    fn end_result(&mut self, way: Way, open: bool, rows: u64) {
        if open {
            let done = if way == Way::Procedure { Done::StatementInProcedure } else { Done::Statement };
            token::put_done(&mut self.out, done, status::MORE | status::COUNT, rows);
        }
    }

    fn fail(&mut self, way: Way, error: &ServerError) {
        token::put_error(&mut self.out, error);
        finish(&mut self.out, way, status::ERROR, 0);
    }

    /// Sends what was collected, if it is much, and looks whether the client still wants the rest.
    async fn send_batch(&mut self) -> Result<(), Interrupt> {
        if self.out.len() < BATCH {
            return Ok(());
        }
        self.send().await?;
        match self.reader.message().now_or_never() {
            Some(message) => interrupt(message?),
            None => Ok(()),
        }
    }

    /// Sends what was collected, so that the client sees it.
    async fn send_all(&mut self) -> Result<(), Interrupt> {
        self.send().await?;
        match self.writer.flush_all().await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => self.strike().await,
            sent => Ok(sent?),
        }
    }

    async fn send(&mut self) -> Result<(), Interrupt> {
        let out = self.out.split();
        match self.writer.push(&out).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => self.strike().await,
            sent => Ok(sent?),
        }
    }

    async fn end_message(&mut self) -> io::Result<()> {
        let ended = match self.send().await {
            Ok(()) => match self.writer.end().await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => self.strike().await,
                ended => ended.map_err(Interrupt::End),
            },
            failed => failed,
        };
        match ended {
            Err(Interrupt::End(error)) => Err(error),
            Ok(()) | Err(Interrupt::Attention | Interrupt::Error(_)) => Ok(()),
        }
    }

    async fn acknowledge_attention(&mut self) -> io::Result<()> {
        self.shared.note_attention();
        token::put_done(&mut self.out, Done::Statement, status::ATTENTION, 0);
        self.end_message().await
    }

    fn limit_bytes(&mut self) {
        if let Some(Fault { after: After::Bytes(bytes), .. }) = self.fault {
            self.writer.cut_after(bytes);
        }
    }

    async fn strike_now(&mut self) -> Result<(), Interrupt> {
        if matches!(self.fault, Some(Fault { after: After::Nothing, .. })) { self.strike().await } else { Ok(()) }
    }

    async fn strike_after_rows(&mut self, rows: u64) -> Result<(), Interrupt> {
        match self.fault {
            Some(Fault { after: After::Rows(after), .. }) if after <= rows => {
                self.send_all().await?;
                self.strike().await
            }
            _ => Ok(()),
        }
    }

    /// The waiting fault takes place.
    async fn strike(&mut self) -> Result<(), Interrupt> {
        let Some(fault) = self.fault.take() else { return Ok(()) };
        match fault.harm {
            Harm::Wait(pause) => self.wait(pause).await,
            Harm::Error(error) => Err(Interrupt::Error(error)),
            Harm::Stall => loop {
                interrupt(self.reader.message().await?)?;
            },
            Harm::Close => {
                self.writer.close().await?;
                Err(Interrupt::End(io::ErrorKind::ConnectionAborted.into()))
            }
            Harm::Reset => {
                TcpStream::from_std(self.socket.try_clone()?)?.set_zero_linger()?;
                Err(Interrupt::End(io::ErrorKind::ConnectionReset.into()))
            }
        }
    }

    async fn wait(&mut self, pause: std::time::Duration) -> Result<(), Interrupt> {
        tokio::select! {
            message = self.reader.message() => interrupt(message?),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}

/// What a message means that comes while an answer is under way.
fn interrupt(message: Option<Message>) -> Result<(), Interrupt> {
    match message {
        Some(message) if message.kind == kind::ATTENTION => Err(Interrupt::Attention),
        Some(_) => Err(Interrupt::Error(ServerError::new(50_000, "a request while another one is answered"))),
        None => Err(Interrupt::End(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// Ends an answer.
fn finish(out: &mut BytesMut, way: Way, status: u16, rows: u64) {
    if way != Way::Procedure {
        token::put_done(out, Done::Statement, status, rows);
        return;
    }
    token::put_done(out, Done::StatementInProcedure, status | status::MORE, rows);
    token::put_return_status(out, i32::from(status & status::ERROR != 0));
    token::put_done(out, Done::Procedure, status & status::ERROR, 0);
}
