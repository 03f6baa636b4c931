//! Orders to a stand-in that runs as a process of its own: `/_control/…` on the API's port.
//!
//! `GET health`; `GET requests`; `POST publish {"version": 2}` makes a version the current one; `POST fault
//! {"endpoint": "storage", "fault": {"cut_after": 1000}}`; `POST expire-links`.

use hyper::Response;
use serde::Deserialize;
use serde_json::json;

use super::api::json_answer;
use super::fault::Fault;
use super::http::{Asked, Body};
use super::{Endpoint, Seen, Shared, State};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publish {
    version: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    endpoint: Endpoint,
    fault: Fault,
}

pub(super) fn answer(shared: &Shared, order: &str, asked: &Asked) -> Response<Body> {
    let mut state = shared.state();
    let done = match (asked.method.as_str(), order) {
        ("GET", "health") => Ok(json!({"dataset": state.dataset, "current": state.current})),
        ("GET", "requests") => Ok(json!(state.requests.iter().map(without_credentials).collect::<Vec<_>>())),
        ("POST", "publish") => serde_json::from_slice(&asked.body).map(|order: Publish| {
            state.current = order.version;
            json!({"current": order.version})
        }),
        ("POST", "fault") => serde_json::from_slice(&asked.body).map(|order: Script| script(&mut state, order)),
        ("POST", "expire-links") => {
            state.expire_links();
            Ok(json!({"expired": state.expired}))
        }
        _ => return json_answer(404, &json!({"message": "no such order"}), &Fault::default()),
    };
    match done {
        Ok(answer) => json_answer(200, &answer, &Fault::default()),
        Err(error) => json_answer(400, &json!({"message": error.to_string()}), &Fault::default()),
    }
}

fn script(state: &mut State, order: Script) -> serde_json::Value {
    let waiting = state.faults.entry(order.endpoint).or_default();
    waiting.push_back(order.fault);
    json!({"endpoint": order.endpoint, "waiting": waiting.len()})
}

/// Only the scheme of an `Authorization` header is shown.
fn without_credentials(seen: &Seen) -> Seen {
    let mut seen = seen.clone();
    if let Some(value) = seen.headers.get_mut("authorization") {
        *value = value.split(' ').next().unwrap_or_default().to_owned();
    }
    seen
}
