//! Zip archives that lie, explode, hide or lead astray.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use cdc_to_s3::request::Approval;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::forge::{Entry, archive};
use crate::support::lab::{Lab, failure, zip};

const GOOD: &[u8] = b"id,v\n1,a\n2,b\n3,c\n";
const NEXT: &[u8] = b"id,v\n1,a\n2,B\n3,c\n4,d\n";

fn lab(limits: Value) -> Lab {
    let mut lab = Lab::with_limits(json!([{"name": "t", "pk": "id"}]), limits);
    lab.csv_ok(GOOD);
    lab
}

/// The same, which may read its table from another file than before.
fn anywhere(limits: Value) -> Lab {
    let mut lab = lab(limits);
    lab.approval = Approval::All;
    lab
}

/// Runs over the archive, which must fail with this code and change nothing; the message with its hint.
#[track_caller]
fn refused(lab: &mut Lab, bytes: &[u8], code: &str) -> String {
    let before = lab.objects();
    let message = match lab.run_zip(bytes) {
        Ok(report) => failure(&report.tables[0], code),
        Err(error) => {
            assert_eq!(error.code(), code, "{error:?}");
            format!("{error} ({})", error.advice().unwrap())
        }
    };
    lab.assert_objects(&before);
    message
}

#[track_caller]
fn refuses(entries: &[Entry], code: &str, names: &str) {
    let message = refused(&mut anywhere(Value::Null), &archive(entries), code);
    assert!(message.contains(names), "{message}");
}

/// 70 MB of blank lines as a deflate stream of some kilobytes, made of one block again and again.
fn deflated_lines() -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&[b'\n'; 1 << 20]).unwrap();
    encoder.flush().unwrap();
    let last_block = [3, 0].as_slice();
    [encoder.get_ref().repeat(70).as_slice(), last_block].concat()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_forge_makes_archives_that_are_read() {
    for entry in [Entry::stored("t.csv", NEXT), Entry::deflated("dir/t.csv", NEXT)] {
        let mut lab = anywhere(Value::Null);
        let report = lab.run_zip(&archive(&[Entry::stored("readme.txt", b"x"), entry])).unwrap();
        assert!(report.tables[0].error.is_none(), "{:?}", report.tables[0].error);
        assert_eq!(lab.changes(), ["2|B|U", "4|d|I"]);
    }
}

#[test]
fn a_member_of_more_bytes_than_allowed_is_a_bomb() {
    let limits = json!({"max_uncompressed_bytes": NEXT.len() - 1});
    let exact = json!({"max_uncompressed_bytes": NEXT.len()});
    for bytes in [archive(&[Entry::deflated("t.csv", NEXT)]), archive(&[Entry::stored("t.csv.gz", &gzip(NEXT))])] {
        let message = refused(&mut anywhere(json!({"max_uncompressed_bytes": 20})), &bytes, "ArchiveBomb");
        assert!(message.contains("`t.csv") && message.contains("limits.max_uncompressed_bytes"), "{message}");
    }
    refused(&mut lab(limits), &archive(&[Entry::deflated("t.csv", NEXT)]), "ArchiveBomb");
    let report = lab(exact).run_zip(&archive(&[Entry::deflated("t.csv", NEXT)])).unwrap();
    assert!(report.tables[0].error.is_none(), "{:?}", report.tables[0].error);
}

/// Found here: what was wrong inside an archive came out as a file that cannot be unpacked, or in another encoding.
#[test]
fn a_bomb_is_called_one_whoever_reads_it() {
    let limits = json!({"max_uncompressed_bytes": 20});
    let latin1 = b"id,v\n1,Jo\xE3o\n2,x\n3,xxxxxxxxxxxxxxxxx\n";
    for (name, content) in [("t.parquet", NEXT), ("t.csv", latin1.as_slice())] {
        refused(&mut anywhere(limits.clone()), &archive(&[Entry::deflated(name, content)]), "ArchiveBomb");
    }
    let noise: String = (0..1000).map(|row| format!("{row},{}\n", row * 7919 % 1009)).collect();
    let inner = Entry::deflated("t.csv.gz", &gzip(noise.as_bytes()));
    refused(&mut anywhere(json!({"max_uncompressed_bytes": 1000})), &archive(&[inner]), "ArchiveBomb");
}

#[test]
fn a_member_that_grows_beyond_every_ratio_is_a_bomb() {
    let mut member = Entry { data: deflated_lines(), size: 70 << 20, ..Entry::deflated("t.parquet", b"") };
    member.compressed = u32::try_from(member.data.len()).unwrap();
    let message = refused(&mut lab(json!({"max_compression_ratio": 20})), &archive(&[member]), "ArchiveBomb");
    assert!(message.contains("`t.parquet` unpacks to more than 67108864 bytes"), "{message}");
    assert!(message.contains("limits.max_compression_ratio"), "{message}");
}

