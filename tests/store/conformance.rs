//! What every object store does, checked on each of them.

use std::sync::Arc;

use bytes::Bytes;
use cdc_to_s3::Kind;
use cdc_to_s3::lake::store::{
    ByteRange, Condition, DirStore, ETag, MemoryStore, ObjectStore, Payload, Put, S3Options, S3Store, Stages, read_all,
};
use cdc_to_s3::ops::doctor::{self, Diagnosis};
use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use tempfile::TempDir;

use super::ahead::Following;
use super::{create, increment, memory, read};
use crate::support::emulator;

/// The length of a part in the S3 store below. Real buckets want 5 MiB; the emulator, which is slow, does not.
const PART: usize = 1024 * 1024;
/// Three parts.
const LARGE: usize = 2 * PART + 100_007;
const WRITERS: usize = 8;

/// A store, and what must live as long as it does.
struct Fixture {
    store: Arc<dyn ObjectStore>,
    _folder: Option<TempDir>,
}

#[derive(Clone, Copy)]
enum Backend {
    Memory,
    Folder,
    S3,
}

impl Backend {
    /// A store that holds nothing.
    async fn open(self) -> Fixture {
        match self {
            Self::Memory => Fixture { store: Arc::new(MemoryStore::new()), _folder: None },
            Self::Folder => {
                let folder = tempfile::tempdir().unwrap();
                let store = DirStore::new(folder.path().join("not/there/yet"));
                Fixture { store: Arc::new(store), _folder: Some(folder) }
            }
            Self::S3 => Fixture { store: Arc::new(s3_store().await), _folder: None },
        }
    }
}

async fn s3_store() -> S3Store {
    let (client, bucket) = emulator::bucket().await;
    let options = S3Options::new(bucket, "team/lake/");
    S3Store::new(client, S3Options { multipart_threshold: PART as u64, part_size: PART as u64, ..options })
}

/// Runs every check on every store, each as a test of its own.
macro_rules! conformance {
    ($($check:ident),+ $(,)?) => {
        conformance!(@store in_memory Memory $($check)+);
        conformance!(@store in_a_folder Folder $($check)+);
        conformance!(@store in_s3 S3 $($check)+);
    };
    (@store $module:ident $open:ident $($check:ident)+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $check() {
                    let fixture = super::Backend::$open.open().await;
                    super::$check(std::sync::Arc::clone(&fixture.store)).await;
                }
            )+
        }
    };
}

conformance! {
    what_is_written_is_read_back,
    a_missing_object_is_none,
    a_create_is_refused_where_something_is,
    a_replacement_needs_the_current_tag,
    a_replacement_of_nothing_is_refused,
    the_trial_of_conditions_succeeds_and_leaves_one_object,
    of_racing_creates_one_wins,
    no_increment_of_a_counter_is_lost,
    ranges_are_served_from_the_version_named,
    an_empty_object_is_an_object,
    a_listing_is_ordered_and_begins_after,
    a_listing_may_be_long,
    unusual_keys_are_kept_as_they_are,
    bad_keys_are_refused,
    a_large_object_obeys_the_same_conditions,
    a_file_is_stored_like_memory,
    a_file_of_another_length_is_not_stored,
    a_file_brought_ahead_obeys_the_same_conditions,
    what_is_brought_ahead_belongs_to_its_key,
    what_is_brought_ahead_and_not_put_is_no_object,
    a_link_is_the_object_or_none,
    readers_see_whole_versions_while_writers_write,
    a_reader_limits_what_it_takes,
}

async fn what_is_written_is_read_back(store: Arc<dyn ObjectStore>) {
    let tag = create(&*store, "cdc/t/t_20250101_000000.parquet", "content").await;
    let object = store.get("cdc/t/t_20250101_000000.parquet", None).await.unwrap().unwrap();
    assert_eq!((&object.etag, object.len), (&tag, 7));
    let other = create(&*store, "other", "another content").await;
    assert_ne!(tag, other, "different contents have different tags");
    assert!(!store.location().is_empty());
}

async fn a_missing_object_is_none(store: Arc<dyn ObjectStore>) {
    assert!(store.get("nothing", None).await.unwrap().is_none());
    assert!(store.get("nothing", Some(ByteRange::Suffix(4))).await.unwrap().is_none());
    assert!(store.get("nothing", Some(ByteRange::Within(4..4))).await.unwrap().is_none());
    create(&*store, "a/b", "x").await;
    assert!(store.get("a", None).await.unwrap().is_none(), "a folder is no object");
    assert!(store.get("a/b/c", None).await.unwrap().is_none(), "an object is no folder");
}

