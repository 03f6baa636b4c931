//! From the events that can start a run to a [`Request`].
//!
//! Three shapes are understood:
//! - a plain object with any of [`KEYS`], for manual invokes; an empty one and `null` ask for a run of everything, now;
//! - the same from EventBridge Scheduler, whose target input puts its scheduled time into `run_at`;
//! - a "Scheduled Event" of an EventBridge rule, or of Scheduler when it is given no input: its `time` counts, and its
//!   `detail` may hold the keys of the plain object.

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use chrono::{DateTime, Datelike, NaiveDateTime, SecondsFormat, SubsecRound, Utc};
use serde_json::{Map, Value};

use super::{Approval, Deadline, Request, outside};
use crate::config::{ConfigSource, Faults, Section};
use crate::error::{Error, Result};
use crate::lake::store::LakeUrl;

const KEYS: [&str; 9] =
    ["run_at", "tables", "force", "dry_run", "config", "lake", "approve_deletes", "adopt_source", "allow_future"];

const SCHEDULED: &str = "Scheduled Event";

/// What EventBridge Scheduler replaces by the scheduled time; an emulation that does not leaves it as it is.
const SCHEDULED_TIME: &str = "<aws.scheduler.scheduled-time>";

impl Request {
    /// The run that the event `payload` asks for. `request_id` is the invocation's, which a retry of it keeps; `now` is
    /// the time of a run whose event has none.
    ///
    /// # Errors
    /// `InvalidEvent` (kind `Config`) with every fault, or for an event that is not a schedule's.
    pub fn from_event(payload: Value, request_id: &str, now: DateTime<Utc>, deadline: Deadline) -> Result<Self> {
        let faults = Faults::default();
        let (time, order, path) = match payload.get("detail-type") {
            Some(_) => {
                let event = scheduled(payload)?;
                (event.time, unpacked(event.detail), "detail")
            }
            None => (None, unpacked(payload), ""),
        };
        let request =
            Section::of(&order, path, &KEYS, &faults).map(|order| read(&order, time, request_id, now, deadline));
        faults.finish("InvalidEvent", "the event", request).map_err(|error| error.hint(HINT))
    }
}

pub(super) const HINT: &str = "the folder events/ holds an example of each kind of event";

fn scheduled(payload: Value) -> Result<EventBridgeEvent> {
    let event: EventBridgeEvent = serde_json::from_value(payload).map_err(|error| {
        Error::config("InvalidEvent", "the event has a `detail-type` but not the shape of an EventBridge event")
            .hint(HINT)
            .caused_by(error)
    })?;
    if event.detail_type == SCHEDULED {
        return Ok(event);
    }
    let message = format!("the event is a `{}` of `{}`, not a `{SCHEDULED}`", event.detail_type, event.source);
    Err(Error::config("InvalidEvent", message).hint("invoke the function with a plain object to start a run otherwise"))
}

/// `null` as the empty object that it stands for, and the text that Scheduler puts JSON into as that JSON.
fn unpacked(value: Value) -> Value {
    match value {
        Value::Null => Value::Object(Map::new()),
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    }
}

fn read(
    order: &Section<'_>,
    time: Option<DateTime<Utc>>,
    request_id: &str,
    now: DateTime<Utc>,
    deadline: Deadline,
) -> Request {
    let allow_future = order.flag("allow_future").unwrap_or_default();
    let asked = run_at(order);
    let known_time = asked.or(time).map(|time| time.trunc_subsecs(0));
    if let Some(why) = outside(known_time.unwrap_or(now), now, allow_future) {
        let key = if asked.is_none() && time.is_some() { "time" } else { "run_at" };
        order.fault(key, format!("{why}: correct it or the clock, or set `allow_future` if a time ahead is meant"));
    }
    let identity = known_time.map_or_else(|| format!("request:{request_id}"), identity_of);
    Request {
        tables: tables(order),
        force: order.flag("force").unwrap_or_default(),
        dry_run: order.flag("dry_run").unwrap_or_default(),
        approve_deletes: approval(order),
        adopt_source: order.flag("adopt_source").unwrap_or_default(),
        allow_future,
        config: config(order),
        lake: lake(order),
        ..Request::new(known_time.unwrap_or(now), identity, now, deadline)
    }
}

fn run_at(order: &Section<'_>) -> Option<DateTime<Utc>> {
    let text = order.text("run_at")?;
    if text == SCHEDULED_TIME {
        tracing::warn!("the scheduler did not fill in its scheduled time; the run is named by the current time");
        return None;
    }
    let time = instant(text);
    if time.is_none() {
        order.fault("run_at", format!("is `{text}`: write a time like 2026-11-20T09:00:00Z"));
    }
    time
}

/// What all deliveries of an event with this time have in common.
pub(super) fn identity_of(time: DateTime<Utc>) -> String {
    format!("event:{}", time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// RFC 3339, or the same without an offset and then UTC; of a year that has four digits.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let with_offset = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let time =
        with_offset.or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map(|time| time.and_utc()));
    time.ok().filter(|time| (1000..=9999).contains(&time.year()))
}

fn tables(order: &Section<'_>) -> Option<Vec<String>> {
    let tables = order.texts("tables")?;
    if tables.is_empty() {
        order.fault("tables", "is empty: leave it out to do all tables");
    }
    Some(tables)
}

fn approval(order: &Section<'_>) -> Approval {
    match order.value("approve_deletes") {
        None | Some(Value::Bool(false)) => Approval::None,
        Some(Value::Bool(true)) => Approval::All,
        Some(Value::Array(_)) => order.texts("approve_deletes").map_or(Approval::None, Approval::Tables),
        Some(_) => {
            order.fault("approve_deletes", "must be true, false or a list of tables");
            Approval::None
        }
    }
}

fn lake(order: &Section<'_>) -> Option<LakeUrl> {
    let lake = order.text("lake")?.parse::<LakeUrl>();
    if lake.is_err() {
        // Not shown: a URL may carry credentials.
        order.fault("lake", "must be s3://bucket/prefix");
    }
    lake.ok()
}

fn config(order: &Section<'_>) -> Option<ConfigSource> {
    if let Some(document @ Value::Object(_)) = order.value("config") {
        return Some(ConfigSource::Inline(document.to_string()));
    }
    let source = ConfigSource::parse(order.text("config")?);
    if source.is_err() {
        order.fault("config", "must be an object, or name one: a path or s3://bucket/key");
    }
    source.ok()
}
