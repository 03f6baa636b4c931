//! What is particular to a lake in a folder: other processes, what killed ones leave, links, odd files, full disks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;

use cdc_to_s3::Kind;
use cdc_to_s3::lake::store::{Condition, DirStore, ObjectStore, Put};
use futures_util::TryStreamExt;
use futures_util::future::join_all;

use super::{create, increment, memory, read};

const PROCESSES: usize = 4;
const ROUNDS: usize = 25;
/// Where the test of two processes tells its children to work.
const ROOT: &str = "CDC_TEST_CHILD_ROOT";

fn temporary(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join(".cdc-tmp")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "tmp")).collect()
}

/// The other process: it counts, and tries to create the objects that its siblings try to create too.
#[tokio::test]
#[ignore = "run by processes_do_not_lose_each_others_writes"]
async fn child() {
    let Some(root) = child_root() else { return };
    let store: Arc<dyn ObjectStore> = Arc::new(DirStore::new(root));
    for round in 0..ROUNDS {
        increment(&store).await;
        if let Put::Written(_) = store.put(&format!("race/{round}"), &memory("x"), &Condition::Absent).await.unwrap() {
            create(&*store, &format!("won/{}/{round}", std::process::id()), "x").await;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test process is a shell")]
fn child_root() -> Option<PathBuf> {
    std::env::var_os(ROOT).map(PathBuf::from)
}

fn spawn_child(root: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "store::folder::child"])
        .env(ROOT, root)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn processes_do_not_lose_each_others_writes() {
    let root = tempfile::tempdir().unwrap();
    let store = DirStore::new(root.path());
    create(&store, "counter", "0").await;
    let children: Vec<Child> = (0..PROCESSES).map(|_| spawn_child(root.path())).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(read(&store, "counter").await.unwrap().0, (PROCESSES * ROUNDS).to_string());
    assert_eq!(store.list("race/", None).await.unwrap().len(), ROUNDS);
    assert_eq!(store.list("won/", None).await.unwrap().len(), ROUNDS, "each race has one winner");
    assert_eq!(temporary(root.path()), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_of_one_process_do_not_lose_each_others_writes() {
    let root = tempfile::tempdir().unwrap();
    create(&DirStore::new(root.path()), "counter", "0").await;
    let counting = (0..PROCESSES).map(|_| {
        let store: Arc<dyn ObjectStore> = Arc::new(DirStore::new(root.path()));
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                increment(&store).await;
            }
        })
    });
    for task in join_all(counting).await {
        task.unwrap();
    }
    assert_eq!(read(&DirStore::new(root.path()), "counter").await.unwrap().0, (PROCESSES * ROUNDS).to_string());
}

#[tokio::test]
async fn a_killed_process_leaves_neither_locks_nor_half_objects_nor_rubbish() {
    let root = tempfile::tempdir().unwrap();
    let store = DirStore::new(root.path());
    create(&store, "counter", "0").await;
    for pause in 0..8 {
        let mut child = spawn_child(root.path());
        std::thread::sleep(std::time::Duration::from_millis(15 + 5 * pause));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    fs::write(root.path().join(".cdc-tmp/4711-0.tmp"), "half").unwrap();
    let heir: Arc<dyn ObjectStore> = Arc::new(DirStore::new(root.path()));
    let before: u64 = read(&*heir, "counter").await.unwrap().0.parse().unwrap();
    increment(&heir).await;
    assert_eq!(read(&*heir, "counter").await.unwrap().0, (before + 1).to_string());
    assert_eq!(temporary(root.path()), Vec::<PathBuf>::new());
    for listed in heir.list("race/", None).await.unwrap() {
        assert_eq!(listed.len, 1, "{}", listed.key);
    }
}

#[tokio::test]
async fn reading_changes_nothing_on_the_disk() {
    let root = tempfile::tempdir().unwrap();
    let store = DirStore::new(root.path().join("lake"));
    assert!(store.list("", None).await.unwrap().is_empty());
    assert!(store.get("t", None).await.unwrap().is_none());
    let tag = create(&DirStore::new(root.path().join("other")), "t", "x").await;
    assert_eq!(store.put("t", &memory("x"), &Condition::Matches(tag)).await.unwrap(), Put::Refused);
    assert!(!root.path().join("lake").exists());
}

#[tokio::test]
async fn a_version_stays_readable_after_it_was_replaced() {
    let root = tempfile::tempdir().unwrap();
    let store = DirStore::new(root.path());
    let tag = create(&store, "t", "old").await;
    let object = store.get("t", None).await.unwrap().unwrap();
    let _ = store.put("t", &memory("new"), &Condition::Matches(tag)).await.unwrap();
    assert_eq!(object.body.try_collect::<Vec<_>>().await.unwrap().concat(), b"old");
    assert_eq!(read(&store, "t").await.unwrap().0, "new");
}

#[tokio::test]
async fn a_key_that_cannot_be_a_file_is_a_clear_error() {
    let root = tempfile::tempdir().unwrap();
    let store = DirStore::new(root.path());
    create(&store, "a/b", "x").await;
    let long = "x".repeat(300);
    for key in ["a", "a/b/c", &long] {
        let error = store.put(key, &memory("x"), &Condition::Absent).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Config, "BadKey"), "{key}");
        assert!(error.advice().is_some());
    }
    assert_eq!(store.list("", None).await.unwrap().len(), 1);
    assert_eq!(temporary(root.path()), Vec::<PathBuf>::new());
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_neither_followed_nor_listed() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("t"), "not ours").unwrap();
    let root = tempfile::tempdir().unwrap();
    let store = DirStore::new(root.path());
    symlink(outside.path(), root.path().join("folder")).unwrap();
    symlink(outside.path().join("t"), root.path().join("file")).unwrap();
    symlink("nowhere", root.path().join("dangling")).unwrap();
    for key in ["folder/t", "folder/new", "file", "dangling"] {
        assert_eq!(store.get(key, None).await.err().unwrap().code(), "StoreDenied", "{key}");
        let put = store.put(key, &memory("x"), &Condition::Absent).await;
        assert_eq!(put.unwrap_err().code(), "StoreDenied", "{key}");
    }
    assert!(store.list("", None).await.unwrap().is_empty());
    assert_eq!(store.list("folder/", None).await.unwrap_err().code(), "StoreDenied");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn the_root_itself_may_be_a_link() {
    let real = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("lake");
    std::os::unix::fs::symlink(real.path(), &link).unwrap();
    let store = DirStore::new(&link);
    create(&store, "a/t", "x").await;
    assert_eq!(store.list("", None).await.unwrap().len(), 1);
    assert!(real.path().join("a/t").exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_the_file_system_refuses_is_for_a_person_to_change() {
    // Nobody may make a folder below /sys, not even root.
    let error = DirStore::new("/sys/lake").put("t", &memory("x"), &Condition::Absent).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, "StoreDenied"), "{error:?}");
    assert!(error.to_string().contains("/sys/lake"), "{error}");
    assert!(error.advice().is_some());
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "x").unwrap();
    let error = DirStore::new(root.path().join("file")).put("t", &memory("x"), &Condition::Absent).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, "BadKey"));
}
