//! How text is read.

use serde_json::{Value, json};

use super::{Case, Republish, Set, csv, files, first};

pub(super) fn cases() -> Vec<Case> {
    let nothing = Value::Null;
    let latin1 = files(&[("t.csv", b"id,v\n1,Jo\xE3o\n")]);
    let mixture = files(&[("t.csv", b"id,v\n1,S\xC3\xA3o\n2,Jo\xE3o\n")]);
    let utf16: Vec<u8> = "id,v\n1,x\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let long = format!("id,v\n1,\"{}\"\n", "x".repeat(40 << 20));
    let wide: String = (0..4100).map(|number| format!(",c{number}")).collect();
    vec![
        first(
            "BadEncoding",
            json!({"encoding": "utf-8"}),
            latin1,
            vec![(Set(json!({"encoding": "windows-1252"})), &["1|João"])],
        ),
        first(
            "MixedEncodings",
            nothing.clone(),
            mixture,
            vec![
                (Set(json!({"encoding": "windows-1252"})), &["1|SÃ£o", "2|João"]),
                (Republish("repair the file", csv("id,v\n1,São\n2,João\n")), &["1|São", "2|João"]),
            ],
        ),
        first(
            "NulCharacter",
            json!({"encoding": "utf-8"}),
            files(&[("t.csv", &utf16)]),
            vec![(Set(json!({"encoding": "utf-16"})), &["1|x"])],
        ),
        first(
            "RaggedRow",
            nothing.clone(),
            csv("id,v\n1,a,b\n"),
            vec![(Republish("needs quotes", csv("id,v\n1,\"a,b\"\n")), &["1|a,b"])],
        ),
        first("RaggedRow", nothing.clone(), csv("id,v\n1,'a,b'\n"), vec![(Set(json!({"quote": "'"})), &["1|a,b"])]),
        first("RaggedRow", nothing.clone(), csv("id,v\n1,a\\,b\n"), vec![(Set(json!({"escape": "\\"})), &["1|a,b"])]),
        first(
            "TextAfterQuote",
            nothing.clone(),
            csv("id,v\n1,\"say \\\"so\\\" now\"\n"),
            vec![(Set(json!({"escape": "\\"})), &["1|say \"so\" now"])],
        ),
        first(
            "TextAfterQuote",
            nothing.clone(),
            csv("id,v\n1,\"so\" they say\n"),
            vec![
                (Set(json!({"quote": "none"})), &["1|\"so\" they say"]),
                (
                    Republish("double them at the source", csv("id,v\n1,\"\"\"so\"\" they say\"\n")),
                    &["1|\"so\" they say"],
                ),
            ],
        ),
        first(
            "UnclosedQuote",
            nothing.clone(),
            csv("id,v\n1,\"5 inches\n2,x\n"),
            vec![
                (Set(json!({"quote": "none"})), &["1|\"5 inches", "2|x"]),
                (Republish("double the quote", csv("id,v\n1,\"\"\"5 inches\"\n2,x\n")), &["1|\"5 inches", "2|x"]),
            ],
        ),
        first(
            "OpenEscape",
            json!({"escape": "\\"}),
            csv("id,v\n1,x\\"),
            vec![(Republish("double it", csv("id,v\n1,x\\\\")), &["1|x\\"])],
        ),
        first(
            "OtherSeparator",
            json!({"sep": ","}),
            csv("sep=;\nid;v\n1;2\n"),
            vec![(Set(json!({"sep": ";"})), &["1|2"]), (Set(json!({"sep": null})), &["1|2"])],
        ),
        first(
            "RecordTooLong",
            nothing.clone(),
            csv(&long),
            vec![(Republish("a quote may be missing", csv("id,v\n1,\"xx\"\n")), &["1|xx"])],
        ),
        first(
            "TooManyColumns",
            nothing,
            csv(&format!("id{wide}\n")),
            vec![(Republish("split at its source", csv("id,c0\n1,2\n")), &["1|2"])],
        ),
        first(
            "ByteOrderMark",
            Value::Null,
            csv("id,v\n1,x\n\u{feff}2,y\n"),
            vec![(Republish("without their marks and headers", csv("id,v\n1,x\n2,y\n")), &["1|x", "2|y"])],
        ),
        first(
            "HeaderRepeated",
            Value::Null,
            csv("id,v\n1,x\nid,v\n2,y\n"),
            vec![(Republish("without their marks and headers", csv("id,v\n1,x\n2,y\n")), &["1|x", "2|y"])],
        ),
        first(
            "EncodingMismatch",
            json!({"encoding": "windows-1252"}),
            csv("id,v\n1,João\n"),
            vec![(Set(json!({"encoding": "utf-8"})), &["1|João"]), (Set(json!({"encoding": null})), &["1|João"])],
        ),
        first(
            "HeaderFound",
            json!({"header": "none", "columns": {"id": "auto", "v": "auto"}}),
            csv("id,v\n1,x\n"),
            vec![(Set(json!({"header": null})), &["1|x"])],
        ),
    ]
}
