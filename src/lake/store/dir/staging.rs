//! The hidden folder of a local lake: files that are being written, and the locks.
//!
//! A temporary file is locked by the process that writes it for as long as that process holds it open. One whose lock
//! is free has been abandoned and may be removed, which needs no clock and no guess about process numbers. The `gate`
//! closes the gap between making such a file and locking it: makers hold it shared, the sweeper alone. Lock files
//! stay, because removing one while another process opens it would make two locks of one name.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::exists;
use super::fault::explain;
use crate::error::{Error, Result};
use crate::lake::store::key::HIDDEN;
use crate::lake::store::tag::{copy, tag_of};
use crate::lake::store::{ETag, Payload, Put, payload_changed};

/// With the process id it makes the names of temporary files unique; a name that is taken anyway is passed over.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// The first pause between two tries for a lock, and the one beyond which doubling stops.
const FIRST_TRY: Duration = Duration::from_millis(1);
const LONGEST_TRY: Duration = Duration::from_millis(100);

/// The hidden folder.
pub(super) struct Staging {
    folder: PathBuf,
    /// How long a lock of another process is waited for.
    patience: Duration,
}

/// A new version on the disk, complete, under a temporary name. The name goes when the value does.
pub(super) struct Staged {
    path: PathBuf,
    /// Holds the lock.
    file: File,
    etag: ETag,
}

impl Staging {
    /// The hidden folder of the lake at `root`; both are created where they are missing.
    pub(super) fn open(root: &Path, patience: Duration) -> Result<Self> {
        let folder = root.join(HIDDEN);
        fs::create_dir_all(&folder).map_err(|error| explain("create", &folder, error))?;
        Ok(Self { folder, patience })
    }

    /// Removes what killed processes have left. A failure is no fault of the write that comes next.
    pub(super) fn sweep(&self) {
        if let Err(error) = self.try_sweep() {
            tracing::warn!(folder = %self.folder.display(), %error, "cannot remove abandoned temporary files");
        }
    }

    /// Holds the lock of `key` until the file is dropped or the process ends. It says who holds it, for those who wait.
    pub(super) fn lock(&self, key: &str) -> Result<File> {
        let path = self.folder.join(format!("{}.lock", tag_of(key.as_bytes()).0));
        let mut file = self.wait_for(&path, File::try_lock)?;
        let noted = file.set_len(0).and_then(|()| write!(file, "{}", process::id()));
        noted.map_err(|error| explain("lock", &path, error))?;
        Ok(file)
    }

