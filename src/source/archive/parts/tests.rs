use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::write::FullFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::table::{TableFile, TableName};
use crate::workspace::Workspace;

const LIMITS: Limits = Limits { max_uncompressed_bytes: 1 << 40, max_compression_ratio: 1 << 20 };

/// A member and how it is written.
#[derive(Clone, Debug)]
struct Written {
    name: String,
    content: Vec<u8>,
    stored: bool,
    large: bool,
    comment: bool,
}

#[derive(Clone, Debug)]
struct Shape {
    members: Vec<Written>,
    prefix: Vec<u8>,
    comment: Vec<u8>,
    /// Whether the end records are those of ZIP64.
    zip64: bool,
    /// Written as a stream: sizes and checksums come after the data.
    descriptors: bool,
    tail: u64,
}

fn written(name: String) -> impl Strategy<Value = Written> {
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3000),
        (0_usize..200).prop_map(|rows| b"1;a\n2;b\n".repeat(rows)),
    ];
    (content, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(move |(content, stored, large, comment)| Written {
        name: name.clone(),
        content,
        stored,
        large,
        comment,
    })
}

fn shape() -> impl Strategy<Value = Shape> {
    let others = prop::collection::vec(any::<u8>(), 0..6).prop_flat_map(|others| {
        let named = others.iter().enumerate().map(|(index, _)| written(format!("other/{index}.csv")));
        named.collect::<Vec<_>>()
    });
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    let table = (0_usize..7, written("data/t.csv".to_owned()));
    (others, table, bytes(500), bytes(300), any::<(bool, bool)>(), 1_u64..4000).prop_map(
        |(mut members, (place, table), prefix, comment, (zip64, descriptors), tail)| {
            members.insert(place.min(members.len()), table);
            Shape { members, prefix, comment, zip64, descriptors, tail }
        },
    )
}

fn fill<W: Write + Seek>(writer: &mut ZipWriter<W>, shape: &Shape) {
    for member in &shape.members {
        let method = if member.stored { CompressionMethod::Stored } else { CompressionMethod::Deflated };
        let mut options = FullFileOptions::default().compression_method(method).large_file(member.large);
        if member.comment {
            options = options.with_file_comment("a comment");
        }
        writer.start_file(&member.name, options).unwrap();
        writer.write_all(&member.content).unwrap();
    }
    if shape.zip64 {
        writer.set_raw_zip64_extensible_data_sector(b"anything".to_vec().into_boxed_slice());
    }
    writer.set_raw_comment(shape.comment.clone().into_boxed_slice()).unwrap();
}

fn archive(shape: &Shape) -> Vec<u8> {
    let bytes = if shape.descriptors {
        let mut writer = ZipWriter::new_stream(Vec::new());
        fill(&mut writer, shape);
        writer.finish().unwrap().into_inner()
    } else {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        fill(&mut writer, shape);
        writer.finish().unwrap().into_inner()
    };
    [shape.prefix.as_slice(), &bytes].concat()
}

fn table() -> TableName {
    TableName::parse("t").unwrap()
}