#[test]
fn sizes_and_checksums_that_lie_are_told() {
    for honest in [Entry::stored("t.csv", NEXT), Entry::deflated("t.csv", NEXT)] {
        let longer = Entry { size: honest.size + 1, ..honest.clone() };
        let shorter = Entry { size: honest.size - 1, ..honest.clone() };
        let other = Entry { crc32: honest.crc32 ^ 1, ..honest.clone() };
        let cut = Entry { compressed: honest.compressed - 1, data: honest.data[1..].to_vec(), ..honest.clone() };
        for (entry, what) in [(longer, "shorter"), (shorter, "longer"), (other, "checksum"), (cut, "damaged")] {
            let message = refused(&mut lab(Value::Null), &archive(&[entry]), "DamagedMember");
            assert!(message.contains("`t.csv`") && message.contains(what), "{message}");
        }
    }
}

#[test]
fn a_checksum_is_looked_at_even_where_the_rows_are_fine() {
    let mut lying = Entry::stored("t.csv", NEXT);
    let at = lying.data.iter().position(|&byte| byte == b'B').unwrap();
    lying.data[at] = b'C';
    refuses(&[lying], "DamagedMember", "checksum");
}

#[test]
fn data_that_are_no_deflate_stream_are_told() {
    let mut entry = Entry::deflated("t.csv", NEXT);
    entry.data.fill(0xFF);
    refuses(&[entry], "DamagedMember", "`t.csv`");
    let mut truncated = gzip(NEXT);
    truncated.truncate(truncated.len() - 6);
    refuses(&[Entry::stored("t.csv.gz", &truncated)], "DamagedMember", "`t.csv.gz`");
    refuses(&[Entry::stored("t.csv.gz", NEXT)], "DamagedMember", "`t.csv.gz`");
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let whole = archive(&[Entry::deflated("t.csv", NEXT), Entry::stored("u.csv", GOOD)]);
    let mut lab = lab(Value::Null);
    for len in 0..whole.len() {
        let message = refused(&mut lab, &whole[..len], "DamagedArchive");
        assert!(message.contains("snapshot-"), "{message}");
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    for bytes in [&b"<html><body>Sign in</body></html>"[..], NEXT, &[0; 4096], b"PK\x03\x04"] {
        refused(&mut lab(Value::Null), bytes, "DamagedArchive");
    }
}

#[test]
fn what_is_something_else_is_called_by_its_name() {
    let tar = [vec![b'x'; 257], b"ustar\0".to_vec(), vec![0; 8000]].concat();
    let cases: [(&[u8], &str); 6] = [
        (b"7z\xBC\xAF\x27\x1C\0\x04", "a 7-Zip archive"),
        (b"Rar!\x1A\x07\x01\0", "a RAR archive"),
        (&gzip(&tar), "a gzipped tar archive"),
        (&gzip(NEXT), "a name that ends in .csv.gz"),
        (b"\n<!DOCTYPE html><p>Sign in", "an HTML page"),
        (b"MZ\x90\0", "self-extracting"),
    ];
    for (bytes, what) in cases {
        let message = refused(&mut lab(Value::Null), bytes, "DamagedArchive");
        assert!(message.contains(what), "{message}");
    }
}

#[test]
fn a_file_that_is_named_like_a_table_and_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("t.csv", &b"<html></html>"[..]), ("t.csv.gz", b"Rar!\x1A\x07"), ("t.txt", b"PAR1")] {
        fs::write(folder.path().join(name), bytes).unwrap();
        let error = lab(Value::Null).run_path(&folder.path().join(name)).unwrap_err();
        assert_eq!(error.code(), "DamagedArchive", "{name}");
    }
}

#[test]
fn one_plain_file_does_for_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in
        [("t.csv", NEXT.to_vec()), ("t.csv.gz", gzip(NEXT)), ("t.txt", NEXT.to_vec()), ("t.gz", gzip(NEXT))]
    {
        let mut lab = anywhere(Value::Null);
        fs::write(folder.path().join(name), bytes).unwrap();
        let report = lab.run_path(&folder.path().join(name)).unwrap();
        assert!(report.tables[0].error.is_none(), "{name}: {:?}", report.tables[0].error);
        assert_eq!(lab.changes(), ["2|B|U", "4|d|I"], "{name}");
    }
}

