//! Archives, and which file is the table.

use std::sync::Arc;

use arrow::array::Int64Array;
use serde_json::{Value, json};

use super::{Approve, Case, Republish, Set, Snapshot, csv, files, first, later, parquet, zip};
use crate::hostile::forge::Entry;

pub(super) fn cases() -> Vec<Case> {
    let nothing = Value::Null;
    let two = files(&[("a/t.csv", b"id\n1\n"), ("b/t.csv", b"id\n2\n")]);
    let one = csv("id\n1\n");
    let member = Entry::deflated("t.csv", b"id\n1\n");
    let good = zip(std::slice::from_ref(&member));
    let parts = files(&[("s/1.csv", b"id,a\n1,x\n"), ("s/2.csv", b"id,b\n2,y\n")]);
    let alike = files(&[("s/1.csv", b"id,a\n1,x\n"), ("s/2.csv", b"id,a\n2,y\n")]);
    let Snapshot::Files(mut mixed) = parquet(Arc::new(Int64Array::from(vec![1, 2]))) else { unreachable!() };
    mixed.push(("x.csv", b"id,v\n7,8\n".to_vec()));
    let Snapshot::Files(mut cut) = parquet(Arc::new(Int64Array::from(vec![1, 2]))) else { unreachable!() };
    cut[0].1.truncate(100);
    let ten = csv("id\n1\n2\n3\n");
    vec![
        first(
            "AmbiguousTable",
            nothing.clone(),
            two,
            vec![
                (Set(json!({"file": "a/t.csv"})), &["1"]),
                (Republish("remove or rename one", files(&[("b/t.csv", b"id\n2\n")])), &["2"]),
            ],
        ),
        first(
            "DamagedArchive",
            nothing.clone(),
            Snapshot::Zip(b"PK no zip".to_vec()),
            vec![(Republish("fetch it again", good.clone()), &["1"])],
        ),
        first(
            "DamagedMember",
            nothing.clone(),
            zip(&[Entry { crc32: 7, ..member.clone() }]),
            vec![(Republish("fetch the archive again", good.clone()), &["1"])],
        ),
        first(
            "DoubtfulArchive",
            nothing.clone(),
            zip(&[member.clone(), member.clone()]),
            vec![(Republish("made anew", good.clone()), &["1"])],
        ),
        first(
            "EncryptedMember",
            nothing.clone(),
            zip(&[Entry { flags: 1, ..member.clone() }]),
            vec![(Republish("without a password", good.clone()), &["1"])],
        ),
        first(
            "UnsupportedCompression",
            nothing.clone(),
            zip(&[Entry { method: 12, ..member }]),
            vec![(Republish("deflate", good), &["1"])],
        ),
        first(
            "UnreadableFile",
            nothing.clone(),
            Snapshot::Files(cut),
            vec![(Republish("fetch it again", parquet(Arc::new(Int64Array::from(vec![3, 4])))), &["1|3", "2|4"])],
        ),
        first(
            "HeadersDiffer",
            json!({"file": "s/*"}),
            parts,
            vec![
                (Set(json!({"file": "s/1.csv"})), &["1|x"]),
                (Republish("repair the header", alike.clone()), &["1|x", "2|y"]),
            ],
        ),
        later(
            "PartMissing",
            json!({"file": "s/*", "max_deleted_fraction": 1.0}),
            alike.clone(),
            files(&[("s/1.csv", b"id,a\n1,x\n")]),
            vec![(Approve, &["1|x"]), (Republish("publish the file again", alike), &["1|x", "2|y"])],
        ),
        first(
            "MixedFormats",
            json!({"file": "*"}),
            Snapshot::Files(mixed),
            vec![(Set(json!({"file": "*.csv"})), &["7|8"])],
        ),
        later(
            "FileMoved",
            nothing.clone(),
            one.clone(),
            files(&[("new/t.csv", b"id\n1\n2\n")]),
            vec![
                (Approve, &["1", "2"]),
                (Set(json!({"file": "new/t.csv"})), &["1", "2"]),
                (Set(json!({"file": "*/t.csv"})), &["1", "2"]),
            ],
        ),
        later(
            "TableMissing",
            nothing.clone(),
            one.clone(),
            files(&[("other.tsv", b"id\n1\n2\n")]),
            vec![(Approve, &[]), (Set(json!({"file": "other.tsv"})), &["1", "2"])],
        ),
        later("EmptyTable", nothing.clone(), one.clone(), csv("id\n"), vec![(Approve, &[])]),
        later("EmptyTable", nothing.clone(), one, csv(""), vec![(Approve, &[])]),
        later(
            "MassDelete",
            nothing.clone(),
            ten.clone(),
            csv("id\n1\n"),
            vec![(Approve, &["1"]), (Set(json!({"max_deleted_fraction": 0.9})), &["1"])],
        ),
        later(
            "FileCut",
            nothing,
            ten.clone(),
            csv("id\n1\n2\n3\n4"),
            vec![
                (Approve, &["1", "2", "3", "4"]),
                (Republish("publish the whole file", csv("id\n1\n2\n3\n45\n")), &["1", "2", "3", "45"]),
            ],
        ),
    ]
}