async fn a_create_is_refused_where_something_is(store: Arc<dyn ObjectStore>) {
    let tag = create(&*store, "t", "first").await;
    for content in ["second", "first", ""] {
        assert_eq!(store.put("t", &memory(content), &Condition::Absent).await.unwrap(), Put::Refused);
    }
    assert_eq!(read(&*store, "t").await.unwrap(), ("first".to_owned(), tag));
}

async fn a_replacement_needs_the_current_tag(store: Arc<dyn ObjectStore>) {
    let first = create(&*store, "t", "first").await;
    let outcome = store.put("t", &memory("second"), &Condition::Matches(first.clone())).await.unwrap();
    let Put::Written(second) = outcome else { panic!("refused with the current tag") };
    assert_eq!(store.put("t", &memory("third"), &Condition::Matches(first)).await.unwrap(), Put::Refused);
    assert_eq!(read(&*store, "t").await.unwrap(), ("second".to_owned(), second));
}

async fn a_replacement_of_nothing_is_refused(store: Arc<dyn ObjectStore>) {
    let tag = create(&*store, "other", "x").await;
    assert_eq!(store.put("t", &memory("x"), &Condition::Matches(tag)).await.unwrap(), Put::Refused);
    assert!(store.get("t", None).await.unwrap().is_none());
}

async fn the_trial_of_conditions_succeeds_and_leaves_one_object(store: Arc<dyn ObjectStore>) {
    for _ in 0..2 {
        let mut found = Diagnosis::default();
        doctor::lake(&*store, &mut found).await;
        assert!(found.is_ok() && found.checks.len() == 2, "{found:#?}");
    }
    let keys: Vec<String> = store.list("", None).await.unwrap().into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["_state/doctor"]);
}

async fn of_racing_creates_one_wins(store: Arc<dyn ObjectStore>) {
    for round in 0..20 {
        let key = format!("race/{round}");
        let racing = (0..WRITERS).map(|writer| {
            let (store, key) = (Arc::clone(&store), key.clone());
            tokio::spawn(async move { store.put(&key, &memory(&format!("by {writer}")), &Condition::Absent).await })
        });
        let outcomes: Vec<Put> = join_all(racing).await.into_iter().map(|put| put.unwrap().unwrap()).collect();
        let winners: Vec<usize> = (0..WRITERS).filter(|writer| outcomes[*writer] != Put::Refused).collect();
        assert_eq!(winners.len(), 1, "round {round}: {outcomes:?}");
        assert_eq!(read(&*store, &key).await.unwrap().0, format!("by {}", winners[0]));
    }
}

async fn no_increment_of_a_counter_is_lost(store: Arc<dyn ObjectStore>) {
    create(&*store, "counter", "0").await;
    let counting = (0..WRITERS).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..10 {
                increment(&store).await;
            }
        })
    });
    for task in join_all(counting).await {
        task.unwrap();
    }
    assert_eq!(read(&*store, "counter").await.unwrap().0, (WRITERS * 10).to_string());
}

async fn ranges_are_served_from_the_version_named(store: Arc<dyn ObjectStore>) {
    let tag = create(&*store, "t", "0123456789").await;
    let cases = [
        (ByteRange::Within(0..4), "0123"),
        (ByteRange::Within(3..7), "3456"),
        (ByteRange::Within(8..100), "89"),
        (ByteRange::Within(9..10), "9"),
        (ByteRange::Within(0..u64::MAX), "0123456789"),
        (ByteRange::Within(5..5), ""),
        (ByteRange::Within(10..12), ""),
        (ByteRange::Within(50..60), ""),
        (ByteRange::Suffix(3), "789"),
        (ByteRange::Suffix(10), "0123456789"),
        (ByteRange::Suffix(100), "0123456789"),
        (ByteRange::Suffix(0), ""),
    ];
    for (range, expected) in cases {
        let object = store.get("t", Some(range.clone())).await.unwrap().unwrap();
        assert_eq!((&object.etag, object.len), (&tag, 10), "{range:?}");
        let chunks: Vec<Bytes> = object.body.try_collect().await.unwrap();
        assert_eq!(chunks.concat(), expected.as_bytes(), "{range:?}");
    }
}

