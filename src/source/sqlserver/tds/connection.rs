//! One connection to a server: how it is made, and how a question is asked over it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::select_ok;
use tiberius::error::Error as TdsError;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel, Row, ToSql};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use super::{fault, sql};
use crate::config::{DEFAULT_SQLSERVER_PORT, Encryption, SqlServerConnection};
use crate::error::{Error, Result};
use crate::secrets::{LoginCache, SqlServerLogin};

/// How this program calls itself in the server's lists of sessions.
const APPLICATION: &str = "cdc-to-s3";

/// How often a server may send us to another one (a listener to a replica, a gateway to a node).
const GREATEST_DETOUR: u32 = 3;

/// Time-outs and sizes. The defaults are meant for production; tests shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Longest time to establish a connection.
    pub connect_timeout: Duration,
    /// Longest time from there to the end of the login.
    pub login_timeout: Duration,
    /// Longest silence while waiting for an answer or for its next row.
    pub answer_timeout: Duration,
    /// Longest wait for a lock on the server.
    pub lock_timeout: Duration,
    /// The bytes of one packet, 512 to 32,767; the server may choose another size.
    pub packet_bytes: u32,
    /// At most so many rows go into one batch.
    pub batch_rows: usize,
    /// Once a batch holds about so many bytes, it is full.
    pub batch_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            login_timeout: Duration::from_secs(15),
            answer_timeout: Duration::from_secs(120),
            lock_timeout: Duration::from_secs(10),
            packet_bytes: 16_000,
            batch_rows: 8192,
            batch_bytes: 8 << 20,
        }
    }
}

/// Where the server is, and how it is reached.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) connection: SqlServerConnection,
    /// Certificates to trust beside those of the system, in PEM or DER.
    pub(super) trusted: Option<Vec<u8>>,
    pub(super) login: Arc<LoginCache>,
    pub(super) settings: Settings,
    /// Whether the database has let the login in before: then it exists, and a refusal to open it passes.
    pub(super) has_connected: AtomicBool,
}

/// An open connection, logged in, at the database, with nothing under way.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client<Compat<TcpStream>>,
    /// What kind of server it is.
    pub(super) facts: Facts,
}

/// What a connection needs to know of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Whether the database allows SNAPSHOT isolation, under which the connection then reads.
    pub(super) snapshot_isolation: bool,
    /// Whether the server can name its time zone (`CURRENT_TIMEZONE_ID`): SQL Server 2022, Azure SQL Database and
    /// Managed Instance.
    pub(super) knows_time_zone: bool,
}

