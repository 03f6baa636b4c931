//! Every error of this client, in one place: its kind, its code, what the operator does.

use std::path::Path;
use std::time::Duration;

use reqwest::StatusCode;

use crate::config::Dataset;
use crate::error::Error;
use crate::ops::figures::span;
use crate::source::foreign::Foreign;

pub(super) fn endpoint(problem: &str) -> Error {
    Error::config("KaggleEndpoint", format!("the address of Kaggle's API {problem}"))
        .hint("KAGGLE_API_ENDPOINT is scheme, host and port only, such as https://api.kaggle.com")
}

pub(super) fn dataset_not_found(dataset: &Dataset) -> Error {
    Error::config(
        "DatasetNotFound",
        format!("Kaggle has no dataset {dataset}, or does not show it to these credentials"),
    )
    .hint(
        "compare dataset_name with the address of the dataset's page; a private dataset needs its owner's credentials",
    )
}

pub(super) fn version_not_ready(dataset: &Dataset, version: u64, status: &str) -> Error {
    let message = format!("version {version} of {dataset} exists, but its files are not there yet ({status})");
    Error::transient("VersionNotReady", message).hint("Kaggle is still preparing it; the next run picks it up")
}

/// The fault of a version that is not ready, once that has lasted for too long.
pub(crate) fn version_overdue(not_ready: &Error, waited: Duration) -> Error {
    Error::data("VersionOverdue", format!("{not_ready}: for {} now", span(waited))).hint(
        "look at the dataset's page: where Kaggle is stuck, its owner has to publish another version. The lake keeps the one \
         before; `source.not_ready_after_minutes` says how long this is no failure",
    )
}

pub(super) fn version_failed(dataset: &Dataset, version: u64, status: &str) -> Error {
    Error::data("VersionFailed", format!("Kaggle could not prepare version {version} of {dataset} ({status})")).hint(
        "it does not become ready by waiting: its owner has to publish another version; the lake keeps the one before",
    )
}

pub(super) fn version_deleted(dataset: &Dataset, version: u64, status: &str) -> Error {
    let message = format!("version {version} of {dataset} is the current one, and was deleted ({status})");
    Error::data("VersionDeleted", message)
        .hint("look at the dataset's page: its owner has to publish another version; the lake keeps the one before")
}

pub(super) fn version_gone(dataset: &Dataset, version: u64, current: u64) -> Error {
    Error::data("VersionGone", format!("version {version} of {dataset} is no longer there (current: {current})"))
        .hint("its owner deleted it; only versions that still exist can be fetched")
}

pub(super) fn unauthorized(dataset: &Dataset, words: &str) -> Error {
    Error::config("KaggleUnauthorized", format!("Kaggle refused the credentials for {dataset} (401{words})")).hint(
        "make a new API token on kaggle.com/settings and put it where this program reads it (KAGGLE_SECRET_ID, …)",
    )
}

pub(super) fn unusable_credentials() -> Error {
    Error::config("KaggleUnauthorized", "the Kaggle credentials hold characters that cannot be sent")
        .hint("store the token or key again, without line breaks inside it")
}

pub(super) fn forbidden(dataset: &Dataset, words: &str) -> Error {
    Error::config("KaggleForbidden", format!("Kaggle does not let these credentials use {dataset} (403{words})"))
        .hint(format!("sign in, open https://www.kaggle.com/datasets/{dataset} and accept what it asks for"))
}

pub(super) fn throttled(place: &str) -> Error {
    Error::transient("KaggleThrottled", format!("{place} asks for fewer requests (429)"))
        .hint("run less often, or wait: Kaggle does not publish its limits")
}

pub(super) fn unavailable(place: &str, problem: &str) -> Error {
    Error::transient("KaggleUnavailable", format!("{place} {problem}"))
        .hint("a passing fault: the next run tries again")
}

pub(super) fn unavailable_status(place: &str, status: StatusCode, words: &str) -> Error {
    unavailable(place, &format!("answered {}{words}", status.as_u16()))
}

/// A fault of the network. The cause is kept without its address, which may be a signed link.
pub(super) fn network(place: &str, error: reqwest::Error) -> Error {
    let problem = if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "broke off the connection"
    };
    unavailable(place, problem).caused_by(error.without_url())
}

/// An answer that this client does not understand.
pub(super) fn answer(place: &str, problem: &str) -> Error {
    Error::transient("KaggleAnswer", format!("{place} {problem}"))
        .hint("often a passing fault or a proxy's page; if it repeats, Kaggle's API has changed")
}

pub(super) fn corrupt(dataset: &Dataset, version: u64, problem: &str) -> Error {
    Error::transient(
        "DownloadCorrupt",
        format!("the archive of {dataset}, version {version}, arrived damaged: {problem}"),
    )
    .hint("a passing fault: the next run fetches it again")
}

/// What a dataset's owner published is no archive that is read.
pub(super) fn foreign(dataset: &Dataset, version: u64, foreign: Foreign) -> Error {
    let message = format!("version {version} of {dataset} is {}, and no zip archive", foreign.what);
    Error::data("DamagedArchive", message).hint(foreign.hint)
}

pub(super) fn disk_full(folder: &Path, needed: u64, free: u64) -> Error {
    let message = format!("the archive needs {needed} bytes in {}, where {free} are free", folder.display());
    Error::config("DiskFull", message).hint(DISK_HINT)
}

/// A fault of the work folder's disk.
pub(super) fn disk(path: &Path, error: std::io::Error) -> Error {
    let at = path.display();
    if matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) {
        Error::config("DiskFull", format!("no space left while writing {at}")).hint(DISK_HINT).caused_by(error)
    } else {
        Error::config("WorkFolder", format!("cannot write {at}"))
            .hint("the work folder must exist and be writable")
            .caused_by(error)
    }
}

const DISK_HINT: &str = "raise EphemeralStorage in template.yaml (the size of /tmp), or free space in the work folder";
