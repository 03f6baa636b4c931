//! A run over a database that captures its changes: one fence for all tables, and for each the windows up to it.

mod check;
mod load;
mod measure;
mod record;
mod start;
mod table;
mod window;

use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::planned::plan_of;
use super::{Asked, Plan, Run, report};
use crate::error::{Error, Result};
use crate::lake::capture::{self, CapturedTable, Origin, name_of_state};
use crate::lake::layout::{Place, RunTime, STATES, is_state};
use crate::lake::log::AT_ONCE;
use crate::places::{place, places};
use crate::position::{Lsn, Position};
use crate::report::{Report, RunStatus, TableReport};
use crate::request::Request;
use crate::retry::{Pauses, retried};
use crate::source::sqlserver::faults::{self, Moment};
use crate::source::sqlserver::instances::{Tracked, tracked};
use crate::source::sqlserver::{CommitTime, Database, Server, SqlServer};
use crate::telemetry::metrics::Measured;

/// How often a question is put to the server before a passing fault of it ends the table.
const ATTEMPTS: u32 = 4;

/// The pause after the first passing fault at the most; it doubles with each try.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The pause beyond which doubling stops.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What the tables of one run share.
struct Shared<'a> {
    run: &'a Run<'a>,
    sqlserver: &'a SqlServer,
    database: Database,
    /// The end of what the run reads, of every table; zero where the capture job has never written.
    fence: Lsn,
    fence_time: Option<CommitTime>,
}

/// Brings the tables to the end of the log that the capture job has read, or to the place in it that was planned.
pub(super) async fn run(asked: &Asked<'_>, sqlserver: &SqlServer) -> Result<Report> {
    let run = asked.run(Position::Lsn(Lsn::ZERO))?;
    let (database, fence, tables) = survey(&run, sqlserver).await?;
    let selected = asked.request.select_by(&tables, Tracked::full_name)?;
    let fence = planned_fence(asked.request, fence)?;
    let shared = Shared::new(&run, sqlserver, database, fence).await?;
    let mut places = places(&tables, &shared.database.name, sqlserver.feed.schema_in_path);
    let mut reports = shared.lost_tables(&tables).await?;
    for table in selected {
        let place =
            places.remove(&table.full_name()).unwrap_or_else(|| Err(Error::internal("NoPlace", "no such table")));
        reports.push(table::run(&shared, table, place).await);
    }
    shared.measure(&tables, &mut reports).await;
    let capture_age_seconds = shared.capture_age();
    let silence_seconds = capture_age_seconds.or_else(|| shared.silence(&tables));
    let at = run.runner(Duration::ZERO).now;
    Measured { database: &shared.database.name, capture_age_seconds: silence_seconds, at }.emit(&reports);
    if asked.request.planned.is_none() {
        shared.look_at_capture_job(&mut reports)?;
    }
    let read_up_to = Some(Position::Lsn(fence)).filter(|_| fence != Lsn::ZERO);
    let report = report(asked.request, asked.source, read_up_to, reports, asked.started);
    let report = Report { capture_age_seconds, ..report };
    run.keep(&report).await;
    Ok(report)
}

/// Says which tables there are, and the one place in the log that all of them are to be brought to.
pub(super) async fn plan(asked: &Asked<'_>, sqlserver: &SqlServer) -> Result<Plan> {
    let run = asked.run(Position::Lsn(Lsn::ZERO))?;
    let (database, fence, tables) = survey(&run, sqlserver).await?;
    let selected = asked.request.select_by(&tables, Tracked::full_name)?;
    let names = selected.into_iter().map(Tracked::full_name).collect();
    let shared = Shared::new(&run, sqlserver, database, fence).await?;
    let lost = shared.lost_tables(&tables).await?;
    let done = report(asked.request, asked.source, Some(Position::Lsn(fence)), lost, asked.started);
    Ok(plan_of(Report { capture_age_seconds: shared.capture_age(), ..done }, names))
}

/// A capture job that stands still fails a run that has found nothing else to say; else it is a warning.
pub(super) fn tell_idle(idle: Error, reports: &mut [TableReport]) -> Result<()> {
    if Report::status_of(reports) == RunStatus::Unchanged {
        return Err(idle);
    }
    for report in reports {
        report.warnings.push(idle.chain());
    }
    Ok(())
}

/// What there is to read: the database, the end of what was captured (zero where nothing ever was), and its tables.
async fn survey(run: &Run<'_>, sqlserver: &SqlServer) -> Result<(Database, Lsn, Vec<Tracked>)> {
    let server = &*sqlserver.server;
    let database = ask(run, || server.database()).await?;
    if !database.cdc_enabled {
        return Err(faults::cdc_disabled(&database));
    }
    let fence = ask(run, || server.max_lsn()).await?;
    let instances = ask(run, || server.instances()).await?;
    Ok((database, fence.unwrap_or(Lsn::ZERO), tracked(&sqlserver.feed, instances)))
}

