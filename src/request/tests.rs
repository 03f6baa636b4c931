use chrono::TimeZone;
use serde_json::{Value, json};

use super::*;
use crate::Kind;

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 20, 9, 0, 7).unwrap() + chrono::Duration::milliseconds(345)
}

fn from(payload: Value) -> Result<Request> {
    Request::from_event(payload, "c0ffee", now(), Deadline::NONE)
}

fn faults(payload: Value) -> Vec<String> {
    let error = from(payload).unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, "InvalidEvent"));
    assert!(error.advice().is_some());
    error.to_string().lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

fn schedule(time: &str, detail: &Value) -> Value {
    json!({"detail-type": "Scheduled Event", "source": "aws.events", "time": time, "detail": detail})
}

fn spec(name: &str) -> TableSpec {
    TableSpec::new(TableName::parse(name).unwrap(), vec!["id".to_owned()])
}

#[test]
fn nothing_asks_for_a_run_of_everything_now() {
    for payload in [json!(null), json!({}), json!({"run_at": null, "tables": null})] {
        let request = from(payload).unwrap();
        assert_eq!(request.run_at.to_rfc3339(), "2026-11-20T09:00:07+00:00");
        assert_eq!(request.identity, "request:c0ffee");
        assert_eq!((request.tables, request.force, request.dry_run), (None, false, false));
        assert_eq!((request.approve_deletes, request.config), (Approval::None, None));
    }
}

#[test]
fn a_time_in_any_spelling_gives_one_identity() {
    for text in [
        "2026-11-20T09:00:00Z",
        "2026-11-20T09:00:00.987Z",
        "2026-11-20T06:00:00-03:00",
        "2026-11-20T09:00:00",
        " 2026-11-20t09:00:00z ",
    ] {
        let request = from(json!({"run_at": text})).unwrap();
        assert_eq!(request.identity, "event:2026-11-20T09:00:00Z", "{text}");
        assert_eq!(request.run_at.timestamp_subsec_nanos(), 0);
    }
}

#[test]
fn a_redelivered_schedule_makes_an_equal_identity_and_its_detail_overrides() {
    let event = schedule("2026-11-20T09:00:00Z", &json!({"tables": ["clientes"]}));
    let first = from(event.clone()).unwrap();
    let again = Request::from_event(event, "another", now() + chrono::Duration::hours(1), Deadline::NONE).unwrap();
    assert_eq!((&first.identity, first.run_at), (&again.identity, again.run_at));
    assert_eq!(first.identity, "event:2026-11-20T09:00:00Z");
    assert_eq!(first.tables, Some(vec!["clientes".to_owned()]));
}

#[test]
fn the_default_input_of_the_scheduler_has_its_detail_as_text() {
    let request = from(schedule("2026-11-20T09:00:00Z", &json!("{}"))).unwrap();
    assert_eq!((request.identity.as_str(), request.tables), ("event:2026-11-20T09:00:00Z", None));
}

#[test]
fn a_placeholder_that_was_not_filled_in_counts_as_no_time() {
    assert_eq!(from(json!({"run_at": "<aws.scheduler.scheduled-time>"})).unwrap().identity, "request:c0ffee");
}

#[test]
fn deletes_are_approved_for_all_tables_or_for_named_ones() {
    let approval = |value: Value| from(json!({"approve_deletes": value})).unwrap().approve_deletes;
    let (a, b) = (TableName::parse("a").unwrap(), TableName::parse("b").unwrap());
    assert_eq!((approval(json!(true)).covers(&a), approval(json!(false)).covers(&a)), (true, false));
    let named = approval(json!(["a"]));
    assert_eq!((named.covers(&a), named.covers(&b)), (true, false));
}

#[test]
fn a_configuration_is_given_in_full_or_by_its_place() {
    let config = |value: Value| from(json!({"config": value})).unwrap().config.unwrap();
    assert_eq!(config(json!({"a": 1})), ConfigSource::Inline("{\"a\":1}".to_owned()));
    let object = ConfigSource::S3 { bucket: "b".to_owned(), key: "c.json".to_owned() };
    assert_eq!(config(json!("s3://b/c.json")), object);
}

