//! One table of an archive, fetched in parts: what is asked for, and every fault of the way.

use std::sync::Mutex;

use cdc_to_s3::config::Limits;
use cdc_to_s3::source::Source;
use cdc_to_s3::source::archive;
use cdc_to_s3::table::{FileChoice, TableFile, TableName};
use cdc_to_s3::workspace::Workspace;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::support::kaggle::Hashes;

/// The end of an archive that is fetched first.
const TAIL: usize = 128 << 10;
const LEN: usize = 600_000;

/// A member that does not compress, between others.
fn dataset_of(content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in [("a.csv", &archive(LEN)[..]), ("t.csv", content), ("z.csv", &archive(LEN))] {
        writer.start_file(name, stored).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Rows of different content.
fn rows(seed: u64) -> Vec<u8> {
    let numbers = (0..20_000_u64).map(|row| format!("{row},{}\n", (row + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    "id,v\n".to_owned().into_bytes().into_iter().chain(numbers.flat_map(String::into_bytes)).collect()
}

/// A stand-in with that dataset as version 1.
struct Parts {
    rig: Rig,
    source: Source,
    content: Vec<u8>,
}

impl Parts {
    async fn new() -> Self {
        Self::with(settings()).await
    }

    async fn with(settings: Settings) -> Self {
        let (rig, content) = (Rig::new().await, rows(1));
        rig.kaggle.publish(1, dataset_of(&content));
        let client = Arc::new(client(&rig.kaggle.url(), CredentialCache::fixed(token(TOKEN)), settings));
        let source = Source::Kaggle {
            client,
            dataset: dataset(),
            limits: Limits::default(),
            version: None,
            not_ready_after: None,
        };
        Self { rig, source, content }
    }

    fn faults(&self, faults: impl IntoIterator<Item = Fault>) -> &Self {
        self.rig.faults(Endpoint::Storage, faults);
        self
    }

    async fn fetch(&self) -> Result<Vec<u8>, Error> {
        self.fetch_with(&|_, _| {}).await
    }

    /// The bytes of the table's file.
    async fn fetch_with(&self, progress: &(dyn Fn(u64, Option<u64>) + Send + Sync)) -> Result<Vec<u8>, Error> {
        let workspace = Workspace::create(self.rig.folder.path()).unwrap();
        let archive = self.archive(&workspace, progress).await?;
        let TableFile::Csv(file) = archive.table(&table(), &workspace)? else { panic!("no CSV") };
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file.bytes()?, &mut bytes).unwrap();
        Ok(bytes)
    }

    async fn archive(
        &self,
        workspace: &Workspace,
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> Result<archive::Archive, Error> {
        let version = cdc_to_s3::position::Position::Version(1);
        self.source.snapshot_of(&table(), &version, workspace, Deadline::NONE, progress).await
    }

    /// Fetches the table, which must be exactly what was published.
    async fn expect_table(&self) {
        assert!(self.fetch().await.unwrap() == self.content, "the table differs from what was published");
    }

    /// How many bytes the whole archive has.
    fn whole(&self) -> usize {
        dataset_of(&self.content).len()
    }
}

fn table() -> TableName {
    TableName::parse("t").unwrap()
}

/// The part of the first request, and that of the table's member.
fn ranges_of(parts: &Parts) -> (Option<String>, Option<String>) {
    (Some(format!("bytes=-{TAIL}")), member_from(parts, 0))
}

/// The part of the table's member without its first bytes.
fn member_from(parts: &Parts, skipped: usize) -> Option<String> {
    let header = 30 + "t.csv".len();
    let start = header + LEN;
    Some(format!("bytes={}-{}", start + skipped, start + header + parts.content.len() - 1))
}

#[tokio::test]
async fn only_the_end_and_the_tables_own_member_are_asked_for() {
    let parts = Parts::new().await;
    parts.expect_table().await;
    let (tail, member) = ranges_of(&parts);
    assert_eq!(parts.rig.ranges(), [tail, member]);
    let seen = parts.rig.kaggle.requests_for(Endpoint::Storage);
    assert_eq!((seen[0].header("if-range"), seen[1].header("if-range").is_some()), (None, true));
    assert!(seen.iter().all(|seen| seen.header("authorization").is_none() && seen.method == "GET"));
    assert_eq!(parts.rig.count(Endpoint::DownloadDataset), 1);
    assert_eq!(files(parts.rig.folder.path()), [""; 0]);
}

#[tokio::test]
async fn a_cut_or_silent_part_goes_on_where_it_stopped() {
    for fault in [cut_after(100_000), Fault { stall_after: Some(100_000), ..Fault::default() }] {
        let parts = Parts::new().await;
        parts.faults([Fault::default(), fault]).expect_table().await;
        let (tail, member) = ranges_of(&parts);
        assert_eq!(parts.rig.ranges(), [tail, member, member_from(&parts, 100_000)]);
    }
}

#[tokio::test]
async fn a_cut_end_and_a_storage_in_trouble_are_tried_again() {
    for fault in [cut_after(10), status(503), status(429), status(408)] {
        let parts = Parts::new().await;
        parts.faults([fault.clone(), Fault::default(), fault]).expect_table().await;
        assert_eq!(parts.rig.count(Endpoint::Storage), 4);
    }
}

#[tokio::test]
async fn tries_are_bounded_and_tell_no_secret() {
    for (fault, code) in [(status(503), "KaggleUnavailable"), (status(429), "KaggleThrottled")] {
        let parts = Parts::new().await;
        let error = parts.faults(vec![fault; 9]).fetch().await.unwrap_err();
        assert_eq!((error.code(), parts.rig.count(Endpoint::Storage)), (code, 4));
        assert_tells_no_secret(&error);
        assert_eq!(files(parts.rig.folder.path()), [""; 0]);
    }
}

#[tokio::test]
async fn a_link_that_expires_in_between_is_renewed_and_the_bytes_are_kept() {
    let parts = Parts::new().await;
    for refusal in [400, 401, 403] {
        parts.faults([Fault::default(), cut_after(1000), status(refusal)]).expect_table().await;
    }
    assert_eq!(parts.rig.count(Endpoint::DownloadDataset), 6);
    let bound = Parts::new().await;
    let error = bound.faults([Fault::default()]).faults(vec![status(403); 9]).fetch().await.unwrap_err();
    assert_eq!((error.code(), bound.rig.count(Endpoint::DownloadDataset)), ("KaggleUnavailable", 3));
}

#[tokio::test]
async fn from_a_storage_without_ranges_the_whole_archive_is_fetched() {
    let without = Fault { ignore_range: true, ..Fault::default() };
    let first = Parts::new().await;
    first.faults([without.clone()]).expect_table().await;
    assert_eq!(first.rig.ranges(), [ranges_of(&first).0, None]);
    let second = Parts::new().await;
    second.faults([Fault::default(), without]).expect_table().await;
    let (tail, member) = ranges_of(&second);
    assert_eq!(second.rig.ranges(), [tail, member, None]);
}

#[tokio::test]
async fn a_part_other_than_the_one_asked_for_is_not_taken() {
    let parts = Parts::new().await;
    let (whole, wrong) = (parts.whole(), |range: String| Fault { content_range: Some(range), ..Fault::default() });
    parts.faults([wrong(format!("bytes 0-{}/{whole}", TAIL - 1)), wrong("nonsense".to_owned()), Fault::default()]);
    parts.faults([wrong(format!("bytes 5-9/{whole}"))]).expect_table().await;
    let (tail, member) = ranges_of(&parts);
    assert_eq!(parts.rig.ranges(), [tail.clone(), tail.clone(), tail, member.clone(), member]);
}

#[tokio::test]
async fn a_dataset_that_is_replaced_in_between_is_read_anew() {
    for hashes in [Hashes::Joined, Hashes::None] {
        let mut parts = Parts::new().await;
        let replaced = rows(7);
        parts.faults([Fault { hashes, ..Fault::default() }, Fault { hashes, ..cut_after(1000) }]);
        let done = Mutex::new(false);
        let swap = |_, _| {
            if !std::mem::replace(&mut *done.lock().unwrap(), true) {
                parts.rig.kaggle.stage(1, dataset_of(&replaced));
            }
        };
        let fetched = parts.fetch_with(&swap).await.unwrap();
        assert!(fetched == replaced, "parts of two archives were put together");
        parts.content = replaced;
        let (tail, member) = ranges_of(&parts);
        assert_eq!(parts.rig.ranges()[3..], [tail, member]);
    }
}

#[tokio::test]
async fn without_a_tag_another_length_shows_that_the_object_is_another_one() {
    let parts = Parts::new().await;
    let untagged = || Fault { etag: Some(String::new()), hashes: Hashes::None, ..Fault::default() };
    let longer = Fault { content_range: Some(format!("bytes 5-9/{}", parts.whole() + 1)), ..untagged() };
    parts.faults([untagged(), longer, untagged(), untagged()]).expect_table().await;
    let (tail, member) = ranges_of(&parts);
    assert_eq!(parts.rig.ranges(), [tail.clone(), member.clone(), tail, member]);
}

#[tokio::test]
async fn a_member_that_comes_damaged_is_fetched_again_and_at_last_as_a_whole() {
    let once = Parts::new().await;
    let damaged = Fault { corrupt: true, ..Fault::default() };
    once.faults([Fault::default(), damaged.clone()]).expect_table().await;
    assert_eq!(once.rig.count(Endpoint::Storage), 4);
    let always = Parts::new().await;
    always.faults((0..3).flat_map(|_| [Fault::default(), damaged.clone()])).expect_table().await;
    assert_eq!(always.rig.ranges().last(), Some(&None));
    assert_eq!(always.rig.count(Endpoint::Storage), 7);
}

#[tokio::test]
async fn a_version_that_is_gone_or_not_ready_is_told_as_ever() {
    let parts = Parts::new().await;
    parts.rig.kaggle.publish(2, dataset_of(b"id,v\n"));
    parts.rig.kaggle.remove(1);
    assert_eq!(parts.fetch().await.unwrap_err().code(), "VersionGone");
    parts.rig.kaggle.announce(1);
    assert_eq!(parts.fetch().await.unwrap_err().code(), "VersionNotReady");
}

#[tokio::test]
async fn a_table_of_several_members_is_fetched_in_parts() {
    let parts = Parts::new().await;
    let workspace = Workspace::create(parts.rig.folder.path()).unwrap();
    let (name, version) = (TableName::parse("both").unwrap(), cdc_to_s3::position::Position::Version(1));
    let choice = FileChoice { name: &name, file: Some("[az].csv") };
    let fetched = Mutex::new(0);
    let progress = |done, _| *fetched.lock().unwrap() = done;
    let archive = parts.source.snapshot_of(choice, &version, &workspace, Deadline::NONE, &progress).await.unwrap();
    let TableFile::Set(set) = archive.table(choice, &workspace).unwrap() else { panic!("no set") };
    let names: Vec<&str> = set.parts().iter().map(TableFile::name).collect();
    assert_eq!(names, ["a.csv", "z.csv"]);
    for part in set.parts() {
        let TableFile::Csv(file) = part else { panic!("no CSV") };
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file.bytes().unwrap(), &mut bytes).unwrap();
        assert!(bytes == super::archive(LEN));
    }
    assert!(parts.rig.count(Endpoint::Storage) <= 3);
}

#[tokio::test]
async fn a_table_that_is_not_there_costs_no_download() {
    let parts = Parts::new().await;
    let workspace = Workspace::create(parts.rig.folder.path()).unwrap();
    let (other, version) = (TableName::parse("other").unwrap(), cdc_to_s3::position::Position::Version(1));
    let listing = parts.source.snapshot_of(&other, &version, &workspace, Deadline::NONE, &|_, _| {}).await.unwrap();
    let Err(error) = listing.table(&other, &workspace) else { panic!("there is no such file") };
    assert_eq!(error.code(), "TableMissing");
    assert_eq!(parts.rig.count(Endpoint::Storage), 1);
}

#[tokio::test]
async fn too_small_a_disk_is_noticed_before_the_member_comes() {
    let parts = Parts::with(Settings { disk_margin: u64::MAX, ..settings() }).await;
    assert_eq!(parts.fetch().await.unwrap_err().code(), "DiskFull");
    assert_eq!(parts.rig.count(Endpoint::Storage), 1);
}
