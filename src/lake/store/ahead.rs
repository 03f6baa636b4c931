//! Contents on their way into a store ahead of the [`put`](super::ObjectStore::put) that makes objects of them.
//!
//! A file is followed while it is being written: S3 takes its parts as they come, a folder has it staged on the disk. Nothing
//! of that is visible, and nothing depends on it: [`put`](super::ObjectStore::put) takes the file itself where the work ahead
//! was not begun, has failed, or has been used up by a `put` whose condition did not hold.
//!
//! Nothing is done before [`Stages::go`]: until a change is known, the files may turn out not to be wanted, and what was sent of
//! them would have been sent for nothing.
//!
//! The work ends with the last clone of its [`Ahead`], which removes what was not put: an upload is aborted, a temporary file
//! removed. [`Stages::open`] gives the means to wait for that.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Condition, ObjectStore, Put};
use crate::error::Result;
use crate::workspace::WorkFile;

/// How a store works ahead: the work for one object, to be spawned.
pub type Stager = Arc<dyn Fn(Task) -> BoxFuture<'static, ()> + Send + Sync>;

/// What the work for one object is given.
pub struct Task {
    pub(super) key: String,
    pub(super) file: GrowingFile,
    pub(super) order: oneshot::Receiver<Order>,
    /// Resolves when nobody can give the order any more.
    pub(super) abandoned: oneshot::Receiver<Infallible>,
}

/// The order to make the object visible, given when the file is complete. Who can not do it drops it.
pub(super) struct Order {
    pub(super) condition: Condition,
    pub(super) answer: oneshot::Sender<Result<Put>>,
}

/// A file that is being written, for those who follow it.
#[derive(Clone, Debug)]
pub(super) struct GrowingFile {
    pub(super) path: WorkFile,
    extent: watch::Receiver<Extent>,
}

/// How far a file has been written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// Bytes in the file, which stay as they are.
    pub(super) len: u64,
    /// Whether there will be no more.
    pub(super) complete: bool,
}

impl GrowingFile {
    /// Waits until the file has `len` bytes or is complete; `None` when it never will be.
    pub(super) async fn reaches(&mut self, len: u64) -> Option<Extent> {
        self.extent.wait_for(|extent| extent.complete || extent.len >= len).await.ok().map(|extent| *extent)
    }

    /// Waits until the file is complete, and gives its length in bytes.
    pub(super) async fn completed(&mut self) -> Option<u64> {
        self.reaches(u64::MAX).await.map(|extent| extent.len)
    }
}

/// Tells those who follow a file how it grows. Dropped before [`Growth::complete`], it tells them that it never will be.
#[derive(Debug)]
pub struct Growth(watch::Sender<Extent>);

impl Growth {
    /// So many more bytes are in the file, readable by all.
    pub fn grow(&self, bytes: usize) {
        self.0.send_modify(|extent| extent.len += bytes as u64);
    }

    /// The file is complete.
    pub fn complete(self) {
        self.0.send_modify(|extent| extent.complete = true);
    }
}

/// The work ahead for one object.
#[derive(Clone)]
pub struct Ahead(Arc<Inner>);

struct Inner {
    key: String,
    order: Mutex<Option<oneshot::Sender<Order>>>,
    wanted: Arc<watch::Sender<bool>>,
    _owners: [oneshot::Sender<Infallible>; 2],
}

impl Ahead {
    /// Makes the object visible if `condition` holds; `None` where the file itself is to be stored.
    pub(super) async fn put(&self, key: &str, condition: &Condition) -> Option<Result<Put>> {
        if self.0.key != key || !*self.0.wanted.borrow() {
            return None;
        }
        let order = self.0.order.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let (answer, answered) = oneshot::channel();
        order.send(Order { condition: condition.clone(), answer }).ok()?;
        answered.await.ok()
    }
}

impl fmt::Debug for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ahead").field("key", &self.0.key).finish_non_exhaustive()
    }
}

/// Begins work ahead, from any thread.
#[derive(Clone)]
pub struct Stages {
    stager: Option<Stager>,
    runtime: Handle,
    alive: mpsc::Sender<Infallible>,
    wanted: Arc<watch::Sender<bool>>,
}

/// The work that was begun, and may not have ended.
#[derive(Debug)]
pub struct Underway(mpsc::Receiver<Infallible>);

impl Stages {
    /// Work ahead in `store`, on the runtime of the caller; none where it is not `wanted`, or the store has none.
    pub fn open(store: &dyn ObjectStore, wanted: bool) -> (Self, Underway) {
        let (alive, underway) = mpsc::channel(1);
        let stager = if wanted { store.stager() } else { None };
        let wanted = Arc::new(watch::Sender::new(false));
        (Self { stager, runtime: Handle::current(), alive, wanted }, Underway(underway))
    }

    /// The files are wanted: the work for them starts, and for those that are still to come.
    pub fn go(&self) {
        self.wanted.send_if_modified(|wanted| !std::mem::replace(wanted, true));
    }

    /// Begins the work for the object `key`, whose content is about to be written to a new file at `path`, from its
    /// beginning to its end.
    pub fn begin(&self, key: &str, path: &WorkFile) -> Option<(Growth, Ahead)> {
        let stager = self.stager.as_ref()?;
        let (growth, extent) = watch::channel(Extent::default());
        let (order, ordered) = oneshot::channel();
        let ((owner, abandoned), (keeper, unwanted)) = (oneshot::channel(), oneshot::channel::<Infallible>());
        let file = GrowingFile { path: path.clone(), extent };
        let work = stager(Task { key: key.to_owned(), file, order: ordered, abandoned });
        let (alive, mut wanted) = (self.alive.clone(), self.wanted.subscribe());
        self.runtime.spawn(async move {
            let is_wanted = tokio::select! {
                wanted = wanted.wait_for(|wanted| *wanted) => wanted.is_ok(),
                _ = unwanted => false,
            };
            if is_wanted {
                work.await;
            }
            drop(alive);
        });
        let (order, wanted) = (Mutex::new(Some(order)), Arc::clone(&self.wanted));
        let inner = Inner { key: key.to_owned(), order, wanted, _owners: [owner, keeper] };
        Some((Growth(growth), Ahead(Arc::new(inner))))
    }
}

impl fmt::Debug for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stages").field("works_ahead", &self.stager.is_some()).finish_non_exhaustive()
    }
}

impl Underway {
    /// Waits until the work has ended, and with it the removal of what was not put. All clones of the [`Stages`] and of
    /// what they have begun must be dropped before, or this waits for them.
    pub async fn ended(mut self) {
        while self.0.recv().await.is_some() {}
    }
}