    /// A lock file once `try_lock` has got it. A process that was stopped holds its locks for as long as it is, so that this
    /// has an end.
    fn wait_for(&self, path: &Path, try_lock: fn(&File) -> Result<(), TryLockError>) -> Result<File> {
        let file = open_lock(path).map_err(|error| explain("lock", path, error))?;
        let (started, mut pause) = (Instant::now(), FIRST_TRY);
        loop {
            match try_lock(&file) {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(explain("lock", path, error)),
                Err(TryLockError::WouldBlock) if started.elapsed() >= self.patience => {
                    return Err(locked(path, self.patience));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(pause.min(self.patience)),
            }
            pause = (pause * 2).min(LONGEST_TRY);
        }
    }

    /// Puts `payload` into a temporary file and forces it to the disk.
    pub(super) fn stage(&self, payload: &Payload) -> Result<Staged> {
        let failed = |error| explain("write below", &self.folder, error);
        let gate = self.wait_for(&self.gate(), File::try_lock_shared)?;
        if let Payload::File { path, len } | Payload::Staged { path, len, .. } = payload
            && let Ok(mut staged) = self.make(&gate, |name| link(path, name))
        {
            staged.etag = staged.check(path, *len)?;
            return Ok(staged);
        }
        let mut staged = self.make(&gate, |name| File::create_new(name)).map_err(failed)?;
        staged.etag = staged.write(payload)?;
        Ok(staged)
    }

    /// A new temporary file, made by `create` and locked, while the caller holds the gate.
    ///
    /// It never waits for the lock, which belongs to the content and not to the name: a link to a content that is staged
    /// already, perhaps by the caller itself, fails instead.
    fn make(&self, _gate: &File, create: impl Fn(&Path) -> io::Result<File>) -> io::Result<Staged> {
        loop {
            let count = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = self.folder.join(format!("{}-{count}.tmp", process::id()));
            match create(&path) {
                Ok(file) => {
                    let staged = Staged { path, file, etag: tag_of(b"") };
                    return if try_lock(&staged.file)? { Ok(staged) } else { Err(ErrorKind::WouldBlock.into()) };
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn try_sweep(&self) -> io::Result<()> {
        let gate = open_lock(&self.gate())?;
        if !try_lock(&gate)? {
            return Ok(());
        }
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                remove_abandoned(&path)?;
            }
        }
        Ok(())
    }

    fn gate(&self) -> PathBuf {
        self.folder.join("gate.lock")
    }
}

/// Gives a complete file another name, which works within one file system and spares a copy.
fn link(content: &Path, name: &Path) -> io::Result<File> {
    fs::hard_link(content, name)?;
    File::open(name)
}

impl Staged {
    /// Reads a content that is in place already.
    fn check(&mut self, source: &Path, len: u64) -> Result<ETag> {
        let fault = |error| explain("read", &self.path, error);
        let (etag, found) = copy(&mut self.file, &mut io::sink()).map_err(fault)?;
        if found != len {
            return Err(payload_changed(source));
        }
        self.file.sync_all().map_err(fault)?;
        Ok(etag)
    }

    fn write(&mut self, payload: &Payload) -> Result<ETag> {
        let fault = |error| explain("write", &self.path, error);
        let etag = match payload {
            Payload::Memory(bytes) => self.file.write_all(bytes).map(|()| tag_of(bytes)).map_err(fault)?,
            Payload::File { path, len } | Payload::Staged { path, len, .. } => {
                let mut content = File::open(&**path).map_err(|error| payload_changed(path).caused_by(error))?;
                let (etag, copied) = copy(&mut content, &mut self.file).map_err(fault)?;
                if copied != *len {
                    return Err(payload_changed(path));
                }
                etag
            }
        };
        self.file.sync_all().map_err(fault)?;
        Ok(etag)
    }

    /// Puts the version at `target` if nothing is there.
    pub(super) fn create(self, root: &Path, target: &Path) -> Result<Put> {
        let folders = folders_between(root, target);
        if let Some(folder) = folders.first() {
            fs::create_dir_all(folder).map_err(|error| explain("create", folder, error))?;
        }
        match fs::hard_link(&self.path, target) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists && exists(target)? => return Ok(Put::Refused),
            Err(error) => return Err(explain("create", target, error)),
        }
        folders.iter().try_for_each(|folder| sync_folder(folder))?;
        Ok(Put::Written(self.etag.clone()))
    }

    /// Puts the version at `target`, in place of the one there; the caller holds the lock of the key.
    pub(super) fn replace(self, target: &Path) -> Result<Put> {
        fs::rename(&self.path, target).map_err(|error| explain("replace", target, error))?;
        target.parent().map_or(Ok(()), sync_folder)?;
        Ok(Put::Written(self.etag.clone()))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a rename the name is gone already; otherwise the next sweep would find it.
        let _ = fs::remove_file(&self.path);
    }
}

/// The folders from the one that holds `target` up to `root`, in this order.
fn folders_between<'a>(root: &Path, target: &'a Path) -> Vec<&'a Path> {
    target.ancestors().skip(1).take_while(|folder| folder.starts_with(root)).collect()
}

/// Forces the names in a folder to the disk. Only Unix can, and elsewhere it is not needed.
fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| explain("write", folder, error))?;
    }
    Ok(())
}

fn open_lock(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).read(true).write(true).open(path)
}

