//! The Kaggle client against the stand-in: every fault of the contract.

mod calls;
mod downloads;
mod faulty_downloads;
mod parts;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cdc_to_s3::error::Error;
use cdc_to_s3::request::Deadline;
use cdc_to_s3::secrets::{CredentialCache, KaggleCredentials, Secret};
use cdc_to_s3::source::kaggle::{Archive, Dataset, Kaggle, Settings};
use tempfile::TempDir;

use crate::support::kaggle::{Accepted, Endpoint, Fault, StandIn};

const DATASET: &str = "owner/slug";
const TOKEN: &str = "KGAT_not-for-any-log";

/// A stand-in, a client of it with short time-outs, and a work folder.
struct Rig {
    kaggle: StandIn,
    client: Kaggle,
    folder: TempDir,
}

impl Rig {
    async fn new() -> Self {
        Self::with(settings()).await
    }

    async fn with(settings: Settings) -> Self {
        let kaggle = StandIn::start(DATASET).await.unwrap();
        kaggle.set_credentials(Accepted::Token(TOKEN.to_owned()));
        let client = client(&kaggle.url(), CredentialCache::fixed(token(TOKEN)), settings);
        Self { kaggle, client, folder: tempfile::tempdir().unwrap() }
    }

    fn faults(&self, endpoint: Endpoint, faults: impl IntoIterator<Item = Fault>) {
        faults.into_iter().for_each(|fault| self.kaggle.fault(endpoint, fault));
    }

    async fn current(&self) -> Result<u64, Error> {
        self.client.current_version(&dataset(), Deadline::NONE).await
    }

    async fn download(&self, version: u64) -> Result<Archive, Error> {
        self.client.download(&dataset(), version, self.folder.path(), Deadline::NONE, &|_, _| {}).await
    }

    /// Downloads version 1 and checks that it is exactly `bytes`, and the only file there.
    async fn expect_archive(&self, bytes: &[u8]) -> Archive {
        let archive = self.download(1).await.unwrap();
        assert!(std::fs::read(&archive.path).unwrap() == bytes, "the archive differs from what was published");
        assert_eq!(archive.len, bytes.len() as u64);
        assert_eq!(files(self.folder.path()), ["owner_slug_v1.zip"]);
        archive
    }

    /// Downloads `version`, which must fail with `code`, leave nothing behind and tell no secret.
    async fn expect_failure(&self, version: u64, code: &str) -> Error {
        let error = self.download(version).await.unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
        assert_eq!(files(self.folder.path()), [""; 0]);
        assert_tells_no_secret(&error);
        error
    }

    fn count(&self, endpoint: Endpoint) -> usize {
        self.kaggle.requests_for(endpoint).len()
    }

    /// The `Range` of each storage request so far.
    fn ranges(&self) -> Vec<Option<String>> {
        let seen = self.kaggle.requests_for(Endpoint::Storage);
        seen.iter().map(|seen| seen.header("range").map(str::to_owned)).collect()
    }
}

fn settings() -> Settings {
    Settings {
        connect_timeout: Duration::from_secs(2),
        idle_timeout: Duration::from_millis(400),
        call_timeout: Duration::from_secs(2),
        attempts: 4,
        renewals: 2,
        refetches: 2,
        backoff: Duration::from_millis(4),
        longest_backoff: Duration::from_millis(20),
        longest_wait: Duration::from_secs(5),
        disk_margin: 0,
    }
}

fn client(url: &str, credentials: CredentialCache, settings: Settings) -> Kaggle {
    Kaggle::new(url, Arc::new(credentials), settings).unwrap()
}

fn dataset() -> Dataset {
    DATASET.parse().unwrap()
}

fn token(text: &str) -> KaggleCredentials {
    KaggleCredentials::Token(Secret::new(text))
}

/// Bytes that begin as a zip archive; no two pieces of them are alike.
fn archive(len: usize) -> Vec<u8> {
    let numbers = (0_u64..).flat_map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    b"PK\x03\x04".iter().copied().chain(numbers).take(len).collect()
}

fn status(status: u16) -> Fault {
    Fault { status: Some(status), ..Fault::default() }
}

fn body(text: &str) -> Fault {
    Fault { body: Some(text.to_owned()), ..Fault::default() }
}

fn cut_after(bytes: usize) -> Fault {
    Fault { cut_after: Some(bytes), ..Fault::default() }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn assert_tells_no_secret(error: &Error) {
    let told = format!("{error} {error:?} {} {}", error.chain(), serde_json::to_string(error).unwrap());
    for secret in ["X-Goog", "Signature", "KGAT_", "Bearer", "/kaggle-data-sets/"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}