async fn an_empty_object_is_an_object(store: Arc<dyn ObjectStore>) {
    let tag = create(&*store, "empty", "").await;
    assert_eq!(read(&*store, "empty").await.unwrap(), (String::new(), tag.clone()));
    for range in [ByteRange::Suffix(8), ByteRange::Within(0..8)] {
        let object = store.get("empty", Some(range)).await.unwrap().unwrap();
        assert_eq!((&object.etag, object.len), (&tag, 0));
        assert_eq!(object.body.try_collect::<Vec<_>>().await.unwrap().concat(), b"");
    }
    assert_eq!(store.list("", None).await.unwrap()[0].len, 0);
    assert_eq!(store.put("empty", &memory("x"), &Condition::Absent).await.unwrap(), Put::Refused);
}

async fn keys(store: &dyn ObjectStore, prefix: &str, after: Option<&str>) -> Vec<String> {
    store.list(prefix, after).await.unwrap().into_iter().map(|listed| listed.key).collect()
}

async fn a_listing_is_ordered_and_begins_after(store: Arc<dyn ObjectStore>) {
    assert!(store.list("", None).await.unwrap().is_empty());
    assert!(store.list("cdc/t/", None).await.unwrap().is_empty());
    // In the order of bytes `a-b` comes before `a/b`, and `a/b` before `a0`, unlike in a walk through folders.
    let all = ["a-b", "a/b", "a/c/d", "a/c0", "a0", "b/é", "b/🦀"];
    for key in all.iter().rev() {
        create(&*store, key, key).await;
    }
    assert_eq!(keys(&*store, "", None).await, all);
    assert_eq!(keys(&*store, "a/", None).await, ["a/b", "a/c/d", "a/c0"]);
    assert_eq!(keys(&*store, "a/c", None).await, ["a/c/d", "a/c0"]);
    assert_eq!(keys(&*store, "a", None).await, ["a-b", "a/b", "a/c/d", "a/c0", "a0"]);
    assert_eq!(keys(&*store, "a/", Some("a/b")).await, ["a/c/d", "a/c0"]);
    assert_eq!(keys(&*store, "a/", Some("a/bb")).await, ["a/c/d", "a/c0"]);
    assert_eq!(keys(&*store, "a/", Some("0")).await, ["a/b", "a/c/d", "a/c0"]);
    assert!(keys(&*store, "a/", Some("a/d")).await.is_empty());
    assert!(keys(&*store, "nothing/", None).await.is_empty());
    assert_eq!(store.list("b/🦀", None).await.unwrap()[0].len, "b/🦀".len() as u64);
}

async fn a_listing_may_be_long(store: Arc<dyn ObjectStore>) {
    let expected: Vec<String> = (0..1005).map(|number| format!("many/{number:04}")).collect();
    stream::iter(&expected).for_each_concurrent(16, |key| async { _ = create(&*store, key, "x").await }).await;
    assert_eq!(keys(&*store, "many/", None).await, expected);
    assert_eq!(keys(&*store, "many/", Some("many/0002")).await, expected[3..]);
}

async fn unusual_keys_are_kept_as_they_are(store: Arc<dyn ObjectStore>) {
    let mut unusual = [
        "ç/ã é",
        "a b",
        "a+b",
        "a%20b",
        "a%2Fb",
        "q?x=1&y",
        "frag#1",
        "k=v",
        "quote'\"",
        "<x>&amp;",
        "~!@$()*,;:",
        "日本/🦀",
    ];
    for key in unusual {
        create(&*store, key, key).await;
    }
    for key in unusual {
        assert_eq!(read(&*store, key).await.unwrap().0, key);
        assert_eq!(keys(&*store, key, None).await, [key]);
    }
    unusual.sort_unstable();
    assert_eq!(keys(&*store, "", None).await, unusual);
}

async fn bad_keys_are_refused(store: Arc<dyn ObjectStore>) {
    for key in ["", "/t", "t/", "a//b", "../t", "a/../../t", "./t", "a\\b", "a\nb", "a\0b", ".cdc-tmp/t"] {
        let put = store.put(key, &memory("x"), &Condition::Absent).await.unwrap_err();
        let get = store.get(key, None).await.err().expect("an error");
        assert_eq!((put.code(), get.code(), put.kind()), ("BadKey", "BadKey", Kind::Config), "{key:?}");
    }
    assert_eq!(store.list("../", None).await.unwrap_err().code(), "BadKey");
    assert!(store.list("", None).await.unwrap().is_empty());
}