/// The end of what the run reads, which a plan may have fixed.
fn planned_fence(request: &Request, newest: Lsn) -> Result<Lsn> {
    match request.planned.as_ref() {
        None => Ok(newest),
        Some(Position::Lsn(planned)) if *planned <= newest => Ok(*planned),
        Some(Position::Lsn(planned)) => Err(faults::behind_plan(*planned, newest)),
        Some(other) => {
            Err(Error::config("InvalidEvent", format!("`position` is {other}, not a place in the database's log"))
                .hint("give the position that the plan answered"))
        }
    }
}

/// Puts a question to the server within the run's time, again where a fault may have passed.
async fn ask<T, F: Future<Output = Result<T>>>(run: &Run<'_>, question: impl Fn() -> F) -> Result<T> {
    retried(run.request.deadline, ATTEMPTS, Pauses::new(FIRST_PAUSE, LONGEST_PAUSE), question).await
}

async fn commit_time(run: &Run<'_>, server: &dyn Server, lsn: Lsn) -> Result<Option<CommitTime>> {
    let lsns = [lsn];
    Ok(ask(run, || server.commit_times(&lsns)).await?.into_iter().next().flatten())
}

impl<'a> Shared<'a> {
    async fn new(run: &'a Run<'a>, sqlserver: &'a SqlServer, database: Database, fence: Lsn) -> Result<Self> {
        let fence_time = match fence {
            Lsn::ZERO => None,
            fence => commit_time(run, &*sqlserver.server, fence).await?,
        };
        Ok(Self { run, sqlserver, database, fence, fence_time })
    }
}

impl Shared<'_> {
    fn server(&self) -> &dyn Server {
        &*self.sqlserver.server
    }

    fn origin(&self) -> Origin {
        let Database { server, name, recovery_fork, .. } = &self.database;
        Origin { server: server.clone(), database: name.clone(), recovery_fork: recovery_fork.clone() }
    }

    /// When a place in the log was committed, by the server's clock.
    async fn time_of(&self, lsn: Lsn) -> Result<Option<CommitTime>> {
        if lsn == self.fence {
            return Ok(self.fence_time);
        }
        commit_time(self.run, self.server(), lsn).await
    }

    /// A place in the log for a message; one whose time cannot be had goes without.
    async fn moment(&self, lsn: Lsn) -> Moment {
        Moment::known(lsn, self.time_of(lsn).await.ok().flatten())
    }

    fn place(&self, table: &Tracked) -> Result<Place> {
        place(table, &self.database.name, self.sqlserver.feed.schema_in_path)
    }

    /// Where all tables are read: those that the lake knows of and that the database no longer tracks.
    async fn lost_tables(&self, tables: &[Tracked]) -> Result<Vec<TableReport>> {
        if self.sqlserver.feed.tables.is_some() || self.run.request.tables.is_some() {
            return Ok(Vec::new());
        }
        let known: HashSet<String> =
            tables.iter().filter_map(|table| Some(self.place(table).ok()?.state().to_owned())).collect();
        let states = self.run.within_deadline(self.run.store.list(STATES, None)).await?;
        let unknown = states.into_iter().map(|entry| entry.key).filter(|key| is_state(key) && !known.contains(key));
        let lost = stream::iter(unknown).map(|key| async move { self.lost_table(&key).await }).buffered(AT_ONCE);
        Ok(lost.filter_map(std::future::ready).collect().await)
    }

    /// The report of the table with this state; `None` for one that is not of this database. A state that cannot be read is
    /// a matter of its own table.
    async fn lost_table(&self, key: &str) -> Option<TableReport> {
        let schema_in_path = self.sqlserver.feed.schema_in_path;
        let report = match self.run.within_deadline(capture::table(self.run.store, key, schema_in_path)).await {
            Err(error) => TableReport::failed(name_of_state(key), error),
            Ok(table) => self.missing_table(&table?)?,
        };
        super::table::log(&report, self.run.request.run_at.into());
        Some(report)
    }

    fn missing_table(&self, CapturedTable { head, captured, .. }: &CapturedTable) -> Option<TableReport> {
        if captured.origin.database != self.database.name {
            return None;
        }
        let name = format!("{}.{}", captured.instance.schema, captured.instance.table);
        let position = head.position.as_ref().and_then(Position::lsn).unwrap_or(Lsn::ZERO);
        let error = faults::missing(&name, &captured.instance.name, Moment(position, captured.position_time));
        let committed_before = Some(head.run_at).filter(|run_at| *run_at != RunTime::NEVER);
        Some(TableReport { committed_before, ..TableReport::failed(name, error) })
    }

    fn look_at_capture_job(&self, reports: &mut [TableReport]) -> Result<()> {
        let age = self.fence_time.and_then(|time| (self.database.now - time.utc).to_std().ok());
        match age.filter(|age| self.sqlserver.feed.idle_after.is_some_and(|limit| *age > limit)) {
            Some(age) => tell_idle(faults::idle(Moment::known(self.fence, self.fence_time), age), reports),
            None => Ok(()),
        }
    }
}
