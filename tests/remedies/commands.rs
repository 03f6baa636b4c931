//! What is wrong with a command, or with the configuration that it reads.

use std::fs;

use crate::cli::Desk;

const RUN: [&str; 5] = ["run", "--once", "--lake", "lake", "--skip-download"];
const RESTORE: [&str; 5] = ["restore", "--lake", "lake", "--table", "clientes"];

/// A command that fails, and the one that the hint leads to; between the two something may be put right.
struct Case {
    code: &'static str,
    prepare: fn(&Desk),
    wrong: Vec<&'static str>,
    /// Words of the message or the hint.
    words: &'static str,
    repair: fn(&Desk),
    right: Vec<&'static str>,
}

fn case(code: &'static str, wrong: Vec<&'static str>, words: &'static str, right: Vec<&'static str>) -> Case {
    Case { code, prepare: |_| {}, wrong, words, repair: |_| {}, right }
}

fn of_run(more: &[&'static str]) -> Vec<&'static str> {
    [&RUN[..], more].concat()
}

fn of_restore(more: &[&'static str]) -> Vec<&'static str> {
    [&RESTORE[..], more].concat()
}

/// The configuration with one text in place of another.
fn replace(desk: &Desk, one: &str, other: &str) {
    let config = fs::read_to_string(desk.path("config.json")).unwrap();
    assert!(config.contains(one), "{config}");
    desk.write("config.json", &config.replace(one, other));
}

fn of_configuration() -> Vec<Case> {
    let table = |name| of_run(&["--table", name]);
    vec![
        case("BadLakeUrl", vec!["run", "--once", "--skip-download", "--lake", "ftp://nowhere"], "s3://", of_run(&[])),
        case("ConfigNotFound", of_run(&["--config", "other.json"]), "--config", of_run(&["--config", "config.json"])),
        case(
            "InvalidConfigSource",
            of_run(&["--config", "https://host/c"]),
            "--config",
            of_run(&["--config", "config.json"]),
        ),
        case("UnknownTable", table("client"), "did you mean `clientes`?", table("clientes")),
        case("SnapshotNotFound", of_run(&["no/such/folder"]), "a folder or a zip", of_run(&["data/actual"])),
        case(
            "InvalidEvent",
            of_run(&["--run-at", "2226-11-20T09:00:00Z"]),
            "--allow-future",
            of_run(&["--run-at", "2226-11-20T09:00:00Z", "--allow-future"]),
        ),
        Case {
            prepare: |desk| replace(desk, "\"pk\"", "\"pkk\""),
            repair: |desk| replace(desk, "\"pkk\"", "\"pk\""),
            ..case("InvalidConfig", of_run(&[]), "did you mean `pk`?", of_run(&[]))
        },
        Case {
            prepare: |desk| fs::write(desk.path("latin.json"), b"{\"dataset_name\": \"jo\xE3o/x\"}").unwrap(),
            repair: |desk| {
                fs::copy(desk.path("config.json"), desk.path("latin.json")).unwrap();
            },
            ..case(
                "ConfigUnreadable",
                of_run(&["--config", "latin.json"]),
                "UTF-8",
                of_run(&["--config", "latin.json"]),
            )
        },
        Case {
            prepare: |desk| desk.write(".env", "KAGGLE_KEY=not quoted\n"),
            repair: |desk| desk.write(".env", "KAGGLE_KEY=\"not quoted\"\n"),
            ..case("InvalidDotenv", of_run(&[]), "quote values", of_run(&[]))
        },
    ]
}

fn of_init() -> Vec<Case> {
    let init = |more: &[&'static str]| [&["init", "data/actual"], more].concat();
    vec![
        case("ConfigExists", init(&[]), "--force", init(&["--force"])),
        case("ConfigExists", init(&[]), "--output", init(&["--output", "new.json"])),
        case("ConfigUnwritable", init(&["--output", "no/such/new.json"]), "--output", init(&["--output", "new.json"])),
        Case {
            prepare: |desk| fs::create_dir(desk.path("none")).unwrap(),
            ..case(
                "NoTables",
                vec!["init", "none", "--output", "new.json"],
                "another dataset, folder",
                init(&["--output", "new.json"]),
            )
        },
        Case {
            prepare: |desk| desk.write("data/actual/twins.csv", "a;b\n1;2\n1;2\n"),
            repair: |desk| {
                replace(
                    desk,
                    "\"tables\":[",
                    "\"tables\":[{\"name\":\"twins\",\"sep\":\";\",\"pk\":\"a\",\"on_duplicate_key\":\"first\"},",
                );
            },
            ..case("NoKeys", init(&["--table", "twins", "--output", "new.json"]), "on_duplicate_key", of_run(&[]))
        },
    ]
}

fn of_lake() -> Vec<Case> {
    let filled = |desk: &Desk| drop(desk.report(&[]));
    let ddl = vec!["ddl", "--engine", "athena", "--database", "raw", "--lake", "lake"];
    let restore = |code, wrong: &[&'static str], words, right: &[&'static str]| Case {
        prepare: filled,
        ..case(code, of_restore(wrong), words, of_restore(right))
    };
    vec![
        Case {
            prepare: |desk| fs::create_dir_all(desk.path("lake")).unwrap(),
            repair: filled,
            ..case("NoData", ddl.clone(), "let a run end first", ddl)
        },
        restore("BeforeHistory", &["--at", "2001"], "or later", &["--at", "2100"]),
        restore("BeforeHistory", &["--at", "20010101_000000"], "or later", &["--at", "2100"]),
        restore("UnknownRun", &["--at", "21000101_000000"], "2100-01-01T00:00:00Z", &["--at", "2100-01-01T00:00:00Z"]),
        restore("InvalidTime", &["--at", "yesterday"], "2026-03-31T09:00:00Z", &["--at", "2100-03-31T09:00:00Z"]),
        restore(
            "InvalidOutput",
            &["--at", "2100", "--output", "x.xlsx"],
            ".csv",
            &["--at", "2100", "--output", "x.csv"],
        ),
        restore("InvalidOutput", &["--at", "2100", "--delimiter", "\""], "`;`", &["--at", "2100", "--delimiter", ";"]),
        restore(
            "OutputExists",
            &["--at", "2100", "--output", "data/actual/clientes.csv"],
            "another name",
            &["--at", "2100", "--output", "x.csv"],
        ),
        restore(
            "OutputUnwritable",
            &["--at", "2100", "--output", "no/x.csv"],
            "a folder that is there",
            &["--at", "2100", "--output", "x.csv"],
        ),
        Case {
            prepare: filled,
            ..case(
                "NeverRun",
                vec!["restore", "--lake", "elsewhere", "--table", "clientes", "--at", "2100"],
                "`--lake`",
                of_restore(&["--at", "2100"]),
            )
        },
    ]
}

/// The codes of which a remedy is followed here.
pub(super) fn codes() -> Vec<&'static str> {
    [of_configuration(), of_init(), of_lake()].iter().flatten().map(|case| case.code).collect()
}

fn follow(cases: &[Case]) {
    for Case { code, prepare, wrong, words, repair, right } in cases {
        let desk = Desk::new();
        prepare(&desk);
        let lake = desk.lake();
        let done = desk.run(wrong);
        assert_ne!(done.code, 0, "{code}: {done:?}");
        assert!(
            done.stderr.contains(code) && done.stderr.contains(words)
                || done.stdout.contains(code) && done.stdout.contains(words),
            "{code}, {words}: {done:?}"
        );
        assert_eq!(desk.lake(), lake, "{code}");
        repair(&desk);
        let done = desk.run(right);
        assert_eq!(done.code, 0, "{code}: {done:?}");
        let config = if desk.path("new.json").exists() { "new.json" } else { "config.json" };
        desk.report(&["--config", config]);
        desk.run(&["verify", "--lake", "lake", "--config", config]).expect(0, &[]);
    }
}

#[test]
fn remedies_for_configurations_work() {
    follow(&of_configuration());
}

#[test]
fn remedies_for_init_work() {
    follow(&of_init());
}

#[test]
fn remedies_for_what_a_lake_does_not_give_work() {
    follow(&of_lake());
}
