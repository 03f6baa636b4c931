//! Sources: where snapshots, or changes, come from. They are a closed set. Those of snapshots end in the same value, an
//! [`Archive`]; a database that captures its changes gives these.

mod ahead;
pub mod archive;
pub(crate) mod foreign;
mod inflate;
pub mod kaggle;
pub mod sqlserver;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::archive::Archive;
use self::kaggle::{Awaited, Dataset, Kaggle, Wanted};
use self::sqlserver::{Lsn, SqlServer};
pub use crate::config::Limits;
use crate::error::{Error, Result};
use crate::position::Position;
use crate::request::Deadline;
use crate::table::FileChoice;
use crate::workspace::Workspace;

/// Receives the bytes so far and, where it is known, their number in all.
pub type DownloadProgress<'a> = &'a (dyn Fn(u64, Option<u64>) + Send + Sync);

/// A source of snapshots.
#[derive(Clone, Debug)]
pub enum Source {
    /// A dataset of Kaggle.
    Kaggle {
        /// The client, shared by all runs of a container.
        client: Arc<Kaggle>,
        /// The dataset.
        dataset: Dataset,
        /// What an archive may unpack to.
        limits: Limits,
        /// The version to read; the newest if none is named.
        version: Option<u64>,
        /// After how long a new version counts as one that does not get ready; `None` for never.
        not_ready_after: Option<Duration>,
    },
    /// Files that are at hand already.
    Local {
        /// Where they are, as the user wrote it.
        name: String,
        /// The files.
        archive: Archive,
        /// Their digest.
        position: Position,
    },
    /// A database that captures its changes.
    SqlServer(SqlServer),
}

impl Source {
    /// A zip archive, a folder or one table's file of this machine. Reads all of it once, for its digest.
    pub fn local(path: &Path, limits: Limits) -> Result<Self> {
        let archive = Archive::open(path, limits)?;
        let position = archive.digest()?;
        Ok(Self::Local { name: path.display().to_string(), archive, position })
    }

    /// The same source, of which one version is read if it has versions.
    #[must_use]
    pub fn at(&self, version: u64) -> Self {
        match self.clone() {
            Self::Kaggle { client, dataset, limits, not_ready_after, .. } => {
                Self::Kaggle { client, dataset, limits, version: Some(version), not_ready_after }
            }
            other => other,
        }
    }

    /// The same source, which may take so long to prepare a version; `None` for ever.
    #[must_use]
    pub fn with_patience(mut self, patience: Option<Duration>) -> Self {
        if let Self::Kaggle { not_ready_after, .. } = &mut self {
            *not_ready_after = patience;
        }
        self
    }

    /// How long it may take to prepare a version.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match self {
            Self::Kaggle { not_ready_after, .. } => *not_ready_after,
            Self::Local { .. } | Self::SqlServer(_) => None,
        }
    }

    /// What is known of the newest version, which is not ready. Costs one API call.
    pub(crate) async fn awaited(&self, deadline: Deadline) -> Result<Option<Awaited>> {
        match self {
            Self::Kaggle { client, dataset, .. } => client.awaited(dataset, deadline).await,
            Self::Local { .. } | Self::SqlServer(_) => Ok(None),
        }
    }

    /// `kaggle`, `local` or `sqlserver`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kaggle { .. } => "kaggle",
            Self::Local { .. } => "local",
            Self::SqlServer(_) => "sqlserver",
        }
    }

    /// The dataset, where the files are, or the database.
    pub fn name(&self) -> String {
        match self {
            Self::Kaggle { dataset, .. } => dataset.to_string(),
            Self::Local { name, .. } => name.clone(),
            Self::SqlServer(sqlserver) => sqlserver.database.clone(),
        }
    }

    /// What the lake knows the source by; `None` for files, which may be moved, or be what another source has published.
    pub fn identity(&self) -> Option<String> {
        match self {
            Self::Kaggle { dataset, .. } => Some(format!("kaggle:{dataset}")),
            Self::Local { .. } | Self::SqlServer(_) => None,
        }
    }

    /// The position to read: that of the version that is named, or else the newest.
    pub async fn position(&self, deadline: Deadline) -> Result<Position> {
        match self {
            Self::Kaggle { version: Some(version), .. } => Ok(Position::Version(*version)),
            _ => self.newest(deadline).await,
        }
    }

    /// The newest position. Costs one API call.
    pub async fn newest(&self, deadline: Deadline) -> Result<Position> {
        match self {
            Self::Kaggle { client, dataset, .. } => {
                Ok(Position::Version(client.current_version(dataset, deadline).await?))
            }
            Self::Local { position, .. } => Ok(position.clone()),
            Self::SqlServer(sqlserver) => Ok(Position::Lsn(sqlserver.server.max_lsn().await?.unwrap_or(Lsn::ZERO))),
        }
    }

    /// So much of the snapshot at `position` as the table of `choice` takes; all of it where the source has no smaller part.
    pub async fn snapshot_of<'a>(
        &self,
        choice: impl Into<FileChoice<'a>>,
        position: &Position,
        workspace: &Workspace,
        deadline: Deadline,
        progress: DownloadProgress<'_>,
    ) -> Result<Archive> {
        let choice = choice.into();
        match (self, position) {
            (Self::Kaggle { client, dataset, limits, .. }, Position::Version(version)) => {
                let wanted = Wanted { dataset, version: *version, choice, into: workspace.path(), limits: *limits };
                client.member(&wanted, deadline, progress).await
            }
            _ => self.snapshot(position, workspace, deadline, progress).await,
        }
    }

    /// The snapshot at `position`, in the work folder.
    pub async fn snapshot(
        &self,
        position: &Position,
        workspace: &Workspace,
        deadline: Deadline,
        progress: DownloadProgress<'_>,
    ) -> Result<Archive> {
        match (self, position) {
            (Self::Kaggle { client, dataset, limits, .. }, Position::Version(version)) => {
                let download = client.download(dataset, *version, workspace.path(), deadline, progress).await?;
                Archive::open(&download.path, *limits)
            }
            (Self::Local { archive, position: here, .. }, wanted) if here == wanted => Ok(archive.clone()),
            _ => Err(Error::conflict(
                "OtherData",
                "an earlier attempt of this run worked on other data than are here now",
            )
            .hint("run again with a new run time once its claim has expired")),
        }
    }
}