fn read(archive: &Archive, workspace: &Workspace) -> Vec<u8> {
    let TableFile::Csv(_) = archive.table(&table(), workspace).unwrap() else { panic!("no CSV") };
    let member = archive.find(FileChoice::from(&table())).unwrap()[0].0;
    let mut bytes = Vec::new();
    archive.read(member).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// Fetches from `whole` what is asked for, beginning with its last `tail` bytes; with the ranges that were asked for.
fn fetched(path: PathBuf, whole: &[u8], tail: u64) -> (Next, Vec<Range<u64>>) {
    fetched_for(FileChoice::from(&table()), path, whole, tail)
}

fn fetched_for(choice: FileChoice<'_>, path: PathBuf, whole: &[u8], tail: u64) -> (Next, Vec<Range<u64>>) {
    let len = whole.len() as u64;
    let mut parts = Parts::create(path, len).unwrap();
    let mut wanted = len - tail.min(len)..len;
    let mut asked = Vec::new();
    for _ in 0..64 {
        let part = usize::try_from(wanted.start).unwrap()..usize::try_from(wanted.end).unwrap();
        parts.write(wanted.start, &whole[part]).unwrap();
        asked.push(wanted);
        match parts.next(choice, LIMITS) {
            Next::Fetch(range) => wanted = range,
            other => return (other, asked),
        }
    }
    panic!("no end of parts: {asked:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_archive_read_in_parts_is_the_one_that_is_read_whole(shape in shape()) {
        let whole = archive(&shape);
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(folder.path()).unwrap();
        let path = folder.path().join("whole.zip");
        std::fs::write(&path, &whole).unwrap();
        let expected = read(&Archive::open(&path, LIMITS).unwrap(), &workspace);
        let (next, asked) = fetched(folder.path().join("parts.zip"), &whole, shape.tail);
        let Next::Ready(parts) = next else { panic!("the whole was wanted after {asked:?}") };
        prop_assert!(parts.is_intact(FileChoice::from(&table())));
        prop_assert_eq!(read(&parts, &workspace), expected);
        for (index, range) in asked.iter().enumerate() {
            prop_assert!(range.start < range.end);
            prop_assert!(asked[..index].iter().all(|other| other.end <= range.start || range.end <= other.start));
        }
    }
}

fn shape_of(sizes: &[(&str, usize)]) -> Shape {
    let noise = |len: usize| (0..len as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    let member = |(name, len): &(&str, usize)| Written {
        name: (*name).to_owned(),
        content: noise(*len),
        stored: true,
        large: false,
        comment: false,
    };
    let members = sizes.iter().map(member).collect();
    Shape { members, prefix: Vec::new(), comment: Vec::new(), zip64: false, descriptors: false, tail: 1000 }
}

#[test]
fn of_a_large_archive_only_the_directory_and_the_member_are_fetched() {
    let shape = shape_of(&[("a.csv", 4_000_000), ("t.csv", 300_000), ("z.csv", 5_000_000)]);
    let folder = tempfile::tempdir().unwrap();
    let (next, asked) = fetched(folder.path().join("parts.zip"), &archive(&shape), 4000);
    assert!(matches!(next, Next::Ready(_)));
    let fetched: u64 = asked.iter().map(|range| range.end - range.start).sum();
    assert!((304_000..305_000).contains(&fetched) && asked.len() == 2, "{asked:?}");
}

#[test]
fn of_a_table_of_several_members_those_are_fetched_and_neighbours_at_once() {
    let sizes = [("a.csv", 900_000), ("s/1.csv", 5000), ("s/2.csv", 6000), ("b.csv", 900_000), ("s/3.csv", 7000)];
    let (shape, folder, name) = (shape_of(&sizes), tempfile::tempdir().unwrap(), table());
    let choice = FileChoice { name: &name, file: Some("s/*") };
    let (next, asked) = fetched_for(choice, folder.path().join("parts.zip"), &archive(&shape), 1000);
    let Next::Ready(parts) = next else { panic!("{next:?}") };
    let fetched: u64 = asked.iter().map(|range| range.end - range.start).sum();
    assert!((18_000..21_000).contains(&fetched) && asked.len() == 4, "{asked:?}");
    assert!(parts.is_intact(choice));
    let read = |(member, _): (&Member, _)| {
        let mut bytes = Vec::new();
        parts.read(member).unwrap().read_to_end(&mut bytes).unwrap();
        (member.name.clone(), bytes.len())
    };
    let read: Vec<_> = parts.find(choice).unwrap().into_iter().map(read).collect();
    assert_eq!(read, [("s/1.csv".to_owned(), 5000), ("s/2.csv".to_owned(), 6000), ("s/3.csv".to_owned(), 7000)]);
}

#[test]
fn a_table_that_is_not_there_is_told_with_the_near_name() {
    let folder = tempfile::tempdir().unwrap();
    let (next, _) = fetched(folder.path().join("parts.zip"), &archive(&shape_of(&[("tt.csv", 10)])), 1000);
    let Next::Ready(listing) = next else { panic!("{next:?}") };
    let workspace = Workspace::create(folder.path()).unwrap();
    let Err(error) = listing.table(&table(), &workspace) else { panic!("there is no such file") };
    assert_eq!(error.code(), "TableMissing");
    assert!(error.advice().unwrap().contains("`tt.csv`"), "{error:?}");
}

#[test]
fn a_bit_that_was_turned_on_the_way_is_noticed() {
    let mut whole = archive(&shape_of(&[("t.csv", 1000)]));
    whole[500] ^= 1;
    let folder = tempfile::tempdir().unwrap();
    let (next, _) = fetched(folder.path().join("parts.zip"), &whole, 100);
    let Next::Ready(parts) = next else { panic!("{next:?}") };
    assert!(!parts.is_intact(FileChoice::from(&table())));
}

#[test]
fn what_is_out_of_the_ordinary_is_left_to_the_reader_of_the_whole() {
    let whole = archive(&shape_of(&[("t.csv", 1000), ("u.csv", 10)]));
    let folder = tempfile::tempdir().unwrap();
    let asks_for_the_whole = |bytes: &[u8]| {
        let (next, _) = fetched(folder.path().join("parts.zip"), bytes, 200);
        matches!(next, Next::Whole)
    };
    assert!(asks_for_the_whole(b"<html>sign in</html>") && asks_for_the_whole(&vec![0; 5000]));
    let sizes = whole.windows(4).rposition(|bytes| bytes == 1000_u32.to_le_bytes()).unwrap();
    let mut longer = whole.clone();
    longer[sizes - 4..sizes].copy_from_slice(&2000_u32.to_le_bytes());
    assert!(asks_for_the_whole(&longer));
}

#[test]
fn parts_join_in_whatever_order_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let mut parts = Parts::create(folder.path().join("parts.zip"), 100).unwrap();
    for (at, len) in [(50, 10), (0, 10), (70, 10), (10, 40), (60, 10)] {
        parts.write(at, &vec![1; len]).unwrap();
    }
    assert_eq!((parts.here.len(), parts.here[0].clone(), parts.present()), (1, 0..80, 80));
    assert_eq!((parts.first_missing(5, 100), parts.gap(80, 90)), (Some(80), 80..90));
}
