//! The run's own folder for what must touch the disk: downloads, and Parquet files before they are stored.
//!
//! The folder goes with the value. What a killed run left behind is removed by the next one: a folder belongs to a live
//! process exactly as long as that process holds the lock on the file inside, so no clock is asked.

use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use crate::error::{Error, Result};

const PREFIX: &str = "cdc-to-s3-";
const LOCK: &str = "lock";

/// A folder that exists as long as any clone of this value.
#[derive(Clone, Debug)]
pub struct Workspace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: TempDir,
    /// Held open, and so locked, until the folder is removed.
    _lock: File,
    next: AtomicU64,
}

impl Workspace {
    /// Makes a folder below `parent` and removes those of dead processes.
    pub fn create(parent: &Path) -> Result<Self> {
        remove_abandoned(parent);
        let failed = |error: io::Error| {
            Error::config("NoWorkspace", format!("cannot make a work folder in `{}`", parent.display()))
                .caused_by(error)
                .hint("set TMPDIR to a folder that can be written to")
        };
        loop {
            let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent).map_err(failed)?;
            let lock = dir.path().join(LOCK);
            let locked = File::create(&lock).and_then(|file| file.lock().map(|()| file)).map_err(failed)?;
            // Another process may have taken the folder for abandoned before the lock was ours, and removed it.
            if lock.exists() {
                return Ok(Self(Arc::new(Inner { dir, _lock: locked, next: AtomicU64::new(0) })));
            }
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.dir.path()
    }

    /// A new file that nobody else was given. It is not created, and is removed with the last clone of the value.
    pub fn new_file(&self, name: &str) -> WorkFile {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        WorkFile::owned(self.path().join(format!("{number}-{name}")))
    }
}

/// The path of a file, and the file itself where it is [`owned`](Self::owned): a run must not keep what it no longer reads.
#[derive(Clone, Debug)]
pub struct WorkFile(Arc<Held>);

#[derive(Debug)]
struct Held {
    path: PathBuf,
    owned: bool,
}

impl WorkFile {
    /// A file that is removed with the last clone of this value.
    pub fn owned(path: PathBuf) -> Self {
        Self(Arc::new(Held { path, owned: true }))
    }
}

/// A file that belongs to somebody else, and stays.
impl From<PathBuf> for WorkFile {
    fn from(path: PathBuf) -> Self {
        Self(Arc::new(Held { path, owned: false }))
    }
}

impl Deref for WorkFile {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0.path
    }
}

impl AsRef<Path> for WorkFile {
    fn as_ref(&self) -> &Path {
        self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It may never have been created, or be gone with its folder.
        if self.owned {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Best effort: what cannot be looked at is left alone.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        // Held until the folder is gone: who waits for it must find that out.
        if lock.try_lock().is_ok() && fs::remove_dir_all(entry.path()).is_ok() {
            tracing::info!(folder = %entry.path().display(), "removed the work folder of a run that was killed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_folder_stays_and_an_abandoned_one_goes() {
        let parent = tempfile::tempdir().unwrap();
        let live = Workspace::create(parent.path()).unwrap();
        let abandoned = parent.path().join("cdc-to-s3-dead");
        fs::create_dir(&abandoned).unwrap();
        fs::write(abandoned.join(LOCK), "").unwrap();
        let second = Workspace::create(parent.path()).unwrap();
        assert!(live.path().exists() && !abandoned.exists());
        let path = second.path().to_owned();
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn folders_made_at_the_same_moment_do_not_remove_each_other() {
        let parent = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        let mine = Workspace::create(parent.path()).unwrap();
                        fs::write(mine.new_file("x"), "x").unwrap();
                    }
                });
            }
        });
    }
}