#[test]
fn all_faults_of_an_event_come_in_one_answer() {
    let payload = json!({
        "run_att": 1, "run_at": "yesterday", "tables": [], "force": "yes", "config": "https://x", "approve_deletes": 1
    });
    assert_eq!(
        faults(payload),
        [
            "`run_att` is an unknown key; known are run_at, tables, force, dry_run, config, lake, approve_deletes, adopt_source, allow_future",
            "`run_at` is `yesterday`: write a time like 2026-11-20T09:00:00Z",
            "`tables` is empty: leave it out to do all tables",
            "`force` must be true or false, not a string",
            "`approve_deletes` must be true, false or a list of tables",
            "`config` must be an object, or name one: a path or s3://bucket/key",
        ]
    );
    assert_eq!(faults(json!({"dryrun": true})), ["`dryrun` is an unknown key; did you mean `dry_run`?"]);
    assert_eq!(faults(json!(["clientes"])), ["must be an object, not a list"]);
    assert_eq!(faults(json!({"run_at": "0026-11-20T09:00:00Z"})).len(), 1);
    let detail = faults(schedule("2026-11-20T09:00:00Z", &json!({"table": ["a"]})));
    assert_eq!(detail, ["`detail.table` is an unknown key; did you mean `tables`?"]);
}

#[test]
fn times_that_no_run_may_have_are_refused_unless_one_ahead_is_meant() {
    for (event, key) in [
        (json!({"run_at": "1970-01-01T00:00:00Z"}), "run_at"),
        (json!({"run_at": "2027-11-20T09:00:00Z"}), "run_at"),
        (schedule("2226-11-20T09:00:00Z", &json!({})), "detail.time"),
    ] {
        let faults = faults(event.clone());
        assert!(faults.len() == 1 && faults[0].starts_with(&format!("`{key}` ")), "{event}: {faults:?}");
    }
    let meant = from(json!({"run_at": "2027-11-20T09:00:00Z", "allow_future": true})).unwrap();
    assert_eq!((meant.identity.as_str(), meant.allow_future), ("event:2027-11-20T09:00:00Z", true));
    assert_eq!(faults(json!({"run_at": "1970-01-01T00:00:00Z", "allow_future": true})).len(), 1);
    let never_set = Request::from_event(json!({}), "c0ffee", DateTime::UNIX_EPOCH, Deadline::NONE).unwrap_err();
    assert!(never_set.to_string().contains("lies before 2000"), "{never_set}");
    let table = json!({"step": "table", "event": {}, "run_at": "2027-11-20T09:00:00Z", "table": "t", "position": 1});
    assert!(Step::from_event(table, "c0ffee", now(), Deadline::NONE).is_err());
}

#[test]
fn other_events_are_refused_by_name() {
    let object = json!({"detail-type": "Object Created", "source": "aws.s3", "detail": {}});
    assert_eq!(
        from(object).unwrap_err().to_string(),
        "the event is a `Object Created` of `aws.s3`, not a `Scheduled Event`"
    );
    assert_eq!(from(json!({"detail-type": 7})).unwrap_err().code(), "InvalidEvent");
}

#[test]
fn the_selected_tables_keep_their_order_and_unknown_ones_are_all_named() {
    let specs = ["clientes", "produtos", "transacoes"].map(spec);
    let selected = |payload: Value| from(payload).unwrap().select(&specs).map(|specs| listed_names(&specs));
    assert_eq!(selected(json!({})).unwrap(), ["clientes", "produtos", "transacoes"]);
    let some = json!({"tables": ["transacoes", "clientes", "transacoes"]});
    assert_eq!(selected(some).unwrap(), ["clientes", "transacoes"]);
    let error = selected(json!({"tables": ["client"], "approve_deletes": ["vendas"]})).unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, "UnknownTable"));
    assert_eq!(
        error.to_string(),
        "the request has 2 faults:\n  `tables` names the unknown table `client`; did you mean `clientes`?\n  \
         `approve_deletes` names the unknown table `vendas`"
    );
    assert_eq!(error.advice(), Some("configured are clientes, produtos, transacoes"));
}

fn listed_names(specs: &[&TableSpec]) -> Vec<String> {
    specs.iter().map(|spec| spec.name.to_string()).collect()
}

#[test]
fn a_lake_of_its_own_is_a_place_and_is_not_shown_where_it_is_none() {
    let lake = from(json!({"lake": "s3://bucket/sales"})).unwrap().lake;
    assert_eq!(lake, Some("s3://bucket/sales".parse().unwrap()));
    assert_eq!(from(json!({})).unwrap().lake, None);
    let refused = faults(json!({"lake": "https://user:hunter2@bucket"}));
    assert_eq!(refused, ["`lake` must be s3://bucket/prefix"]);
}
