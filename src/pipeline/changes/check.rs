//! Whether what the state says still holds of the database: the same database, the same history, nothing lost between.

use super::table::{Cursor, Table};
use super::{Shared, ask};
use crate::error::{Error, Result};
use crate::lake::capture::Origin;
use crate::position::{Lsn, Position};
use crate::source::sqlserver::CaptureInstance;
use crate::source::sqlserver::faults::{self, Moment};

/// The low end of what is kept of an instance.
pub(super) async fn low_end(shared: &Shared<'_>, instance: &CaptureInstance) -> Result<Lsn> {
    let low = ask(shared.run, || shared.server().min_lsn(instance)).await?;
    low.filter(|low| *low != Lsn::ZERO).ok_or_else(|| faults::unreadable(instance))
}

/// What has become of the database that a state belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kinship {
    Same,
    /// The same by name, in another restore lineage.
    Restored,
    /// Another database, or the same one on a server of which nothing is known.
    Other,
}

/// The restore lineage tells most; the server's name changes with a failover and only counts where there is no other sign.
fn kinship(was: &Origin, now: &Origin) -> Kinship {
    let forks = was.recovery_fork.as_ref().zip(now.recovery_fork.as_ref()).map(|(was, now)| was == now);
    match (was.database == now.database, forks, was.server == now.server) {
        (true, Some(true), _) | (true, None, true) => Kinship::Same,
        (true, Some(false), true) => Kinship::Restored,
        _ => Kinship::Other,
    }
}

