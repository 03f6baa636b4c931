//! The steps of a run that a state machine drives: a plan, then each table by itself, then the end.
//!
//! | event | asks for |
//! | --- | --- |
//! | no `step` | the whole run, in this invocation |
//! | `{"step": "plan", "event"}` | which tables are to be done, and up to which position |
//! | `{"step": "table", "event", "run_at", "table", "position"}` | one of them |
//! | `{"step": "finish", "event", "plan", "results"}` | the report of all |
//!
//! `event` is what started the run, of any of the kinds that start one by itself. The run's time is the plan's from then on, so
//! that every attempt at a table has the same identity.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::event::HINT;
use super::{Deadline, Request};
use crate::config::{Faults, Section};
use crate::error::Result;
use crate::position::Position;

/// What an invocation is asked to do.
#[derive(Debug)]
pub enum Step {
    /// A whole run.
    Run(Request),
    /// To say what a run has to do.
    Plan(Request),
    /// One table of a planned run; the request names it and its position.
    Table(Request),
    /// To report what became of a planned run.
    Finish {
        /// The run.
        request: Request,
        /// What the plan answered.
        plan: Value,
        /// What each table's step answered, or how it failed; null for one of which nothing is known.
        results: Vec<Value>,
    },
}

impl Step {
    /// The step that the event `payload` asks for; otherwise as [`Request::from_event`].
    ///
    /// # Errors
    /// `InvalidEvent` (kind `Config`) with every fault.
    pub fn from_event(payload: Value, request_id: &str, now: DateTime<Utc>, deadline: Deadline) -> Result<Self> {
        if payload.get("step").is_none_or(Value::is_null) {
            return Request::from_event(payload, request_id, now, deadline).map(Self::Run);
        }
        let event = payload.get("event").cloned().unwrap_or_else(|| Value::Object(Map::new()));
        let request = Request::from_event(event, request_id, now, deadline)?;
        let faults = Faults::default();
        let step = step(&payload, request, &faults);
        faults.finish("InvalidEvent", "the event", step).map_err(|error| error.hint(HINT))
    }
}

/// A step that a state machine can ask for.
#[derive(Clone, Copy)]
enum Name {
    Plan,
    Table,
    Finish,
}

const NAMES: [(&str, Name); 3] = [("plan", Name::Plan), ("table", Name::Table), ("finish", Name::Finish)];

fn step(payload: &Value, request: Request, faults: &Faults) -> Option<Step> {
    let keys: Vec<&str> = payload.as_object()?.keys().map(String::as_str).collect();
    let name = Section::of(payload, "", &keys, faults)?.choice("step", &NAMES)?;
    match name {
        Name::Plan => Section::of(payload, "", &["step", "event"], faults).map(|_| Step::Plan(request)),
        Name::Table => table(payload, request, faults),
        Name::Finish => finish(payload, request, faults),
    }
}

fn table(payload: &Value, request: Request, faults: &Faults) -> Option<Step> {
    let order = Section::of(payload, "", &["step", "event", "run_at", "table", "position"], faults)?;
    let run_at = order.required_text("run_at");
    let table = order.required_text("table");
    let position = order.value("position").and_then(|value| serde_json::from_value::<Position>(value.clone()).ok());
    if position.is_none() {
        order.fault("position", "must be the position that the plan answered");
    }
    let planned = match Request::at(run_at?, request.now, request.deadline, request.allow_future) {
        Ok(planned) => planned,
        Err(error) => {
            order.fault("run_at", format!("is wrong: {error}"));
            return None;
        }
    };
    let tables = Some(vec![table?.to_owned()]);
    let (run_at, identity) = (planned.run_at, planned.identity);
    Some(Step::Table(Request { run_at, identity, tables, planned: Some(position?), ..request }))
}

fn finish(payload: &Value, request: Request, faults: &Faults) -> Option<Step> {
    let order = Section::of(payload, "", &["step", "event", "plan", "results"], faults)?;
    let plan = order.map("plan").and_then(|_| order.value("plan")).cloned();
    if plan.is_none() && !order.has("plan") {
        order.fault("plan", "is missing: give what the step `plan` answered");
    }
    let results = order.list("results");
    if !order.has("results") {
        order.fault("results", "is missing: give the list of what the tables' steps answered");
    }
    let results = results?.into_iter().map(|(_, result)| result.clone()).collect();
    Some(Step::Finish { request, plan: plan?, results })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn from(payload: Value) -> Result<Step> {
        let now = "2026-11-20T12:34:56Z".parse().unwrap();
        Step::from_event(payload, "c0ffee", now, Deadline::NONE)
    }

    fn faults(payload: Value) -> Vec<String> {
        let text = from(payload).unwrap_err().to_string();
        text.lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn every_attempt_at_a_table_is_the_same_run_with_the_plans_time_and_the_events_wishes() {
        let event = json!({"run_at": "2026-11-20T06:30:00-03:00", "force": true, "tables": ["b", "a"]});
        let step =
            json!({"step": "table", "event": event, "run_at": "2026-11-20T09:30:00Z", "table": "a", "position": 7});
        let Step::Table(request) = from(step).unwrap() else { panic!("no table") };
        assert_eq!((request.identity.as_str(), request.force), ("event:2026-11-20T09:30:00Z", true));
        assert_eq!((request.planned_table(), &request.planned), (Some("a"), &Some(Position::Version(7))));
    }

    #[test]
    fn a_position_of_a_log_and_of_a_folder_are_understood() {
        for (text, position) in [
            ("0x0000002A000001000001", Position::Lsn("0x0000002A000001000001".parse().unwrap())),
            ("xxh3:0", Position::Mark("xxh3:0".to_owned())),
        ] {
            let step = json!({"step": "table", "run_at": "2026-11-20T09:30:00Z", "table": "a", "position": text});
            let Step::Table(request) = from(step).unwrap() else { panic!("no table") };
            assert_eq!(request.planned, Some(position));
        }
    }

    #[test]
    fn a_plan_takes_whatever_starts_a_run() {
        let scheduled = json!({
            "version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events", "account": "1",
            "time": "2026-11-20T09:00:00Z", "region": "us-east-1", "resources": [], "detail": {}
        });
        let Step::Plan(request) = from(json!({"step": "plan", "event": scheduled})).unwrap() else { panic!("no plan") };
        assert_eq!((request.identity.as_str(), request.planned_table()), ("event:2026-11-20T09:00:00Z", None));
        assert!(matches!(from(json!({"step": "plan"})), Ok(Step::Plan(_))));
        assert!(matches!(from(json!({})), Ok(Step::Run(_))));
    }

    #[test]
    fn all_faults_of_a_step_come_in_one_answer() {
        assert_eq!(faults(json!({"step": "plann"})).len(), 1);
        let table = faults(json!({"step": "table", "tabel": "a", "run_at": "yesterday"}));
        assert_eq!(table.len(), 4, "{table:?}");
        let finish = faults(json!({"step": "finish"}));
        assert_eq!(finish.len(), 2, "{finish:?}");
        assert_eq!(from(json!({"step": "plan", "event": {"tabels": []}})).unwrap_err().code(), "InvalidEvent");
    }
}