fn large(seed: u8) -> Bytes {
    (0..LARGE).map(|i| (i % 251) as u8 ^ seed).collect::<Vec<u8>>().into()
}

async fn assert_content(store: &dyn ObjectStore, key: &str, expected: &Bytes, tag: &ETag) {
    let (bytes, found) = read_all(store, key, u64::MAX).await.unwrap().unwrap();
    assert_eq!(&found, tag);
    assert!(bytes == expected, "the content of {key} differs");
}

async fn a_large_object_obeys_the_same_conditions(store: Arc<dyn ObjectStore>) {
    let (first, second) = (large(0), large(1));
    let outcome = store.put("t", &Payload::Memory(first.clone()), &Condition::Absent).await.unwrap();
    let Put::Written(tag) = outcome else { panic!("refused where nothing is") };
    assert_content(&*store, "t", &first, &tag).await;

    let other = Payload::Memory(second.clone());
    assert_eq!(store.put("t", &other, &Condition::Absent).await.unwrap(), Put::Refused);
    assert_eq!(store.put("new", &other, &Condition::Matches(tag.clone())).await.unwrap(), Put::Refused);
    assert_content(&*store, "t", &first, &tag).await;

    let outcome = store.put("t", &other, &Condition::Matches(tag.clone())).await.unwrap();
    let Put::Written(replaced) = outcome else { panic!("refused with the current tag") };
    assert_content(&*store, "t", &second, &replaced).await;
    assert_eq!(store.put("t", &other, &Condition::Matches(tag)).await.unwrap(), Put::Refused);

    let (start, end) = (PART - 3, PART + 3);
    let range = ByteRange::Within(start as u64..end as u64);
    let object = store.get("t", Some(range)).await.unwrap().unwrap();
    let across = object.body.try_collect::<Vec<_>>().await.unwrap().concat();
    assert_eq!(across, second[start..end], "a range across two parts");
}

fn file(folder: &TempDir, content: &[u8]) -> Payload {
    let path = folder.path().join("payload");
    std::fs::write(&path, content).unwrap();
    Payload::File { path: path.into(), len: content.len() as u64 }
}

async fn a_file_is_stored_like_memory(store: Arc<dyn ObjectStore>) {
    let folder = tempfile::tempdir().unwrap();
    for (key, content) in [("empty", Bytes::new()), ("small", "content".into()), ("large", large(3))] {
        let outcome = store.put(key, &file(&folder, &content), &Condition::Absent).await.unwrap();
        let Put::Written(tag) = outcome else { panic!("refused where nothing is") };
        assert_content(&*store, key, &content, &tag).await;
        let same = store.put(key, &Payload::Memory(content), &Condition::Matches(tag.clone())).await.unwrap();
        assert_eq!(same, Put::Written(tag), "equal contents have equal tags");
    }
}

async fn a_file_of_another_length_is_not_stored(store: Arc<dyn ObjectStore>) {
    let folder = tempfile::tempdir().unwrap();
    for (content, len) in [("content", 8), ("content", 6), ("", 1)] {
        let Payload::File { path, .. } = file(&folder, content.as_bytes()) else { panic!("no file") };
        let error = store.put("t", &Payload::File { path, len }, &Condition::Absent).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Internal, "PayloadChanged"), "{len}");
    }
    let gone = Payload::File { path: folder.path().join("gone").into(), len: 1 };
    assert_eq!(store.put("t", &gone, &Condition::Absent).await.unwrap_err().code(), "PayloadChanged");
    assert!(store.list("", None).await.unwrap().is_empty());
}

async fn a_file_brought_ahead_obeys_the_same_conditions(store: Arc<dyn ObjectStore>) {
    let (stages, underway) = Stages::open(&*store, true);
    stages.go();
    for (key, content) in [("empty", Bytes::new()), ("small", "content".into()), ("large", large(4))] {
        let payload = Following::begin(&stages, key).finish(&content);
        assert!(store.get(key, None).await.unwrap().is_none(), "{key} is visible too early");
        let outcome = store.put(key, &payload, &Condition::Absent).await.unwrap();
        let Put::Written(tag) = outcome else { panic!("refused where nothing is") };
        assert_content(&*store, key, &content, &tag).await;

        let other = Following::begin(&stages, key).finish(&large(5));
        assert_eq!(store.put(key, &other, &Condition::Absent).await.unwrap(), Put::Refused);
        assert_content(&*store, key, &content, &tag).await;
        let outcome = store.put(key, &other, &Condition::Matches(tag.clone())).await.unwrap();
        let Put::Written(replaced) = outcome else { panic!("refused with the current tag, at the second try") };
        assert_content(&*store, key, &large(5), &replaced).await;
        assert_eq!(store.put(key, &other, &Condition::Matches(tag)).await.unwrap(), Put::Refused);
    }
    drop(stages);
    underway.ended().await;
}

