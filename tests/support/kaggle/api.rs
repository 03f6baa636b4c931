//! The API: `POST /v1/datasets.DatasetApiService/{Method}`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::Response;
use hyper::header::LOCATION;
use serde_json::{Value, json};

use super::fault::Fault;
use super::http::{Asked, Body, set, text};
use super::{Accepted, Endpoint, Seen, Shared, State, control, storage};

const SERVICE: &str = "/v1/datasets.DatasetApiService/";

pub(super) fn answer(shared: &Shared, asked: &Asked) -> Response<Body> {
    if let Some(order) = asked.path.strip_prefix("/_control/") {
        return control::answer(shared, order, asked);
    }
    let endpoint = endpoint(asked);
    let input: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    let mut state = shared.state();
    state.requests.push(Seen {
        endpoint,
        method: asked.method.clone(),
        path: asked.path.clone(),
        headers: asked.header_texts(),
        input: input.clone(),
    });
    let Some(endpoint) = endpoint else { return error(404, "Not found") };
    let fault = state.next_fault(endpoint);
    if let Some(answer) = faulty(&fault) {
        return answer;
    }
    match refusal(&state, asked, &input) {
        Some(refusal) => refusal,
        None if endpoint == Endpoint::GetDataset => json_answer(200, &dataset(&state), &fault),
        None => download(&mut state, shared, &input),
    }
}

fn endpoint(asked: &Asked) -> Option<Endpoint> {
    match (asked.method.as_str(), asked.path.strip_prefix(SERVICE)?) {
        ("POST", "GetDataset") => Some(Endpoint::GetDataset),
        ("POST", "DownloadDataset") => Some(Endpoint::DownloadDataset),
        _ => None,
    }
}

/// The answers that a fault gives by itself.
fn faulty(fault: &Fault) -> Option<Response<Body>> {
    if let Some(location) = &fault.redirect {
        return Some(redirect(location));
    }
    match (&fault.body, fault.status) {
        (Some(body), status) => Some(text(status.unwrap_or(200), "text/html", body.clone(), fault)),
        (None, Some(status)) => Some(json_answer(status, &complaint(status, "scripted"), fault)),
        (None, None) => None,
    }
}

fn refusal(state: &State, asked: &Asked, input: &Value) -> Option<Response<Body>> {
    if !accepts(&state.accepted, asked.header("authorization")) {
        return Some(error(401, "Unauthorized"));
    }
    let name = |field: &str| input[field].as_str().unwrap_or_default().to_owned();
    let asked_for = format!("{}/{}", name("ownerSlug"), name("datasetSlug"));
    (asked_for != state.dataset).then(|| error(404, "Not found"))
}

fn accepts(accepted: &Accepted, authorization: Option<&str>) -> bool {
    let expected = match accepted {
        Accepted::Anyone => return true,
        Accepted::Token(token) => format!("Bearer {token}"),
        Accepted::Legacy(username, key) => format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{key}"))),
    };
    authorization == Some(expected.as_str())
}

/// As the real service writes it: optional fields three times, times with any number of digits, newest version first.
fn dataset(state: &State) -> Value {
    let listed = state.archives.keys().rev().filter(|&&version| version <= state.current && !state.unlisted);
    let versions: Vec<_> = listed.map(|&version| listed_version(state, version)).collect();
    json!({
        "id": 4242, "ref": state.dataset, "title": "Stand-in", "titleNullable": "Stand-in", "hasTitle": true,
        "totalBytes": 1_234_567, "lastUpdated": "2026-01-01T00:00:00.7Z", "isPrivate": false, "files": [],
        "currentVersionNumber": state.current, "currentVersionNumberNullable": state.current,
        "hasCurrentVersionNumber": true, "versions": versions,
    })
}

fn listed_version(state: &State, version: u64) -> Value {
    let status = state.statuses.get(&version).map_or("Ready", String::as_str);
    let created = format!("2026-01-01T00:{:02}:{:02}.083Z", version / 60 % 60, version % 60);
    json!({"versionNumber": version, "creationDate": created, "creatorName": "Stand-in",
           "versionNotes": format!("version {version}"), "status": status})
}

fn download(state: &mut State, shared: &Shared, input: &Value) -> Response<Body> {
    let version = input["datasetVersionNumber"].as_u64().unwrap_or(state.current);
    if !state.archives.contains_key(&version) {
        return error(404, "Not found");
    }
    redirect(&storage::sign(state, shared.storage, version))
}

fn redirect(location: &str) -> Response<Body> {
    let mut response = text(302, "text/html", String::new(), &Fault::default());
    set(&mut response, LOCATION, location);
    response
}

fn error(status: u16, message: &str) -> Response<Body> {
    json_answer(status, &complaint(status, message), &Fault::default())
}

fn complaint(status: u16, message: &str) -> Value {
    json!({"code": status, "message": message})
}

pub(super) fn json_answer(status: u16, answer: &Value, fault: &Fault) -> Response<Body> {
    text(status, "application/json; charset=utf-8", answer.to_string(), fault)
}
