//! Kaggle's public API: the version check and the verified download.
//!
//! A run asks [`Kaggle::current_version`] once; only when the number is new does [`Kaggle::download`] fetch the archive of
//! exactly that version. The API answers a download with a redirect to a signed link into an object store. What holds:
//!
//! - An [`Archive`] exists only whole: its length and every hash the store offered have been checked, and it begins as a
//!   zip does. Until then the bytes are in a partial file, which is removed when the download fails or is dropped.
//! - A cut download goes on where it stopped only if the store proves that it is the same object (`If-Range`, a strong
//!   `ETag`, an exact `Content-Range`); in any doubt it starts over. An error's body never reaches the partial file.
//! - Credentials go to the API's own origin and nowhere else. They and the signed links appear in no error and no log.
//! - Everything is bounded: each request by its own time-outs, each retry by a count and by the run's [`Deadline`].

mod answer;
mod api;
mod download;
mod fault;
mod headers;
mod member;
mod object;
mod partial;
mod ranges;
mod retry;
mod verify;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use self::api::Api;
pub(crate) use self::fault::version_overdue;
use super::archive;
pub use crate::config::Dataset;
use crate::config::Limits;
use crate::error::Result;
use crate::position::Position;
use crate::request::Deadline;
use crate::secrets::CredentialCache;
use crate::table::FileChoice;

/// Called with the bytes of the archive there so far (which falls back to fewer when a download starts over) and the
/// length of the whole, where it is known.
pub type Progress<'a> = &'a (dyn Fn(u64, Option<u64>) + Send + Sync);

/// Time-outs and limits. The defaults are meant for production; tests shorten them.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Longest time to establish a connection.
    pub connect_timeout: Duration,
    /// Longest silence while waiting for a response or between two pieces of a body.
    pub idle_timeout: Duration,
    /// Longest time for one API call, answer included. Downloads have no such limit but the deadline.
    pub call_timeout: Duration,
    /// How often one API call, or the fetching of one archive, is tried in all.
    pub attempts: u32,
    /// How often a new signed link is asked for within one download.
    pub renewals: u32,
    /// How often a whole archive is fetched again because its hash was wrong.
    pub refetches: u32,
    /// The first wait between two tries; it doubles with each try.
    pub backoff: Duration,
    /// The wait beyond which doubling stops.
    pub longest_backoff: Duration,
    /// The longest `Retry-After` that is waited for; a longer one ends the run.
    pub longest_wait: Duration,
    /// Bytes of disk that must stay free beside the archive.
    pub disk_margin: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(60),
            attempts: 6,
            renewals: 3,
            refetches: 2,
            backoff: Duration::from_millis(500),
            longest_backoff: Duration::from_secs(30),
            longest_wait: Duration::from_secs(300),
            disk_margin: 16 << 20,
        }
    }
}

/// A version that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Awaited {
    /// Its number.
    pub(crate) version: u64,
    /// When it was made, where it is listed with a time, and is not an old one that is prepared once more.
    pub(crate) made_at: Option<DateTime<Utc>>,
    /// When the dataset was updated last.
    pub(crate) updated_at: Option<DateTime<Utc>>,
}

impl Awaited {
    /// Since when a table waits for the version whose newest commit, if there is one, has this time and position; `None` where
    /// that is not known, or where the table has read the version already. Nobody has waited since before that commit, when
    /// another version was the newest.
    pub(crate) fn since(&self, committed: Option<DateTime<Utc>>, position: Option<&Position>) -> Option<DateTime<Utc>> {
        if position == Some(&Position::Version(self.version)) {
            return None;
        }
        match committed {
            Some(committed) => self.made_at.or(self.updated_at).map(|made_at| made_at.max(committed)),
            None => self.made_at,
        }
    }
}

/// One version of a dataset, as the API lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// Its number, from 1; numbers may be missing, because old versions can be deleted.
    pub number: u64,
    /// When it was made; `None` when the API does not say or says it unreadably.
    pub created: Option<DateTime<Utc>>,
    /// What its author wrote about it.
    pub notes: String,
    /// Whether its files can be downloaded, as far as the API says.
    pub ready: bool,
}

impl VersionInfo {
    /// A version of which the API says nothing.
    fn unlisted(number: u64) -> Self {
        Self { number, created: None, notes: String::new(), ready: true }
    }
}

/// A complete, verified zip archive in the run's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Where it is. It belongs to the caller from now on.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
    /// The object store's tag of it, as sent, quotes included.
    pub etag: Option<String>,
}

