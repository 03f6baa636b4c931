//! The client: a [`Server`] that speaks TDS.
//!
//! - A connection serves one question at a time. One that has been asked to its end goes back to the others; one whose
//!   question failed, or was dropped, is closed. So no call ever meets what another one has left behind, and tables can be
//!   read at the same time, each over its own connection.
//! - An answer is complete or an error: behind the rows of a large answer comes their number, as the server counted them.
//! - What may pass is an error of kind `Transient`. Nothing is repeated here but a refused login, once, with a secret that
//!   was fetched anew.
//! - Where the database allows it, everything is read under SNAPSHOT isolation: no lock is waited for, and none is held.

mod catalog;
mod cells;
mod changes;
mod columns;
mod connection;
mod fault;
mod key;
mod layout;
mod rows;
mod sql;
mod text;
mod times;
mod types;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use tiberius::{Row, ToSql};

use self::cells::Cells;
pub use self::connection::Settings;
use self::connection::{Connection, Place};
use self::layout::Layout;
use super::{
    CaptureErrors, CaptureInstance, CommitTime, Database, Images, KeyMark, LsnRange, RowsRead, Server, TakeChanges,
    TakeRows, Told,
};
use crate::config::{SqlServerConnection, TimesAsText};
use crate::error::Result;
use crate::position::Lsn;
use crate::secrets::LoginCache;

/// A question has at most so many parameters; the server allows 2,100.
const MOST_PARAMETERS: usize = 1000;

/// A SQL Server database, reached over TDS. Nothing is connected to before the first question.
pub struct TdsServer {
    place: Place,
    as_text: TimesAsText,
    idle: Mutex<Vec<Connection>>,
    layouts: Mutex<HashMap<i32, Arc<Layout>>>,
}

impl TdsServer {
    /// The database at `connection`. `trusted` are certificates, in PEM or DER, that are trusted beside those of the system.
    pub fn new(
        connection: SqlServerConnection,
        trusted: Option<Vec<u8>>,
        login: Arc<LoginCache>,
        as_text: TimesAsText,
        settings: Settings,
    ) -> Self {
        let place = Place { connection, trusted, login, settings, has_connected: AtomicBool::default() };
        Self { place, as_text, idle: Mutex::default(), layouts: Mutex::default() }
    }

    async fn connection(&self) -> Result<Connection> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(connection) => Ok(connection),
            None => Box::pin(self.place.connect()).await,
        }
    }

    /// Gives back a connection that has nothing under way.
    fn give_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    /// How `instance` is read.
    ///
    /// # Errors
    /// `InstanceMissing` (kind `Data`) when the server no longer knows it.
    async fn layout(&self, instance: &CaptureInstance) -> Result<Arc<Layout>> {
        if let Some(layout) = self.known_layout(instance.object_id) {
            return Ok(layout);
        }
        self.instances().await?;
        self.known_layout(instance.object_id).ok_or_else(|| fault::missing(&instance.name))
    }

    fn known_layout(&self, object_id: i32) -> Option<Arc<Layout>> {
        self.layouts.lock().unwrap_or_else(PoisonError::into_inner).get(&object_id).cloned()
    }

    /// The one LSN that a query answers.
    async fn lsn(&self, text: &str, parameters: &[&dyn ToSql], doing: &str) -> Result<Option<Lsn>> {
        let mut connection = self.connection().await?;
        let rows = connection.query(text, parameters, doing).await?;
        self.give_back(connection);
        let row = rows.first().ok_or_else(|| fault::answer("LSN", doing))?;
        Ok(Cells::new(row, doing).lsn(0)?.filter(|lsn| *lsn != Lsn::ZERO))
    }
}

#[async_trait]
impl Server for TdsServer {
    async fn database(&self) -> Result<Database> {
        let mut connection = self.connection().await?;
        let database = catalog::database(&mut connection).await?;
        self.give_back(connection);
        let doing = "asking for the restore lineage";
        let rows = self.permitted(sql::RECOVERY_FORK, doing).await?;
        let fork = rows.iter().flatten().next().map(|row| Cells::new(row, doing).text(0)).transpose()?.flatten();
        Ok(Database { recovery_fork: fork.map(str::to_owned), ..database })
    }

    async fn instances(&self) -> Result<Vec<CaptureInstance>> {
        let mut connection = self.connection().await?;
        let (instances, layouts) = catalog::instances(&mut connection, self.as_text).await?;
        self.give_back(connection);
        *self.layouts.lock().unwrap_or_else(PoisonError::into_inner) = layouts;
        Ok(instances)
    }

    async fn max_lsn(&self) -> Result<Option<Lsn>> {
        self.lsn(sql::MAX_LSN, &[], "asking for the end of the log").await
    }

    async fn min_lsn(&self, instance: &CaptureInstance) -> Result<Option<Lsn>> {
        let doing = format!("asking for the low end of `{}`", instance.name);
        self.lsn(sql::MIN_LSN, &[&instance.name], &doing).await
    }

    async fn window_end(&self, after: Lsn, fence: Lsn, transactions: u32) -> Result<Lsn> {
        let doing = "asking for the end of a window";
        let (from, to) = (after.as_bytes().as_slice(), fence.as_bytes().as_slice());
        let most = i64::from(transactions);
        let mut connection = self.connection().await?;
        let rows = connection.query(sql::WINDOW_END, &[&from, &to, &most], doing).await?;
        self.give_back(connection);
        let cells = Cells::new(rows.first().ok_or_else(|| fault::answer("LSN", doing))?, doing);
        let is_full = cells.number(1)? == Some(most);
        Ok(cells.lsn(0)?.filter(|_| is_full).unwrap_or(fence))
    }

