//! The run's own folder for what must touch the disk: downloads, and Parquet files before they are stored.
//!
//! The folder goes with the value, its lock file last. What a killed run left behind is removed by the next one: a folder
//! belongs to a live process exactly as long as that process holds the lock on the file inside, so no clock is asked.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use crate::error::{Error, Result};

const PREFIX: &str = "cdc-to-s3-";
const SUFFIX: &str = ".work";
const LOCK: &str = "lock";

/// What files are called, after a number, in the folders of versions that removed the lock first.
const EARLIER_FILES: [&str; 6] =
    ["object", "member.parquet", "full-load.parquet", "fingerprints.parquet", "cdc.parquet", "changes.parquet"];

/// How the names of downloads end, after the version.
const DOWNLOADS: [&str; 3] = ["zip", "partial", "parts.zip"];

/// A folder that exists as long as any clone of this value.
#[derive(Clone, Debug)]
pub struct Workspace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
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
            let dir = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempdir_in(parent).map_err(failed)?;
            // Another process may take the folder for abandoned before the lock is ours, and remove it.
            match lock(dir.path()) {
                Ok(Some(lock)) => return Ok(Self(Arc::new(Inner::new(dir, lock)))),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::NotFound && parent.is_dir() => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0.path
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

impl Inner {
    fn new(dir: TempDir, lock: File) -> Self {
        Self { path: dir.keep(), _lock: lock, next: AtomicU64::new(0) }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "the work folder could not be removed; the next run does");
        }
    }
}

/// The lock of a new folder, once it is ours; `None` where the folder was removed meanwhile.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    let file = open_lock(folder)?;
    file.lock()?;
    is_in(&file, folder).map(|is_in| is_in.then_some(file))
}

fn open_lock(folder: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(folder.join(LOCK))
}

/// Whether this very file is the lock of the folder: another one may have its name by now.
fn is_in(lock: &File, folder: &Path) -> io::Result<bool> {
    match fs::metadata(folder.join(LOCK)) {
        Ok(there) => Ok(there.ino() == lock.metadata()?.ino()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a folder whose lock is held: the lock goes last, so that whoever is killed on the way leaves it to the next run.
fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else if entry.file_name() != LOCK {
            remove_file(&entry.path())?;
        }
    }
    remove_file(&folder.join(LOCK))?;
    fs::remove_dir(folder)
}

/// The last holder of a file may be faster.
fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Best effort: what cannot be looked at is left alone.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for folder in entries.flatten().map(|entry| entry.path()).filter(|folder| is_work_folder(folder)) {
        let Ok(lock) = open_lock(&folder) else { continue };
        // Held until the folder is gone: who waits for it must find that out.
        let ours = lock.try_lock().is_ok() && is_in(&lock, &folder).unwrap_or(false);
        if ours && remove(&folder).is_ok() {
            tracing::info!(folder = %folder.display(), "removed the work folder of a run that was killed");
        }
    }
}

/// Whether a folder was made by this program. One without its lock, and without the ending that tells a work folder from any
/// other of that name, was left by an earlier version that removed the lock first: the files inside must then be of this program.
fn is_work_folder(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    folder.is_dir() && (rest.ends_with(SUFFIX) || folder.join(LOCK).is_file() || holds_only_ours(folder))
}

fn holds_only_ours(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    !names.is_empty() && names.iter().all(|name| is_ours(name))
}

/// `0-cdc.parquet`, or a download like `owner_slug_v1.zip`.
fn is_ours(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbered =
        name.split_once('-').is_some_and(|(number, rest)| is_number(number) && EARLIER_FILES.contains(&rest));
    let download = name.rsplit_once("_v").and_then(|(_, version)| version.split_once('.'));
    numbered || download.is_some_and(|(version, ending)| is_number(version) && DOWNLOADS.contains(&ending))
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
    fn folders_whose_lock_was_removed_first_go_too_and_those_of_others_stay() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str, files: &[&str]| {
            let folder = parent.path().join(name);
            fs::create_dir(&folder).unwrap();
            files.iter().for_each(|file| fs::write(folder.join(file), "x").unwrap());
            folder
        };
        let ours = [
            make("cdc-to-s3-Ab12Cd", &["0-full-load.parquet", "7-object", "owner_my_data_v12.partial"]),
            make("cdc-to-s3-Ef34Gh.work", &[]),
        ];
        let others = [
            make("cdc-to-s3-backup", &["0-cdc.parquet", "2024-notes.txt"]),
            make("cdc-to-s3-empty1", &[]),
            make("notes", &["0-cdc.parquet"]),
        ];
        drop(Workspace::create(parent.path()).unwrap());
        assert!(ours.iter().all(|folder| !folder.exists()));
        assert!(others.iter().all(|folder| folder.exists()));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), others.len());
    }

    #[test]
    fn the_lock_is_the_last_file_to_go() {
        let parent = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let workspace = Workspace::create(parent.path()).unwrap();
            let folder = workspace.path().to_owned();
            let files: Vec<_> = (0..200).map(|_| workspace.new_file("x")).collect();
            files.iter().for_each(|file| fs::write(file, "x").unwrap());
            let names = |folder: &Path| fs::read_dir(folder).map_or(0, Iterator::count);
            std::thread::scope(|scope| {
                scope.spawn(|| drop(workspace));
                while folder.join(LOCK).exists() {}
                assert_eq!(names(&folder), 0, "files without a lock");
            });
        }
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
