//! What stores do with a file that is still being written, and what is left of it when it is not stored.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use cdc_to_s3::Kind;
use cdc_to_s3::lake::store::{
    Ahead, Condition, DirStore, Growth, ObjectStore, Payload, Put, S3Options, S3Store, Stages, Underway,
};
use cdc_to_s3::workspace::WorkFile;
use tempfile::TempDir;

use super::s3::{aborts, begun, client, completed, part};
use super::{create, read};
use crate::support::emulator;
use crate::support::script::{Answer, Server};

/// A file that is being written, and followed where a store does that.
pub(super) struct Following {
    path: WorkFile,
    file: File,
    len: u64,
    staged: Option<(Growth, Ahead)>,
    folder: TempDir,
}

impl Following {
    pub(super) fn begin(stages: &Stages, key: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = WorkFile::from(folder.path().join("file"));
        let staged = stages.begin(key, &path);
        Self { file: File::create(&path).unwrap(), path, len: 0, staged, folder }
    }

    pub(super) fn write(&mut self, content: &[u8]) {
        for piece in content.chunks(100_003) {
            self.file.write_all(piece).unwrap();
            self.len += piece.len() as u64;
            if let Some((growth, _)) = &self.staged {
                growth.grow(piece.len());
            }
        }
    }

    /// Writes the rest. The file stays as long as the process, which is not long.
    pub(super) fn finish(mut self, content: &[u8]) -> Payload {
        self.write(content);
        let _ = self.folder.keep();
        let (path, len) = (self.path, self.len);
        match self.staged {
            Some((growth, ahead)) => {
                growth.complete();
                Payload::Staged { path, len, ahead }
            }
            None => Payload::File { path, len },
        }
    }
}

/// A store for which four bytes are a part; one part at a time, so that answers find their requests.
async fn scripted(answers: impl IntoIterator<Item = Answer>) -> (Server, S3Store, Stages, Underway) {
    let server = Server::start(answers).await;
    let options =
        S3Options { multipart_threshold: 100, part_size: 4, concurrent_parts: 1, ..S3Options::new("bucket", "lake") };
    let store = S3Store::new(client(&server.endpoint), options);
    let (stages, underway) = Stages::open(&store, true);
    stages.go();
    (server, store, stages, underway)
}