    async fn changes(
        &self,
        instance: &CaptureInstance,
        range: LsnRange,
        images: Images,
        take: TakeChanges<'_>,
    ) -> Result<()> {
        let layout = self.layout(instance).await?;
        let mut connection = self.connection().await?;
        let settings = &self.place.settings;
        if changes::read(&mut connection, instance, &layout, range, images, settings, take).await? {
            self.give_back(connection);
        }
        Ok(())
    }

    async fn rows(&self, instance: &CaptureInstance, after: Option<&KeyMark>, take: TakeRows<'_>) -> Result<RowsRead> {
        let layout = self.layout(instance).await?;
        let mut connection = self.connection().await?;
        let read = rows::read(&mut connection, instance, &layout, after, &self.place.settings, take).await?;
        if read.complete {
            self.give_back(connection);
        }
        let until = match read.instant {
            Some(instant) => instant,
            None => self.clock().await?,
        };
        Ok(RowsRead { last: read.last, complete: read.complete, one_instant: read.instant.is_some(), until })
    }

    async fn commit_times(&self, lsns: &[Lsn]) -> Result<Vec<Option<CommitTime>>> {
        let doing = "asking for the times of commits";
        let mut known = HashMap::new();
        for some in lsns.chunks(MOST_PARAMETERS) {
            let bytes: Vec<&[u8]> = some.iter().map(|lsn| lsn.as_bytes().as_slice()).collect();
            let parameters: Vec<&dyn ToSql> = bytes.iter().map(|bytes| bytes as &dyn ToSql).collect();
            let mut connection = self.connection().await?;
            let text = sql::commit_times(some.len(), connection.facts.knows_time_zone);
            let rows = connection.query(&text, &parameters, doing).await?;
            self.give_back(connection);
            for row in &rows {
                let cells = Cells::new(row, doing);
                known.insert(cells.lsn(0)?, CommitTime { local: cells.local(1)?, utc: cells.utc(2)? });
            }
        }
        Ok(lsns.iter().map(|lsn| known.get(&Some(*lsn)).copied()).collect())
    }

    async fn last_commit_before(&self, time: DateTime<Utc>) -> Result<Option<Lsn>> {
        let connection = self.connection().await?;
        let text = sql::last_commit_before(connection.facts.knows_time_zone);
        self.give_back(connection);
        let time = time.to_rfc3339_opts(SecondsFormat::Millis, false);
        self.lsn(&text, &[&time], "asking for the place of a time").await
    }

    async fn retention(&self) -> Result<Option<Duration>> {
        let doing = "asking for the retention";
        let rows = self.permitted(sql::RETENTION, doing).await?;
        let minutes = rows.iter().flatten().next().map(|row| Cells::new(row, doing).number(0)).transpose()?.flatten();
        Ok(minutes.and_then(|minutes| u64::try_from(minutes).ok()).map(|minutes| Duration::from_secs(minutes * 60)))
    }

    async fn capture_errors(&self) -> Result<Told<CaptureErrors>> {
        let doing = "asking for the errors of the capture job";
        let rows = match self.told(sql::CAPTURE_ERRORS, doing).await? {
            Told::Said(rows) => rows,
            Told::Denied => return Ok(Told::Denied),
            Told::Unknown => return Ok(Told::Unknown),
        };
        let Some(row) = rows.first() else { return Ok(Told::Said(CaptureErrors::default())) };
        let cells = Cells::new(row, doing);
        Ok(Told::Said(CaptureErrors { count: cells.id(0)?, newest: Some((cells.id(1)?, cells.local(2)?)) }))
    }

    async fn denied_columns(&self) -> Result<Vec<(i32, String)>> {
        let mut connection = self.connection().await?;
        let denied = catalog::denied_columns(&mut connection).await?;
        self.give_back(connection);
        Ok(denied)
    }
}

impl TdsServer {
    /// The rows of a question that this login may not be permitted to ask; `None` where it is not, and where the server does
    /// not know what is asked for. A refusal may cost the connection.
    async fn permitted(&self, text: &str, doing: &str) -> Result<Option<Vec<Row>>> {
        Ok(match self.told(text, doing).await? {
            Told::Said(rows) => Some(rows),
            Told::Denied | Told::Unknown => None,
        })
    }

    async fn told(&self, text: &str, doing: &str) -> Result<Told<Vec<Row>>> {
        let mut connection = self.connection().await?;
        let rows = catalog::told(&mut connection, text, doing).await?;
        if matches!(rows, Told::Said(_)) {
            self.give_back(connection);
        }
        Ok(rows)
    }

    async fn clock(&self) -> Result<DateTime<Utc>> {
        let mut connection = self.connection().await?;
        let now = catalog::clock_of(&mut connection, sql::CLOCK, "asking for the time").await?;
        self.give_back(connection);
        Ok(now)
    }
}

/// Where it is, not who logs in.
impl fmt::Debug for TdsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SqlServerConnection { host, port, database, .. } = &self.place.connection;
        f.debug_struct("TdsServer")
            .field("host", host)
            .field("port", port)
            .field("database", database)
            .finish_non_exhaustive()
    }
}