impl Place {
    /// Opens a connection. A login that is refused is tried once more with the secret's newest version.
    ///
    /// # Errors
    /// `SqlServerUnreachable`, `SqlServerUnauthorized`, `SqlServerTls`, `DatabaseNotFound` and others of [`fault`], or those
    /// of the secret.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let login = self.login.login().await?;
        match self.log_in(&login).await {
            Err(error) if error.code() == "SqlServerUnauthorized" && self.login.is_renewable() => {
                let newer = self.login.renew(&login).await?;
                if *newer == *login { Err(error) } else { self.log_in(&newer).await }
            }
            connected => connected,
        }
    }

    async fn log_in(&self, login: &SqlServerLogin) -> Result<Connection> {
        let mut host = self.host(login)?.to_owned();
        let mut port = self.connection.port.or(login.port).unwrap_or(DEFAULT_SQLSERVER_PORT);
        let doing = "logging in";
        for _ in 0..=GREATEST_DETOUR {
            let stream = self.dial(&host, port).await?;
            let config = self.driver_config(&host, port, login)?;
            match Box::pin(Client::connect(config, stream.compat_write())).await {
                Ok(client) => {
                    self.has_connected.store(true, Ordering::Relaxed);
                    return Connection::prepare(client, &self.settings).await;
                }
                Err(TdsError::Routing { host: other, port: other_port }) => (host, port) = (other, other_port),
                Err(error) => return Err(self.login_fault(error, doing)),
            }
        }
        Err(fault::of(TdsError::Routing { host, port }, doing))
    }

    fn login_fault(&self, error: TdsError, doing: &str) -> Error {
        if self.connection.encryption == Encryption::Strict && fault::is_no_answer_in_tls(&error) {
            return fault::no_tds8(doing).caused_by(error);
        }
        if fault::is_closed_database(&error) && self.has_connected.load(Ordering::Relaxed) {
            return fault::database_moving(doing);
        }
        fault::of(error, doing)
    }

    fn host<'p>(&'p self, login: &'p SqlServerLogin) -> Result<&'p str> {
        self.connection.host.as_deref().or(login.host.as_deref()).ok_or_else(|| missing("host", "host"))
    }

    /// A TCP connection to the first of the host's addresses that takes one: a listener may have several of which only one
    /// is alive.
    async fn dial(&self, host: &str, port: u16) -> Result<TcpStream> {
        let place = format!("{host}:{port}");
        let dialled = async {
            let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
            if addresses.is_empty() {
                return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
            }
            let (stream, _) =
                select_ok(addresses.into_iter().map(|address| Box::pin(TcpStream::connect(address)))).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let waited = self.settings.connect_timeout;
        match timeout(waited, dialled).await {
            Ok(stream) => stream.map_err(|error| fault::unreachable(&place, error)),
            Err(_) => Err(fault::no_connection(&place, waited)),
        }
    }

    fn driver_config(&self, host: &str, port: u16, login: &SqlServerLogin) -> Result<Config> {
        let SqlServerConnection { database, encryption, host_in_certificate, read_only_intent, .. } = &self.connection;
        let database =
            database.as_deref().or(login.database.as_deref()).ok_or_else(|| missing("database", "dbname"))?;
        let mut config = Config::new();
        config.host(host);
        config.port(port);
        config.database(database);
        config.application_name(APPLICATION);
        config.authentication(AuthMethod::sql_server(&login.username, login.password.expose()));
        config.encryption(match encryption {
            Encryption::Strict => EncryptionLevel::Strict,
            Encryption::Required => EncryptionLevel::Required,
            Encryption::Off => EncryptionLevel::NotSupported,
        });
        if let Some(certificates) = &self.trusted {
            config.trust_cert_ca_bundle(certificates.clone());
        }
        if let Some(name) = host_in_certificate {
            config.hostname_in_certificate(name);
        }
        config.readonly(*read_only_intent);
        config.packet_size(self.settings.packet_bytes);
        config.handshake_timeout(Some(self.settings.login_timeout));
        config.command_timeout(Some(self.settings.answer_timeout));
        // Half of a surrogate pair would otherwise block its table for ever.
        config.lossy_utf16_decoding(true);
        Ok(config)
    }
}

impl Connection {
    /// Gives the session the settings that the queries rely on.
    async fn prepare(mut client: Client<Compat<TcpStream>>, settings: &Settings) -> Result<Self> {
        let doing = "preparing the session";
        let text = sql::session(settings.lock_timeout);
        let answer = client.simple_query(text).await.map_err(|error| fault::of(error, doing))?;
        let row = answer.into_row().await.map_err(|error| fault::of(error, doing))?;
        let flag = |index: usize| row.as_ref().and_then(|row| row.try_get::<bool, _>(index).ok()?);
        let facts = flag(0).zip(flag(1));
        let (snapshot_isolation, knows_time_zone) = facts.ok_or_else(|| fault::answer("facts of the server", doing))?;
        let mut connection = Self { client, facts: Facts { snapshot_isolation, knows_time_zone } };
        if snapshot_isolation {
            connection.run(sql::SNAPSHOT_ISOLATION, doing).await?;
        }
        Ok(connection)
    }

    /// Runs a batch and gives the rows of each of its results.
    pub(super) async fn batch(&mut self, text: &str, doing: &str) -> Result<Vec<Vec<Row>>> {
        let answer = self.client.simple_query(text).await.map_err(|error| fault::of(error, doing))?;
        answer.into_results().await.map_err(|error| fault::of(error, doing))
    }

    /// Runs a batch whose results do not matter.
    pub(super) async fn run(&mut self, text: &str, doing: &str) -> Result<()> {
        self.batch(text, doing).await.map(drop)
    }

    /// Runs a query with parameters (`@P1`, …) and gives its rows.
    pub(super) async fn query(&mut self, text: &str, parameters: &[&dyn ToSql], doing: &str) -> Result<Vec<Row>> {
        let answer = self.client.query(text, parameters).await.map_err(|error| fault::of(error, doing))?;
        answer.into_first_result().await.map_err(|error| fault::of(error, doing))
    }

    /// The driver, for an answer that is read row by row.
    pub(super) fn driver(&mut self) -> &mut Client<Compat<TcpStream>> {
        &mut self.client
    }
}

fn missing(key: &str, secret_key: &str) -> Error {
    Error::config("InvalidConfig", format!("neither `source.{key}` nor the secret's `{secret_key}` is there"))
        .hint("give one of them")
}