#[test]
fn members_that_overlap_are_refused() {
    let first = Entry::stored("t.csv", NEXT);
    let second = Entry { name: b"u.csv".to_vec(), offset: Some(0), ..first.clone() };
    let bytes = archive(&[first, second]);
    let mut lab = lab(Value::Null);
    refused(&mut lab, &bytes, "DoubtfulArchive");
    let inside = Entry::stored("a.bin", &archive(&[Entry::stored("t.csv", NEXT)]));
    let data_start = 30 + u32::try_from(inside.name.len()).unwrap();
    let nested = Entry { offset: Some(data_start), data: Vec::new(), ..Entry::stored("t.csv", NEXT) };
    refused(&mut lab, &archive(&[inside, nested]), "DoubtfulArchive");
}

#[test]
fn two_members_of_one_name_are_refused() {
    refuses(&[Entry::stored("t.csv", GOOD), Entry::stored("t.csv", NEXT)], "DoubtfulArchive", "one name");
}

#[test]
fn encrypted_members_and_odd_compressions_are_told() {
    let entry = Entry::stored("t.csv", NEXT);
    refuses(&[Entry { flags: 1, ..entry.clone() }], "EncryptedMember", "`t.csv`");
    refuses(&[Entry { method: 12, ..entry.clone() }], "UnsupportedCompression", "`t.csv`");
    refuses(&[Entry { method: 77, ..entry }], "UnsupportedCompression", "`t.csv`");
}

#[test]
fn archives_inside_the_archive_are_not_opened() {
    let inner = archive(&[Entry::stored("t.csv", NEXT)]);
    let bytes = archive(&[Entry::stored("all.zip", &inner)]);
    let message = refused(&mut lab(Value::Null), &bytes, "TableMissing");
    assert!(message.contains("unpack `all.zip`"), "{message}");
}

#[test]
fn names_like_paths_lead_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    let absolute = format!("{}/t.csv", outside.path().display());
    for name in ["../../../t.csv", "/t.csv", "..\\..\\t.csv", "C:\\x\\t.csv", "./././t.csv", "a//t.csv", &absolute] {
        let mut lab = anywhere(Value::Null);
        let report = lab.run_zip(&archive(&[Entry::deflated(name, NEXT)])).unwrap();
        assert!(report.tables[0].error.is_none(), "{name}: {:?}", report.tables[0].error);
        assert_eq!(lab.changes(), ["2|B|U", "4|d|I"], "{name}");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn folders_and_links_are_no_tables() {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.add_directory("t.csv", SimpleFileOptions::default()).unwrap();
    writer.add_symlink("x/t.csv", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    refused(&mut lab(Value::Null), &bytes, "TableMissing");
}

#[test]
fn names_that_are_no_text_do_no_harm() {
    let odd = Entry { name: b"\xFF\xFE/\x80.csv".to_vec(), ..Entry::stored("x", b"x") };
    let mut lab = lab(Value::Null);
    let report = lab.run_zip(&archive(&[odd, Entry::stored("t.csv", NEXT)])).unwrap();
    assert!(report.tables[0].error.is_none(), "{:?}", report.tables[0].error);
}

#[test]
fn zip64_archives_are_read() {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("t.csv", SimpleFileOptions::default().large_file(true)).unwrap();
    writer.write_all(NEXT).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    let mut lab = lab(Value::Null);
    let report = lab.run_zip(&bytes).unwrap();
    assert!(report.tables[0].error.is_none(), "{:?}", report.tables[0].error);
    assert_eq!(lab.changes(), ["2|B|U", "4|d|I"]);
}

#[test]
fn a_directory_that_promises_more_than_there_is_is_refused_at_once() {
    let mut entry = Entry::stored("t.csv", NEXT);
    (entry.size, entry.compressed) = (u32::MAX - 1, u32::MAX - 1);
    let started = Instant::now();
    let mut lab = lab(Value::Null);
    let before = lab.objects();
    let failed = match lab.run_zip(&archive(&[entry])) {
        Ok(report) => report.tables[0].error.as_ref().map(cdc_to_s3::Error::code),
        Err(error) => Some(error.code()),
    };
    assert!(matches!(failed, Some("DamagedMember" | "DamagedArchive" | "DoubtfulArchive")), "{failed:?}");
    lab.assert_objects(&before);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn one_damaged_member_fails_its_table_only() {
    let mut lab = Lab::new(json!([{"name": "t", "pk": "id"}, {"name": "u", "pk": "id"}]));
    lab.run_zip(&zip(&[("t.csv", GOOD), ("u.csv", GOOD)])).unwrap();
    let damaged = Entry { crc32: 0, ..Entry::stored("t.csv", NEXT) };
    let report = lab.run_zip(&archive(&[damaged, Entry::stored("u.csv", NEXT)])).unwrap();
    failure(&report.tables[0], "DamagedMember");
    assert_eq!((report.tables[1].inserted, report.tables[1].updated), (1, 1));
}
