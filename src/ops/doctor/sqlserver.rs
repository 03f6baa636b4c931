//! A database that captures its changes: the login, the capture job, and each table.

use std::ops::ControlFlow;

use chrono::TimeDelta;

use super::Diagnosis;
use crate::error::{Error, Result};
use crate::lake::layout::Place;
use crate::lake::state::{Head, STATE_LIMIT, State};
use crate::lake::store::{ObjectStore, read_all};
use crate::ops::figures::span;
use crate::places::places;
use crate::position::{Lsn, Position};
use crate::request::Request;
use crate::source::sqlserver::faults::{self, Moment};
use crate::source::sqlserver::headroom::Keeping;
use crate::source::sqlserver::instances::{Tracked, tracked, turn};
use crate::source::sqlserver::{CaptureInstance, Database, Images, LsnRange, OrderGrade, Server, SqlServer, Told};

/// With less than this left, a weekend without runs may cost changes soon.
const LEAST_HEADROOM: TimeDelta = TimeDelta::hours(12);

/// Looks at everything that the changes of this database depend on.
pub(super) async fn examine(
    sqlserver: &SqlServer,
    store: &dyn ObjectStore,
    request: &Request,
    diagnosis: &mut Diagnosis,
) {
    let server = &*sqlserver.server;
    let database = match server.database().await {
        Ok(database) => database,
        Err(error) => return diagnosis.fault("login", &error),
    };
    diagnosis.ok("login", format!("database `{}` of server `{}`", database.name, database.server));
    if !database.cdc_enabled {
        return diagnosis.fault("change data capture", &faults::cdc_disabled(&database));
    }
    diagnosis.ok("change data capture", "on");
    isolation(&database, diagnosis);
    let mut clinic = Clinic { sqlserver, store, database, fence: Lsn::ZERO, diagnosis };
    if let Err(error) = clinic.capture_job().await {
        clinic.diagnosis.fault("capture job", &error);
    }
    clinic.capture_errors().await;
    if let Err(error) = clinic.tables(request).await {
        clinic.diagnosis.fault("tables", &error);
    }
}

fn isolation(database: &Database, diagnosis: &mut Diagnosis) {
    if database.snapshot_isolation {
        return diagnosis.ok("snapshot isolation", "allowed");
    }
    diagnosis.warning(
        "snapshot isolation",
        "not allowed: reading waits for locks, and a first load is not of one instant",
        format!(
            "let an administrator run `ALTER DATABASE [{}] SET ALLOW_SNAPSHOT_ISOLATION ON`",
            bracketed(&database.name)
        ),
    );
}

fn bracketed(name: &str) -> String {
    name.replace(']', "]]")
}

/// What the checks of one database share.
struct Clinic<'a> {
    sqlserver: &'a SqlServer,
    store: &'a dyn ObjectStore,
    database: Database,
    /// The end of what the capture job has read; zero where it never has.
    fence: Lsn,
    diagnosis: &'a mut Diagnosis,
}