/// Waits until the server was asked so often.
async fn asked(server: &Server, count: usize) {
    while server.asked().len() < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn done() -> Answer {
    Answer::status(204)
}

fn object() -> Answer {
    Answer::status(200).header("etag", "\"whole\"")
}

#[tokio::test]
async fn parts_are_uploaded_while_the_file_is_written_and_completed_by_the_put() {
    let (server, store, stages, _underway) = scripted([begun(), part(), part(), part(), completed()]).await;
    let mut file = Following::begin(&stages, "t");
    file.write(b"01234567");
    asked(&server, 3).await;
    let payload = file.finish(b"89");
    asked(&server, 4).await;
    let Put::Written(tag) = store.put("t", &payload, &Condition::Absent).await.unwrap() else { panic!("refused") };
    let asked = server.asked();
    assert_eq!((tag.0.as_str(), asked.len(), aborts(&server)), ("\"v1-3\"", 5, 0));
    assert!(asked[0].target.starts_with("/bucket/lake/t?uploads"), "{}", asked[0].target);
    assert!((1..4).all(|number| asked[number].target.contains(&format!("partNumber={number}"))));
    assert_eq!((asked[4].header("if-none-match"), asked[4].header("x-amz-mp-object-size")), ("*", "10"));
}

/// The parts of an unchanged table were sent, and aborted, at every new version.
#[tokio::test]
async fn nothing_is_sent_before_the_files_are_wanted_and_all_of_it_then() {
    let server = Server::start([begun(), part(), part(), part(), completed(), object()]).await;
    let options = S3Options { part_size: 4, concurrent_parts: 1, ..S3Options::new("bucket", "lake") };
    let store = S3Store::new(client(&server.endpoint), options);
    let (stages, underway) = Stages::open(&store, true);
    let dropped = Following::begin(&stages, "dropped").finish(b"0123456789");
    drop(dropped);
    let mut file = Following::begin(&stages, "t");
    file.write(b"01234567");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(server.asked().is_empty());
    stages.go();
    asked(&server, 3).await;
    let payload = file.finish(b"89");
    assert!(matches!(store.put("t", &payload, &Condition::Absent).await.unwrap(), Put::Written(_)));
    assert_eq!((server.asked().len(), aborts(&server)), (5, 0));
    drop((payload, stages));
    underway.ended().await;

    let (stages, underway) = Stages::open(&store, true);
    let payload = Following::begin(&stages, "t").finish(b"0123");
    assert!(matches!(store.put("t", &payload, &Condition::Absent).await.unwrap(), Put::Written(_)));
    drop((payload, stages));
    underway.ended().await;
}

#[tokio::test]
async fn a_file_of_one_part_is_a_single_put() {
    let (server, store, stages, _underway) = scripted([object()]).await;
    let payload = Following::begin(&stages, "t").finish(b"0123");
    assert!(matches!(store.put("t", &payload, &Condition::Absent).await.unwrap(), Put::Written(_)));
    let asked = server.asked();
    assert_eq!((asked.len(), asked[0].method.as_str(), asked[0].header("if-none-match")), (1, "PUT", "*"));
}

#[tokio::test]
async fn a_refused_completion_is_aborted_and_the_next_try_stores_the_file_anew() {
    for (status, code) in [(412, "PreconditionFailed"), (200, "PreconditionFailed")] {
        let answers = [begun(), part(), part(), part(), Answer::error(status, code), done(), object()];
        let (server, store, stages, _underway) = scripted(answers).await;
        let payload = Following::begin(&stages, "t").finish(b"0123456789");
        assert_eq!(store.put("t", &payload, &Condition::Absent).await.unwrap(), Put::Refused);
        assert_eq!(aborts(&server), 1);
        assert!(matches!(store.put("t", &payload, &Condition::Absent).await.unwrap(), Put::Written(_)));
        assert_eq!(server.asked()[6].method, "PUT");
    }
}

#[tokio::test]
async fn a_completion_without_a_clear_answer_leaves_the_outcome_open() {
    let cases = [(409, "ConditionalRequestConflict", "StoreConflict"), (404, "NoSuchUpload", "UploadAborted")];
    for (status, code, ours) in cases {
        let answers = [begun(), part(), part(), part(), Answer::error(status, code), done(), object()];
        let (server, store, stages, _underway) = scripted(answers).await;
        let payload = Following::begin(&stages, "t").finish(b"0123456789");
        let error = store.put("t", &payload, &Condition::Absent).await.unwrap_err();
        assert_eq!((error.kind(), error.code(), aborts(&server)), (Kind::Transient, ours, 1), "{code}");
        assert!(matches!(store.put("t", &payload, &Condition::Absent).await.unwrap(), Put::Written(_)));
    }
}

#[tokio::test]
async fn an_upload_ahead_that_fails_is_aborted_and_the_put_stores_the_file() {
    let slow = || Answer::error(503, "SlowDown");
    let failing_part = vec![begun(), part(), slow(), slow(), slow(), done(), object()];
    let failing_beginning = vec![slow(), slow(), slow(), object()];
    let denied = vec![Answer::error(403, "AccessDenied"), object()];
    for (answers, aborted) in [(failing_part, 1), (failing_beginning, 0), (denied, 0)] {
        let count = answers.len() - 1;
        let (server, store, stages, _underway) = scripted(answers).await;
        let payload = Following::begin(&stages, "t").finish(b"0123456789");
        asked(&server, count).await;
        assert!(matches!(store.put("t", &payload, &Condition::Absent).await.unwrap(), Put::Written(_)));
        assert_eq!((server.asked().len(), aborts(&server)), (count + 1, aborted));
    }
}

#[tokio::test]
async fn what_is_not_put_is_aborted_before_the_work_has_ended() {
    let (server, _store, stages, underway) = scripted([begun(), part(), part(), part(), done()]).await;
    let payload = Following::begin(&stages, "t").finish(b"0123456789");
    asked(&server, 4).await;
    drop((payload, stages));
    underway.ended().await;
    assert_eq!((server.asked().len(), aborts(&server)), (5, 1));

    // While a part is under way, of a file that will never be complete.
    let (server, _store, stages, underway) = scripted([begun(), part().after(Duration::from_secs(60)), done()]).await;
    let mut file = Following::begin(&stages, "t");
    file.write(b"01234567");
    asked(&server, 2).await;
    drop((file, stages));
    underway.ended().await;
    assert_eq!(aborts(&server), 1);
}

#[tokio::test]
async fn a_put_that_is_broken_off_takes_its_upload_back() {
    let slow = completed().after(Duration::from_secs(60));
    let (server, store, stages, underway) = scripted([begun(), part(), part(), part(), slow, done()]).await;
    let payload = Following::begin(&stages, "t").finish(b"0123456789");
    let put = store.put("t", &payload, &Condition::Absent);
    tokio::select! {
        put = put => panic!("{put:?}"),
        () = asked(&server, 5) => {}
    }
    drop((payload, stages));
    underway.ended().await;
    assert_eq!(aborts(&server), 1);
}

#[tokio::test]
async fn no_more_parts_are_under_way_at_once_than_configured() {
    let pause = Duration::from_millis(20);
    let answers = std::iter::once(begun()).chain((0..25).map(|_| part().after(pause))).chain([completed()]);
    let server = Server::start(answers).await;
    let options = S3Options { part_size: 4, concurrent_parts: 3, ..S3Options::new("bucket", "lake") };
    let store = S3Store::new(client(&server.endpoint), options);
    let (stages, _underway) = Stages::open(&store, true);
    stages.go();
    let payload = Following::begin(&stages, "t").finish(&[b'x'; 100]);
    assert!(matches!(store.put("t", &payload, &Condition::Absent).await.unwrap(), Put::Written(_)));
    assert_eq!((server.asked().len(), server.most_at_once()), (27, 3));
}

#[tokio::test]
async fn no_upload_ahead_is_left_in_the_bucket() {
    let (client, bucket) = emulator::bucket().await;
    let options = S3Options { multipart_threshold: 4, part_size: 4, ..S3Options::new(&bucket, "") };
    let store = S3Store::new(client.clone(), options);
    let (stages, underway) = Stages::open(&store, true);
    stages.go();
    create(&store, "t", "old").await;
    let written = Following::begin(&stages, "new").finish(b"0123456789");
    assert!(matches!(store.put("new", &written, &Condition::Absent).await.unwrap(), Put::Written(_)));
    let refused = Following::begin(&stages, "t").finish(b"0123456789");
    assert_eq!(store.put("t", &refused, &Condition::Absent).await.unwrap(), Put::Refused);
    let dropped = Following::begin(&stages, "dropped").finish(b"0123456789");
    let mut half = Following::begin(&stages, "half");
    half.write(b"01234567");
    while client.list_multipart_uploads().bucket(&bucket).send().await.unwrap().uploads().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop((written, refused, dropped, half, stages));
    underway.ended().await;
    let left = client.list_multipart_uploads().bucket(&bucket).send().await.unwrap();
    assert_eq!(left.uploads().len(), 0);
    assert_eq!(read(&store, "t").await.unwrap().0, "old");
    assert_eq!(read(&store, "new").await.unwrap().0, "0123456789");
    assert_eq!(store.list("", None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_folder_stages_a_finished_file_before_its_put_and_removes_one_that_is_not_put() {
    let root = tempfile::tempdir().unwrap();
    let store = DirStore::new(root.path());
    let (stages, underway) = Stages::open(&store, true);
    stages.go();
    let temporary = || {
        let entries = fs::read_dir(root.path().join(".cdc-tmp")).into_iter().flatten();
        entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|name| name == "tmp")).count()
    };
    let payloads = ["a/put", "a/dropped"].map(|key| Following::begin(&stages, key).finish(b"content"));
    while temporary() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(store.list("", None).await.unwrap().is_empty());
    assert!(matches!(store.put("a/put", &payloads[0], &Condition::Absent).await.unwrap(), Put::Written(_)));
    assert_eq!(temporary(), 1);
    drop((payloads, stages));
    underway.ended().await;
    assert_eq!(temporary(), 0);
    assert_eq!(store.list("", None).await.unwrap().len(), 1);
}
