//! A lake in a local folder, with the same conditions as S3, also between processes.
//!
//! A version is named by the digest of its content. Files are never changed in place: a new version is written to a
//! temporary file below the hidden folder `.cdc-tmp`, forced to the disk, and then put under its name in one step:
//!
//! - `Absent`: by a hard link, which fails when the name is taken, whoever took it;
//! - `Matches`: by a rename, while an advisory lock of that key is held and the current digest has been compared.
//!
//! So a reader, who opens a file once, sees one version; and a process that is killed leaves either the old version or
//! the new one, perhaps a temporary file (removed by the next store that writes here, see [`staging`]), and no lock,
//! because locks end with their process. One that is only stopped keeps them, so that others wait with a bound. Below the root no symbolic link is followed, and none is listed.

mod fault;
mod staging;
mod walk;

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::io::AsyncReadExt;

use self::fault::{explain, is_missing};
use self::staging::{Staged, Staging};
use super::ahead::{Order, Task};
use super::key::{check_key, folder_of};
use super::tag::copy;
use super::{ByteRange, Condition, ETag, Listed, Object, ObjectStore, Payload, Put, Stager};
use crate::error::{Error, Result};

/// Bodies come in pieces of this size.
const CHUNK: u64 = 256 * 1024;

/// How long a lock of another process is waited for, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// Objects as files below a folder.
#[derive(Clone, Debug)]
pub struct DirStore {
    root: PathBuf,
    swept: Arc<Once>,
    patience: Duration,
}

impl DirStore {
    /// The lake below `root`, which is created by the first write. Nothing is touched before that.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), swept: Arc::new(Once::new()), patience: PATIENCE }
    }

    /// Waits so long for the locks of other processes, which hold them for as long as it takes to read one object.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    fn write(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        let target = path_of(&self.root, key)?;
        let found = exists(&target)?;
        if found != matches!(condition, Condition::Matches(_)) {
            return Ok(Put::Refused);
        }
        self.publish(key, self.stage(payload)?, condition)
    }

    /// A new version on the disk that nobody sees yet.
    fn stage(&self, payload: &Payload) -> Result<Staged> {
        let staging = Staging::open(&self.root, self.patience)?;
        self.swept.call_once(|| staging.sweep());
        staging.stage(payload)
    }

    /// Makes a staged version visible if `condition` holds.
    fn publish(&self, key: &str, staged: Staged, condition: &Condition) -> Result<Put> {
        let target = path_of(&self.root, key)?;
        match condition {
            Condition::Absent => staged.create(&self.root, &target),
            Condition::Matches(expected) => {
                let _lock = Staging::open(&self.root, self.patience)?.lock(key)?;
                match open_version(&target)? {
                    Some((_, current, _)) if current == *expected => staged.replace(&target),
                    _ => Ok(Put::Refused),
                }
            }
        }
    }
}

#[async_trait]
impl ObjectStore for DirStore {
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>> {
        check_key(key)?;
        let (root, key) = (self.root.clone(), key.to_owned());
        blocking(move || open_object(&path_of(&root, &key)?, range)).await
    }

    async fn put(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        check_key(key)?;
        if let Payload::Staged { ahead, .. } = payload
            && let Some(put) = ahead.put(key, condition).await
        {
            return put;
        }
        let (store, key, payload, condition) = (self.clone(), key.to_owned(), payload.clone(), condition.clone());
        blocking(move || store.write(&key, &payload, &condition)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        folder_of(prefix)?;
        let (root, prefix, after) = (self.root.clone(), prefix.to_owned(), after.map(str::to_owned));
        blocking(move || walk::list(&root, &prefix, after.as_deref())).await
    }

    fn stager(&self) -> Option<Stager> {
        let store = self.clone();
        Some(Arc::new(move |task| stage_ahead(store.clone(), task).boxed()))
    }

    async fn link(&self, key: &str, path: &Path) -> Result<Option<(ETag, u64)>> {
        check_key(key)?;
        let (source, path) = (path_of(&self.root, key)?, path.to_path_buf());
        blocking(move || match fs::hard_link(&source, &path) {
            Ok(()) => Ok(open_version(&path)?.map(|(_, etag, len)| (etag, len))),
            Err(_) => Ok(None),
        })
        .await
    }

    fn location(&self) -> String {
        self.root.display().to_string()
    }
}

/// Stages the task's file when it is complete, and makes it visible when told to.
async fn stage_ahead(store: DirStore, task: Task) {
    let Task { key, mut file, order, .. } = task;
    let Some(len) = file.completed().await else { return };
    let (stager, payload) = (store.clone(), Payload::File { path: file.path.clone(), len });
    let staged = match blocking(move || stager.stage(&payload)).await {
        Ok(staged) => staged,
        Err(error) => return tracing::debug!(key, error = %error.chain(), "a file could not be staged ahead"),
    };
    // Where nobody gives the order, the staged file goes with its value.
    let Ok(Order { condition, answer }) = order.await else { return };
    let outcome = blocking(move || store.publish(&key, staged, &condition)).await;
    let _ = answer.send(outcome);
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal("TaskFailed", "a task on local files did not end").caused_by(error)),
    }
}

/// The path of a key that [`check_key`] has let pass. A symbolic link on the way could lead out of the lake.
fn path_of(root: &Path, key: &str) -> Result<PathBuf> {
    let mut path = root.to_path_buf();
    for segment in key.split('/').filter(|segment| !segment.is_empty()) {
        path.push(segment);
        if path.is_symlink() {
            return Err(Error::config("StoreDenied", format!("{} is a symbolic link", path.display()))
                .hint("keep the files of a lake below one folder; only that folder itself may be a link"));
        }
    }
    Ok(path)
}

/// Whether an object is at `path`; a folder there is an error, because then no object can be.
fn exists(path: &Path) -> Result<bool> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Err(fault::in_the_way(path)),
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(explain("look for", path, error)),
    }
}

/// Opens the version that is at `path` now; the handle stays with it whatever is published meanwhile.
fn open_version(path: &Path) -> Result<Option<(File, ETag, u64)>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(explain("open", path, error)),
    };
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(None);
    }
    let (tag, len) = copy(&mut file, &mut io::sink()).map_err(|error| explain("read", path, error))?;
    Ok(Some((file, tag, len)))
}

fn open_object(path: &Path, range: Option<ByteRange>) -> Result<Option<Object>> {
    let Some((mut file, etag, len)) = open_version(path)? else { return Ok(None) };
    let wanted = range.map_or(0..len, |range| range.resolve(len));
    file.seek(SeekFrom::Start(wanted.start)).map_err(|error| explain("read", path, error))?;
    Ok(Some(Object { etag, len, body: body(path.to_path_buf(), file, wanted) }))
}

fn body(path: PathBuf, file: File, wanted: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
    let left = wanted.end - wanted.start;
    stream::try_unfold((path, tokio::fs::File::from_std(file), left), |(path, mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut chunk = BytesMut::with_capacity(left.min(CHUNK) as usize);
        let mut source = (&mut file).take(left.min(CHUNK));
        match source.read_buf(&mut chunk).await {
            Ok(0) => Err(cut(&path)),
            Ok(count) => Ok(Some((chunk.freeze(), (path, file, left - count as u64)))),
            Err(error) => Err(explain("read", &path, error)),
        }
    })
    .boxed()
}

fn cut(path: &Path) -> Error {
    Error::internal("ObjectChanged", format!("{} was cut while it was being read", path.display()))
        .hint("nothing but this program may change the files of a lake")
}