impl Table<'_> {
    /// Holds the state against the database. `--force` accepts another lineage or server, and nothing else.
    pub(super) async fn check_history(&self, cursor: &Cursor) -> Result<()> {
        let shared = self.shared;
        let (was, now) = (&cursor.captured.origin, &shared.origin());
        match kinship(was, now) {
            Kinship::Same => {}
            _ if shared.run.request.force && was.database == now.database => {}
            Kinship::Restored => return Err(faults::restored(self.name(), self.position(cursor))),
            Kinship::Other => {
                let [was, now] =
                    [was, now].map(|origin| format!("database `{}` of `{}`", origin.database, origin.server));
                return Err(faults::other_database(self.name(), self.place.state(), &was, &now));
            }
        }
        if self.tracked.is_untracked() {
            return Err(faults::missing(self.name(), &cursor.captured.instance.name, self.position(cursor)));
        }
        if cursor.position > shared.fence {
            let end = ask(shared.run, || shared.server().max_lsn()).await?.unwrap_or(Lsn::ZERO);
            if end == Lsn::ZERO {
                return Err(faults::captured_nothing(self.name(), self.position(cursor)));
            }
            if end < cursor.position {
                return Err(faults::rewound(self.name(), self.position(cursor), shared.moment(end).await));
            }
        }
        self.check_commit_time(cursor).await
    }

    /// The commit that the state stands at must still be in the log, with the time that the state keeps of it.
    async fn check_commit_time(&self, cursor: &Cursor) -> Result<()> {
        let Some(kept) = cursor.captured.position_time else { return Ok(()) };
        match self.shared.time_of(cursor.position).await? {
            Some(time) if time.local == kept => Ok(()),
            Some(_) => Err(faults::other_history(self.name(), self.position(cursor))),
            // The clean-up job removes the times of what it removes; it moves the low ends first.
            None => match self.tracked.instances.first() {
                Some(oldest) if low_end(self.shared, oldest).await? <= cursor.position => {
                    Err(faults::other_history(self.name(), self.position(cursor)))
                }
                _ => Ok(()),
            },
        }
    }

    /// Everything after the position must still be kept.
    pub(super) async fn check_low_end(&self, cursor: &Cursor, instance: &CaptureInstance) -> Result<()> {
        let low = low_end(self.shared, instance).await?;
        if low <= cursor.position.next() {
            return Ok(());
        }
        Err(faults::lost(self.name(), self.position(cursor), self.shared.moment(low).await))
    }

    /// No instance begins early enough for what comes after the position.
    pub(super) async fn uncovered(&self, cursor: &Cursor) -> Error {
        let was = &cursor.captured.instance;
        let position = self.position(cursor);
        let Some(oldest) = self.tracked.instances.first() else {
            return faults::missing(self.name(), &was.name, position);
        };
        if self.tracked.instances.iter().any(|instance| instance.object_id == was.object_id) {
            let low = self.shared.moment(oldest.start_lsn.unwrap_or(Lsn::ZERO)).await;
            return faults::lost(self.name(), position, low);
        }
        faults::recreated(self.name(), &was.name, oldest, position)
    }

    /// The table itself is another one than the state's.
    pub(super) fn replaced(&self, cursor: &Cursor, instance: &CaptureInstance) -> Error {
        faults::recreated(self.name(), &cursor.captured.instance.name, instance, self.position(cursor))
    }

    /// An answer that the range or the instance is not there says little by itself: what is kept tells more.
    pub(super) async fn classified(&self, cursor: &Cursor, instance: &CaptureInstance, error: Error) -> Error {
        if !matches!(error.code(), "PositionOutOfRange" | "InstanceMissing") {
            return error;
        }
        match self.check_low_end(cursor, instance).await {
            Err(found) if error.code() == "PositionOutOfRange" || found.code() == "ChangesLost" => found,
            _ if error.code() == "InstanceMissing" => {
                faults::missing(self.name(), &instance.name, self.position(cursor)).caused_by(error)
            }
            _ => error,
        }
    }

    /// A claim of ours ends where no instance can be read to any more: it is left to expire.
    pub(super) fn claim_outdated(&self, cursor: &Cursor) -> Error {
        Error::conflict(
            "ClaimOutdated",
            format!(
                "an earlier attempt of this run was to read `{}` after {} further than can be read now",
                self.name(),
                cursor.position
            ),
        )
        .hint("run again with a new run time once its claim has expired")
    }

    pub(super) fn position(&self, cursor: &Cursor) -> Moment {
        Moment(cursor.position, cursor.captured.position_time)
    }

    pub(super) fn not_tracked(&self) -> Error {
        let Table { tracked, .. } = self;
        faults::not_tracked(&tracked.schema, &tracked.name, tracked.near.clone())
    }

    /// The end of the range that a claim of ours names.
    pub(super) fn claimed(&self, claim: &crate::lake::state::Claim) -> Result<Lsn> {
        claim.position.as_ref().and_then(Position::lsn).ok_or_else(|| {
            Error::internal("StateGarbled", format!("the claim in `{}` names no place in a log", self.place.state()))
                .hint("restore the state's previous version")
        })
    }

    /// What an administrator should do about the capture instances.
    pub(super) fn advise(&mut self, cursor: &Cursor) {
        let instances: Vec<&CaptureInstance> = self.tracked.instances.iter().collect();
        self.report.warnings.extend(faults::uncaptured(&instances));
        if let [old, new] = instances[..]
            && new.start_lsn.is_some_and(|start| start <= cursor.position.next())
        {
            self.report.warnings.push(faults::superseded(old));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lineage_tells_more_than_the_name_of_the_server() {
        let origin = |server: &str, database: &str, fork: Option<&str>| Origin {
            server: server.to_owned(),
            database: database.to_owned(),
            recovery_fork: fork.map(str::to_owned),
        };
        let was = origin("a", "shop", Some("1"));
        let cases = [
            (origin("a", "shop", Some("1")), Kinship::Same),
            (origin("b", "shop", Some("1")), Kinship::Same),
            (origin("a", "shop", None), Kinship::Same),
            (origin("b", "shop", None), Kinship::Other),
            (origin("a", "shop", Some("2")), Kinship::Restored),
            (origin("b", "shop", Some("2")), Kinship::Other),
            (origin("a", "Shop", Some("1")), Kinship::Other),
        ];
        for (now, expected) in cases {
            assert_eq!(kinship(&was, &now), expected, "{now:?}");
        }
    }
}