/// One table of one version, and where its bytes are to be put.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The dataset.
    pub dataset: &'a Dataset,
    /// The number of its version.
    pub version: u64,
    /// The table and its files.
    pub choice: FileChoice<'a>,
    /// The folder for what is fetched.
    pub into: &'a Path,
    /// What a member may unpack to.
    pub limits: Limits,
}

/// The client. Made once per container: it keeps its connections and its credentials.
pub struct Kaggle {
    api: Api,
}

impl Kaggle {
    /// A client of the API at `endpoint` (scheme, host, port; [`DEFAULT_KAGGLE_ENDPOINT`](crate::config::DEFAULT_KAGGLE_ENDPOINT)).
    ///
    /// # Errors
    /// `KaggleEndpoint` (kind `Config`) when `endpoint` is no plain http or https address.
    pub fn new(endpoint: &str, credentials: Arc<CredentialCache>, settings: Settings) -> Result<Self> {
        Ok(Self { api: Api::new(endpoint, credentials, settings)? })
    }

    /// The number of the dataset's current version, by one API call (`GetDataset`).
    ///
    /// # Errors
    /// `VersionNotReady` (kind `Transient`) when the API says that this version is still being prepared; `VersionFailed` and
    /// `VersionDeleted` (kind `Data`) when it says that the version never will be, or no longer is;
    /// `DatasetNotFound`, `KaggleUnauthorized`, `KaggleForbidden` (kind `Config`); `KaggleThrottled`,
    /// `KaggleUnavailable`, `KaggleAnswer` (kind `Transient`).
    pub async fn current_version(&self, dataset: &Dataset, deadline: Deadline) -> Result<u64> {
        let info = deadline.bound(self.api.dataset(dataset, deadline)).await?;
        let number = info.current(dataset)?;
        match info.obstacle(dataset, number) {
            Some(obstacle) => Err(obstacle),
            None => Ok(number),
        }
    }

    /// What is known of the dataset's current version, which is not ready.
    ///
    /// # Errors
    /// Those of [`Self::versions`].
    pub(crate) async fn awaited(&self, dataset: &Dataset, deadline: Deadline) -> Result<Option<Awaited>> {
        Ok(deadline.bound(self.api.dataset(dataset, deadline)).await?.awaited())
    }

    /// The versions that the API lists, newest first; or every number up to the current one where it lists none. Some of them
    /// may be gone.
    ///
    /// # Errors
    /// Those of [`Self::current_version`], but for `VersionNotReady`, `VersionFailed` and `VersionDeleted`.
    pub async fn versions(&self, dataset: &Dataset, deadline: Deadline) -> Result<Vec<VersionInfo>> {
        Ok(deadline.bound(self.api.dataset(dataset, deadline)).await?.versions())
    }

    /// Fetches the archive of one version into the folder `into`.
    ///
    /// # Errors
    /// Beside those of [`Self::current_version`]: `VersionNotReady` when the current version's archive is not there yet,
    /// `VersionGone` (kind `Data`) when an older one is not there, `DownloadCorrupt` (kind `Transient`) when the hashes
    /// stay wrong, `DiskFull` and `WorkFolder` (kind `Config`). Nothing is left in `into` then.
    pub async fn download(
        &self,
        dataset: &Dataset,
        version: u64,
        into: &Path,
        deadline: Deadline,
        progress: Progress<'_>,
    ) -> Result<Archive> {
        deadline.bound(download::fetch(&self.api, dataset, version, into, deadline, progress)).await
    }

    /// Fetches so much of an archive as reading one table takes; all of it where the store sends no parts, or where something
    /// about the archive is out of the ordinary.
    ///
    /// # Errors
    /// Those of [`Self::download`]. That the table has no file is told by who reads the archive.
    pub async fn member(
        &self,
        wanted: &Wanted<'_>,
        deadline: Deadline,
        progress: Progress<'_>,
    ) -> Result<archive::Archive> {
        if let Some(archive) = deadline.bound(member::fetch(&self.api, wanted, deadline, progress)).await? {
            return Ok(archive);
        }
        let download = self.download(wanted.dataset, wanted.version, wanted.into, deadline, progress).await?;
        archive::Archive::open(&download.path, wanted.limits)
    }
}

impl fmt::Debug for Kaggle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kaggle").field("endpoint", &self.api.origin()).finish_non_exhaustive()
    }
}
