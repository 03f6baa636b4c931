//! Every file in `events/`: the request that it becomes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cdc_to_s3::position::Position;
use cdc_to_s3::request::{Approval, Deadline, Step};
use chrono::{DateTime, Utc};

/// What a file asks for.
struct Expected {
    run_at: &'static str,
    identity: &'static str,
    tables: Option<&'static [&'static str]>,
    force: bool,
    dry_run: bool,
    approve_deletes: Approval,
    planned: Option<Position>,
}

const RUN_OF_EVERYTHING: Expected = Expected {
    run_at: "2026-11-20T09:00:00Z",
    identity: "event:2026-11-20T09:00:00Z",
    tables: None,
    force: false,
    dry_run: false,
    approve_deletes: Approval::None,
    planned: None,
};

fn expected(file: &str) -> Expected {
    match file {
        "schedule.json" | "scheduler.json" | "step-plan.json" | "step-finish.json" => RUN_OF_EVERYTHING,
        "manual.json" => Expected { run_at: "2026-11-20T12:34:56Z", identity: "request:c0ffee", ..RUN_OF_EVERYTHING },
        "overrides.json" => Expected {
            run_at: "2026-11-20T09:30:00Z",
            identity: "event:2026-11-20T09:30:00Z",
            tables: Some(&["clientes", "transacoes"]),
            force: true,
            dry_run: true,
            approve_deletes: Approval::Tables(vec!["clientes".to_owned()]),
            planned: None,
        },
        "step-table.json" => {
            Expected { tables: Some(&["clientes"]), planned: Some(Position::Version(1)), ..RUN_OF_EVERYTHING }
        }
        other => panic!("events/{other} has no expectation here: say what it asks for"),
    }
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn check(path: &Path, expected: &Expected) {
    let payload = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let step = Step::from_event(payload, "c0ffee", time("2026-11-20T12:34:56.789Z"), Deadline::NONE).unwrap();
    let request = match step {
        Step::Run(request) | Step::Plan(request) | Step::Table(request) | Step::Finish { request, .. } => request,
    };
    assert_eq!(request.planned, expected.planned, "{path:?}");
    assert_eq!(request.run_at, time(expected.run_at), "{path:?}");
    assert_eq!(request.identity, expected.identity, "{path:?}");
    let tables = request.tables.as_ref().map(|tables| tables.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(tables.as_deref(), expected.tables, "{path:?}");
    assert_eq!((request.force, request.dry_run), (expected.force, expected.dry_run), "{path:?}");
    assert_eq!(request.approve_deletes, expected.approve_deletes, "{path:?}");
    assert_eq!(request.config, None, "{path:?}");
}

#[test]
fn every_example_event_becomes_the_request_that_it_stands_for() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("events");
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        check(&path, &expected(&name));
        seen.insert(name);
    }
    let steps = ["step-finish.json", "step-plan.json", "step-table.json"];
    let all = ["manual.json", "overrides.json", "schedule.json", "scheduler.json"].into_iter().chain(steps);
    let all: BTreeSet<String> = all.map(str::to_owned).collect();
    assert_eq!(seen, all);
}
