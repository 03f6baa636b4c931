//! Invocations of one handler at the same moment: twins, and another event.

use std::sync::Arc;

use cdc_to_s3::Kind;
use cdc_to_s3::config::{Config, ConfigText, Environment, Overrides};
use cdc_to_s3::lake::commit::Runner;
use cdc_to_s3::lake::layout::RunTime;
use cdc_to_s3::lake::store::{S3Options, S3Store};
use cdc_to_s3::ops::verify::verify;
use cdc_to_s3::request::Request;
use chrono::{DateTime, TimeDelta, Utc};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};

use super::{CLIENTES, ENOUGH, PRODUTOS, Rig, TRANSACOES, deadline_ms};

const ROUNDS: i64 = 40;

/// An invocation that may lose against others, but fail only in a way that is worth a retry.
async fn invoke(rig: &Rig, event: Value, id: &str) {
    let mut context = Context::default();
    context.request_id = id.to_owned();
    context.deadline = deadline_ms(ENOUGH);
    if let Err(failure) = Box::pin(rig.handler.handle(LambdaEvent::new(event, context))).await {
        assert!(matches!(failure.kind(), Kind::Transient | Kind::Conflict), "{}", failure.message());
    }
}

fn minute(round: i64, seconds: i64) -> DateTime<Utc> {
    let first: DateTime<Utc> = "2026-11-20T09:00:00Z".parse().unwrap();
    first + TimeDelta::minutes(round) + TimeDelta::seconds(seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn invocations_that_race_publish_each_change_once() {
    let rig = Arc::new(Rig::new().await);
    invoke(&rig, json!({"run_at": minute(0, 0)}), "first").await;
    for round in 1..=ROUNDS {
        let points =
            CLIENTES.replace("c-1;10;2025-01-10", &format!("c-1;{round};{}", minute(round, 0).format("%Y-%m-%d")));
        let moved_on = points.replace("14:03:22.123\nc-2", &format!("{}\nc-2", minute(round, 0).format("%H:%M:%S")));
        rig.publish(u64::try_from(round).unwrap() + 1, &moved_on, PRODUTOS, TRANSACOES);
        let (event, later) = (json!({"run_at": minute(round, 0)}), json!({"run_at": minute(round, 1)}));
        tokio::join!(invoke(&rig, event.clone(), "a"), invoke(&rig, event.clone(), "a"), invoke(&rig, later, "b"));
        invoke(&rig, event, "a").await;
    }
    let now = minute(ROUNDS, 0) + TimeDelta::days(365);
    let text = ConfigText { origin: "the test".to_owned(), text: super::config(&rig.bucket).to_string() };
    let tables = Config::from_json(&text, &Environment::default(), &Overrides::default()).unwrap().tables;
    let runner = Runner { owner: "verify".to_owned(), run_at: RunTime::new(now), now, expires: now };
    let request = Request::new(now, "verify", now, cdc_to_s3::request::Deadline::NONE);
    let store = S3Store::new(rig.s3.clone(), S3Options::new(&rig.bucket, "upcell"));
    let found = verify(&store, &request.select(&tables).unwrap(), &runner, rig.temporary.path()).await.unwrap();
    assert!(found.ok, "{found:?}");
    let clientes = &found.tables[0];
    assert_eq!((clientes.rows, clientes.events), (3, 3 + u64::try_from(ROUNDS).unwrap()), "{clientes:?}");
}