impl Clinic<'_> {
    fn server(&self) -> &dyn Server {
        &*self.sqlserver.server
    }

    async fn capture_job(&mut self) -> Result<()> {
        let Some(fence) = self.server().max_lsn().await? else {
            self.diagnosis.warning(
                "capture job",
                "it has not written anything yet",
                "start SQL Server Agent if it is not running",
            );
            return Ok(());
        };
        self.fence = fence;
        let time = self.server().commit_times(&[fence]).await?.into_iter().next().flatten();
        let Some(age) = time.and_then(|time| (self.database.now - time.utc).to_std().ok()) else {
            self.diagnosis.ok("capture job", format!("it has read the log up to {fence}"));
            return Ok(());
        };
        if self.sqlserver.feed.idle_after.is_some_and(|limit| age > limit) {
            return Err(faults::idle(Moment::known(fence, time), age));
        }
        self.diagnosis.ok("capture job", format!("its newest entry is {} old", span(age)));
        Ok(())
    }

    async fn capture_errors(&mut self) {
        const SUBJECT: &str = "capture job: errors";
        match self.server().capture_errors().await {
            Err(error) => self.diagnosis.fault(SUBJECT, &error),
            Ok(Told::Denied) => self.diagnosis.ok(SUBJECT, "this login may not see them (VIEW DATABASE STATE)"),
            Ok(Told::Unknown) => self.diagnosis.ok(SUBJECT, "this server does not keep them (no sys.dm_cdc_errors)"),
            Ok(Told::Said(errors)) => match errors.newest {
                None => self.diagnosis.ok(SUBJECT, "none in its last sessions"),
                Some((number, at)) => self.diagnosis.warning(
                    SUBJECT,
                    format!("{} in its last sessions, the newest is error {number} on {at} by the server's clock", errors.count),
                    "look into sys.dm_cdc_errors; 2628 and 8115 mean that a column was changed under its capture instance",
                ),
            },
        }
    }

    async fn tables(&mut self, request: &Request) -> Result<()> {
        let instances = self.server().instances().await?;
        let denied = self.server().denied_columns().await?;
        let retention = self.server().retention().await?;
        match retention {
            Some(kept) => {
                self.diagnosis.ok("retention", format!("changes are kept for {}", span(kept)));
            }
            None => self.diagnosis.ok("retention", "this login may not see the setting; what is kept tells"),
        }
        let tables = tracked(&self.sqlserver.feed, instances);
        let selected = request.select_by(&tables, Tracked::full_name)?;
        if selected.is_empty() {
            self.diagnosis.warning(
                "tables",
                "no table is tracked that this login may see",
                "enable tables with sys.sp_cdc_enable_table, and grant the login SELECT on them",
            );
        }
        let keeping = Keeping { now: self.database.now, retention, times: Default::default() };
        let mut places = places(&tables, &self.database.name, self.sqlserver.feed.schema_in_path);
        for table in selected {
            let Some(place) = places.remove(&table.full_name()) else { continue };
            if let Err(error) = Box::pin(self.table(table, place, &denied, keeping.clone())).await {
                self.diagnosis.fault(table.full_name(), &error);
            }
        }
        Ok(())
    }

    async fn table(
        &mut self,
        table: &Tracked,
        place: Result<Place>,
        denied: &[(i32, String)],
        keeping: Keeping,
    ) -> Result<()> {
        let name = table.full_name();
        if table.is_untracked() {
            return Err(faults::not_tracked(&table.schema, &table.name, table.near.clone()));
        }
        if table.instances.is_empty() {
            return self.not_started(name, table);
        }
        for instance in &table.instances {
            self.changes(&name, instance).await?;
        }
        self.columns(&name, table, denied);
        self.headroom(table, &place?, keeping).await
    }

    /// The capture job has not come to the table's instance: as in a run, that is a fault once it lasts.
    fn not_started(&mut self, name: String, table: &Tracked) -> Result<()> {
        let waited =
            table.since().and_then(|since| (self.database.local_now - since).to_std().ok()).unwrap_or_default();
        if self.sqlserver.feed.not_ready_after.is_some_and(|limit| waited > limit) {
            return Err(faults::not_started(&name, waited));
        }
        self.diagnosis.warning(
            name,
            format!("the capture job has not come to the start of the capture instance yet, for {}", span(waited)),
            "wait a moment, or start SQL Server Agent",
        );
        Ok(())
    }

    /// Asks for the changes of one commit: what a run needs, it needs as well.
    async fn changes(&mut self, name: &str, instance: &CaptureInstance) -> Result<()> {
        let low = self.server().min_lsn(instance).await?.ok_or_else(|| faults::unreadable(instance))?;
        if low <= self.fence {
            let range = LsnRange { from: self.fence, to: self.fence };
            let mut enough = |_| Ok(ControlFlow::Break(()));
            self.server().changes(instance, range, Images::After, &mut enough).await?;
        }
        let subject = format!("{name}: changes");
        match instance.grade {
            OrderGrade::Command => {
                self.diagnosis.ok(subject, format!("`{}` can be read, in full order", instance.name));
            }
            OrderGrade::Sequence => self.diagnosis.warning(
                subject,
                format!("`{}` can be read, but the order within a transaction is not fully known", instance.name),
                "grant the login SELECT on schema cdc; a server without `__$command_id` needs an update",
            ),
        }
        Ok(())
    }

    fn columns(&mut self, name: &str, table: &Tracked, denied: &[(i32, String)]) {
        let Some(newest) = table.newest() else { return };
        let denied: Vec<&str> =
            denied.iter().filter(|(id, _)| *id == newest.object_id).map(|(_, column)| column.as_str()).collect();
        let subject = format!("{name}: source columns");
        if denied.is_empty() {
            self.diagnosis.ok(subject, "all captured ones can be read");
        } else {
            self.diagnosis.fault(subject, &not_granted(table, &denied));
        }
        let subject = format!("{name}: captured columns");
        let instances: Vec<&CaptureInstance> = table.instances.iter().collect();
        match faults::uncaptured(&instances) {
            None => self.diagnosis.ok(subject, "all of the table"),
            Some(advice) => match advice.split_once("; ") {
                Some((found, fix)) => self.diagnosis.warning(subject, found, fix),
                None => self.diagnosis.warning(subject, advice, "make another capture instance"),
            },
        }
    }

    async fn headroom(&mut self, table: &Tracked, place: &Place, mut keeping: Keeping) -> Result<()> {
        let name = &table.full_name();
        let Some(read) = self.position(place).await? else {
            self.diagnosis.ok(format!("{name}: retention"), "no run has read it yet");
            return Ok(());
        };
        let Moment(position, kept_time) = read;
        let serving = turn(&table.instances, position, self.fence).map(|turn| turn.instance);
        let Some(low) = serving.or(table.instances.first()).and_then(|instance| instance.start_lsn) else {
            return Ok(());
        };
        let lsns = [position, low];
        let times = self.server().commit_times(&lsns).await?;
        keeping.times = lsns.into_iter().zip(times).filter_map(|(lsn, time)| Some((lsn, time?))).collect();
        let moment = |lsn| Moment::known(lsn, keeping.times.get(&lsn).copied());
        // The server forgets the time of a commit with its changes; the state keeps it.
        let read = Moment(position, kept_time.or(moment(position).1));
        if position.next() < low {
            return Err(faults::lost(name, read, moment(low)));
        }
        let subject = format!("{name}: retention");
        match keeping.headroom(position, low) {
            None => self.diagnosis.ok(subject, format!("read up to {read}, within what is kept")),
            Some(left) if left < LEAST_HEADROOM => self.diagnosis.warning(
                subject,
                format!("read up to {read}: the clean-up job may remove unread changes {}", when(left)),
                "run now, and more often; or keep more with `EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = …`",
            ),
            Some(left) => {
                let left = span(left.to_std().unwrap_or_default());
                self.diagnosis.ok(subject, format!("read up to {read}: {left} of headroom"));
            }
        }
        Ok(())
    }

    /// How far the lake says that the table was read, with the time of that commit.
    async fn position(&self, place: &Place) -> Result<Option<Moment>> {
        let Some((bytes, _)) = read_all(self.store, place.state(), STATE_LIMIT).await? else { return Ok(None) };
        let head: Option<Head> = State::parse(&bytes, place.state())?.head;
        Ok(head.and_then(|head| {
            let time = head.captured.as_ref().and_then(|captured| captured.position_time);
            Some(Moment(head.position.as_ref().and_then(Position::lsn)?, time))
        }))
    }
}

/// How soon something may happen.
fn when(left: TimeDelta) -> String {
    left.to_std().map_or_else(|_| "at any moment".to_owned(), |left| format!("in {}", span(left)))
}

fn not_granted(table: &Tracked, denied: &[&str]) -> Error {
    let columns: Vec<String> = denied.iter().map(|column| format!("`{column}`")).collect();
    Error::config(
        "SqlServerDenied",
        format!("table `{}`: this login may not read {}", table.full_name(), columns.join(", ")),
    )
    .hint(format!(
        "run `GRANT SELECT ON [{}].[{}] TO [user]` for the login's user",
        bracketed(&table.schema),
        bracketed(&table.name)
    ))
}