/// The error for a lock that another process does not give back.
fn locked(path: &Path, patience: Duration) -> Error {
    let holder =
        fs::read_to_string(path).ok().filter(|pid| !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()));
    let who = holder.as_ref().map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    let message = format!("{who} has held the lock {} for {} s", path.display(), patience.as_secs_f32());
    let look =
        holder.map_or_else(|| format!("`fuser {}` names it", path.display()), |pid| format!("`ps -p {pid}` shows it"));
    Error::conflict("LakeLocked", message).hint(format!(
        "it was probably stopped or hangs ({look}): let it go on (`kill -CONT`) or end it, then run again; nothing has to be cleaned up"
    ))
}

fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn remove_abandoned(path: &Path) -> io::Result<()> {
    let removed = File::open(path).and_then(|file| if try_lock(&file)? { fs::remove_file(path) } else { Ok(()) });
    match removed {
        // Its owner has just removed it.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    #[test]
    fn a_lock_that_is_not_given_back_is_waited_for_with_a_bound_and_names_its_holder() {
        let root = tempfile::tempdir().unwrap();
        let staging = Staging::open(root.path(), PATIENCE).unwrap();
        let held = staging.lock("t").unwrap();
        let started = Instant::now();
        let error = staging.lock("t").unwrap_err();
        assert!(started.elapsed() >= PATIENCE && started.elapsed() < PATIENCE * 20);
        assert_eq!((error.code(), error.kind()), ("LakeLocked", crate::error::Kind::Conflict));
        let message = error.to_string();
        assert!(message.contains(".lock") && message.contains(&format!("process {} ", process::id())), "{message}");
        drop(held);
        staging.lock("t").unwrap();
        // A sweeper that was stopped holds the gate alone.
        let gate = open_lock(&staging.gate()).unwrap();
        gate.lock().unwrap();
        let error = staging.stage(&Payload::Memory("x".into())).err().unwrap();
        assert!(error.code() == "LakeLocked" && error.to_string().contains("another process"), "{error}");
        drop(gate);
        staging.stage(&Payload::Memory("x".into())).unwrap();
    }

    #[test]
    fn a_sweep_removes_abandoned_files_and_spares_those_in_use() {
        let root = tempfile::tempdir().unwrap();
        let staging = Staging::open(root.path(), PATIENCE).unwrap();
        let abandoned = staging.folder.join("4711-0.tmp");
        fs::write(&abandoned, "half").unwrap();
        let staged = staging.stage(&Payload::Memory("whole".into())).unwrap();
        staging.sweep();
        assert!(!abandoned.exists());
        assert!(staged.path.exists());
    }

    #[test]
    fn a_staged_file_that_is_not_used_goes_away() {
        let root = tempfile::tempdir().unwrap();
        let staging = Staging::open(root.path(), PATIENCE).unwrap();
        let path = staging.stage(&Payload::Memory("whole".into())).unwrap().path.clone();
        assert!(!path.exists());
    }

    #[test]
    fn one_file_can_be_staged_twice_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let staging = Staging::open(root.path(), PATIENCE).unwrap();
        let source = root.path().join("payload");
        fs::write(&source, "four").unwrap();
        let payload = Payload::File { path: source.into(), len: 4 };
        let [first, second] = [staging.stage(&payload).unwrap(), staging.stage(&payload).unwrap()];
        assert_eq!(first.etag, second.etag);
        drop(first);
        assert_eq!(fs::read(&second.path).unwrap(), b"four");
        staging.sweep();
        assert!(second.path.exists());
    }

    #[test]
    fn a_payload_file_of_another_length_is_not_staged() {
        let root = tempfile::tempdir().unwrap();
        let staging = Staging::open(root.path(), PATIENCE).unwrap();
        let source = root.path().join("payload");
        fs::write(&source, "four").unwrap();
        let payload = Payload::File { path: source.into(), len: 5 };
        assert_eq!(staging.stage(&payload).err().unwrap().code(), "PayloadChanged");
        let left = fs::read_dir(&staging.folder)
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "tmp"));
        assert_eq!(left.count(), 0);
    }
}