async fn what_is_brought_ahead_belongs_to_its_key(store: Arc<dyn ObjectStore>) {
    let (stages, underway) = Stages::open(&*store, true);
    stages.go();
    let payload = Following::begin(&stages, "one").finish(&large(6));
    let outcome = store.put("other", &payload, &Condition::Absent).await.unwrap();
    let Put::Written(tag) = outcome else { panic!("refused where nothing is") };
    assert_content(&*store, "other", &large(6), &tag).await;
    let bad = Following::begin(&stages, "../t").finish(&large(6));
    assert_eq!(store.put("../t", &bad, &Condition::Absent).await.unwrap_err().code(), "BadKey");
    drop((payload, bad, stages));
    underway.ended().await;
    assert_eq!(keys(&*store, "", None).await, ["other"]);
}

async fn what_is_brought_ahead_and_not_put_is_no_object(store: Arc<dyn ObjectStore>) {
    let (stages, underway) = Stages::open(&*store, true);
    stages.go();
    let finished = Following::begin(&stages, "finished").finish(&large(7));
    let mut half = Following::begin(&stages, "half");
    half.write(&large(7));
    drop((finished, half, stages));
    underway.ended().await;
    assert!(store.list("", None).await.unwrap().is_empty());
    let (unwanted, _) = Stages::open(&*store, false);
    assert!(unwanted.begin("t", &std::path::PathBuf::from("nowhere").into()).is_none());
}

async fn a_link_is_the_object_or_none(store: Arc<dyn ObjectStore>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("name");
    assert!(store.link("t", &path).await.unwrap().is_none(), "nothing is there");
    let tag = create(&*store, "t", "content").await;
    if let Some(linked) = store.link("t", &path).await.unwrap() {
        assert_eq!(linked, (tag.clone(), 7));
        assert_eq!(std::fs::read(&path).unwrap(), b"content");
        let _ = store.put("t", &memory("newer"), &Condition::Matches(tag)).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"content", "a version stays what it is");
        assert!(store.link("t", &path).await.unwrap().is_none(), "the name is taken");
    }
    assert!(!matches!(store.link("../t", &folder.path().join("bad")).await, Ok(Some(_))));
}

/// Versions of many pieces, each of one letter alone, so that a mixture shows.
fn version(number: usize) -> Payload {
    let letter = b'a' + (number % 26) as u8;
    Payload::Memory(vec![letter; 600_000 + number].into())
}

async fn readers_see_whole_versions_while_writers_write(store: Arc<dyn ObjectStore>) {
    assert!(matches!(store.put("t", &version(0), &Condition::Absent).await.unwrap(), Put::Written(_)));
    let writing = (0..3).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for number in (writer * 100..).take(15) {
                let tag = store.get("t", None).await.unwrap().unwrap().etag;
                let _ = store.put("t", &version(number), &Condition::Matches(tag)).await.unwrap();
            }
        })
    });
    let reading = (0..3).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..15 {
                let object = store.get("t", None).await.unwrap().unwrap();
                let content = object.body.try_collect::<Vec<_>>().await.unwrap().concat();
                assert_eq!(content.len() as u64, object.len);
                assert!(content.iter().all(|byte| *byte == content[0]), "a mixture of versions");
            }
        })
    });
    for task in join_all(writing.chain(reading.collect::<Vec<_>>())).await {
        task.unwrap();
    }
}

async fn a_reader_limits_what_it_takes(store: Arc<dyn ObjectStore>) {
    create(&*store, "t", "0123456789").await;
    assert_eq!(read_all(&*store, "t", 10).await.unwrap().unwrap().0, "0123456789");
    let error = read_all(&*store, "t", 9).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Data, "ObjectTooLarge"));
    assert!(read_all(&*store, "nothing", 9).await.unwrap().is_none());
}
