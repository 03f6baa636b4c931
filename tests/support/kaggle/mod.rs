//! A stand-in for Kaggle: its API and, on another port, the object store that its downloads redirect to.
//!
//! Real HTTP on loopback, faithful to what the real service was seen to do: Basic and Bearer credentials, pinned versions,
//! signed links that expire, `ETag`, `x-goog-hash`, `Range` with `If-Range`, a store that answers 400 to a request with an
//! `Authorization` header. Faults are scripted per endpoint, first in, first out; every request is kept for asserts.
//! Nothing here reads a clock: links, tags and dates are the same in every run.

mod api;
mod control;
mod fault;
mod http;
mod storage;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) use self::fault::{Drip, Fault, Hashes};

/// The three things a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Endpoint {
    /// The version check.
    GetDataset,
    /// The redirect to an archive.
    DownloadDataset,
    /// The archive itself.
    Storage,
}

/// What the API accepts in `Authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// Anything, also nothing: a public dataset.
    Anyone,
    /// `Bearer` with this token.
    Token(String),
    /// `Basic` with this user name and key.
    Legacy(String, String),
}

/// One request as it came in.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Seen {
    /// What was asked for; `None` for anything else.
    pub(crate) endpoint: Option<Endpoint>,
    /// The method's name.
    pub(crate) method: String,
    /// The path without the query.
    pub(crate) path: String,
    /// The headers, names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The JSON input of an API call.
    pub(crate) input: serde_json::Value,
}

impl Seen {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// The running servers; they stop when this is dropped.
pub(crate) struct StandIn {
    api: SocketAddr,
    storage: SocketAddr,
    shared: Arc<Shared>,
    servers: Vec<JoinHandle<()>>,
}

impl StandIn {
    /// Starts both servers on free loopback ports. `dataset` is `owner/slug`; it has no version yet.
    pub(crate) async fn start(dataset: &str) -> io::Result<Self> {
        Self::listen(dataset, "127.0.0.1:0").await
    }

    /// As [`Self::start`], with the API at `address`.
    pub(crate) async fn listen(dataset: &str, address: &str) -> io::Result<Self> {
        let (api, storage) = (TcpListener::bind(address).await?, TcpListener::bind("127.0.0.1:0").await?);
        let (api_address, storage_address) = (api.local_addr()?, storage.local_addr()?);
        let shared = Arc::new(Shared { storage: storage_address, state: Mutex::new(State::new(dataset)) });
        let servers = vec![
            tokio::spawn(http::serve(api, Arc::clone(&shared), api::answer)),
            tokio::spawn(http::serve(storage, Arc::clone(&shared), storage::answer)),
        ];
        Ok(Self { api: api_address, storage: storage_address, shared, servers })
    }

    /// The API's base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// The object store's base URL.
    pub(crate) fn storage_url(&self) -> String {
        format!("http://{}", self.storage)
    }

    /// Puts an archive there and makes its version the current one.
    pub(crate) fn publish(&self, version: u64, archive: impl Into<Bytes>) {
        self.stage(version, archive);
        self.announce(version);
    }

    /// Puts an archive there; the current version stays.
    pub(crate) fn stage(&self, version: u64, archive: impl Into<Bytes>) {
        self.shared.state().archives.insert(version, archive.into());
    }

    /// Makes a version the current one, whether its archive is there or not.
    pub(crate) fn announce(&self, version: u64) {
        self.shared.state().current = version;
    }

    /// Takes an archive away, as an owner does who deletes an old version.
    pub(crate) fn remove(&self, version: u64) {
        self.shared.state().archives.remove(&version);
    }

    /// Sets what `GetDataset` tells as the status of a version.
    pub(crate) fn set_status(&self, version: u64, status: &str) {
        self.shared.state().statuses.insert(version, status.to_owned());
    }

    /// Lists no version from now on, as some answers do.
    pub(crate) fn hide_versions(&self) {
        self.shared.state().unlisted = true;
    }

    /// Lists the versions again.
    pub(crate) fn show_versions(&self) {
        self.shared.state().unlisted = false;
    }

    /// Sets the credentials that the API takes from now on.
    pub(crate) fn set_credentials(&self, accepted: Accepted) {
        self.shared.state().accepted = accepted;
    }

    /// Makes every signed link given out so far expire.
    pub(crate) fn expire_links(&self) {
        self.shared.state().expire_links();
    }

    /// Adds a fault for one request of `endpoint`, after those that are already waiting.
    pub(crate) fn fault(&self, endpoint: Endpoint, fault: Fault) {
        self.shared.state().faults.entry(endpoint).or_default().push_back(fault);
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.shared.state().requests.clone()
    }

    /// The requests so far for one endpoint.
    pub(crate) fn requests_for(&self, endpoint: Endpoint) -> Vec<Seen> {
        self.requests().into_iter().filter(|seen| seen.endpoint == Some(endpoint)).collect()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

/// What both servers work on.
struct Shared {
    storage: SocketAddr,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    dataset: String,
    current: u64,
    archives: BTreeMap<u64, Bytes>,
    statuses: BTreeMap<u64, String>,
    unlisted: bool,
    accepted: Accepted,
    faults: BTreeMap<Endpoint, VecDeque<Fault>>,
    requests: Vec<Seen>,
    links: u64,
    expired: u64,
}

impl State {
    fn new(dataset: &str) -> Self {
        Self {
            dataset: dataset.to_owned(),
            current: 0,
            archives: BTreeMap::new(),
            statuses: BTreeMap::new(),
            unlisted: false,
            accepted: Accepted::Anyone,
            faults: BTreeMap::new(),
            requests: Vec::new(),
            links: 0,
            expired: 0,
        }
    }

    fn expire_links(&mut self) {
        self.expired = self.links;
    }

    /// The fault scripted for this request; the default one changes nothing.
    fn next_fault(&mut self, endpoint: Endpoint) -> Fault {
        self.faults.get_mut(&endpoint).and_then(VecDeque::pop_front).unwrap_or_default()
    }
}
