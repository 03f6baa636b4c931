//! With the time-outs of production, which are longer than what is left of an invocation: the deadline ends the run.

use std::time::{Duration, SystemTime};

use cdc_to_s3::Kind;
use cdc_to_s3::clients::{Clients, Timing};
use cdc_to_s3::config::Environment;
use cdc_to_s3::lake::store::{S3ClientOptions, s3_client};
use cdc_to_s3::lambda::{Answer, Failure, Handler};
use cdc_to_s3::report::Report;
use cdc_to_s3::table::TableName;
use futures_util::future::join_all;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Bucket, SLOW_DOWN, timed, timing};
use crate::support::dataset::zipped;
use crate::support::emulator;
use crate::support::kaggle::{Accepted, Endpoint, Fault as KaggleFault, StandIn};
use crate::support::lake;
use crate::support::wire::{Fault, Way, Wire};

const SECRET: &str = "kaggle-credentials";
const TOKEN: &str = "KGAT_not-for-any-log";
const DATASET: &str = "owner/slug";
const CLIENTES: &str = "id;pontos\n1;10\n2;20\n3;30\n";
const ENOUGH: Duration = Duration::from_secs(120);
/// Where nothing is begun that needs the time for storing.
const SHORT: Duration = Duration::from_secs(3);
/// Where a table is begun: 5 s for storing, the handler's margin, and something to get there.
const LONG: Duration = Duration::from_secs(8);

const TICK: Duration = Duration::from_millis(20);

/// A function, a wire to S3 and Secrets Manager, and one to Kaggle's API.
struct Function {
    bucket: Bucket,
    kaggle: StandIn,
    api: Wire,
    temporary: TempDir,
    handler: Handler,
}

impl Function {
    async fn new(timing: Timing) -> Self {
        let (bucket, kaggle) = (Bucket::new().await, StandIn::start(DATASET).await.unwrap());
        let (api, temporary) = (Wire::to(&kaggle.url()).await, tempfile::tempdir().unwrap());
        let environment = Environment::from_pairs([
            ("CDC_CONFIG", format!("s3://{}/config.json", bucket.name)),
            ("KAGGLE_API_ENDPOINT", api.endpoint.clone()),
            ("KAGGLE_SECRET_ID", SECRET.to_owned()),
        ]);
        let account = bucket.name.strip_prefix("lake-").unwrap();
        let sdk = emulator::sdk_config(&bucket.wire.endpoint, account);
        let clients = Clients::with_timing(environment, None, sdk, timing);
        prepare(&bucket, account).await;
        kaggle.set_credentials(Accepted::Token(TOKEN.to_owned()));
        kaggle.publish(1, zipped(&[("clientes", CLIENTES)]));
        Self { bucket, kaggle, api, handler: Handler::new(clients, temporary.path().to_owned()), temporary }
    }

    async fn invoke(&self, time: Duration) -> Result<Report, Failure> {
        let mut context = Context::default();
        context.request_id = "c0ffee".to_owned();
        context.deadline = deadline_ms(time);
        let event = LambdaEvent::new(json!({"run_at": "2026-11-20T09:00:00Z"}), context);
        let outcome = Box::pin(self.handler.handle(event)).await.map(|answer| match answer {
            Answer::Report(report) => report,
            Answer::Plan(plan) => panic!("a plan in place of a report: {plan:?}"),
        });
        assert_eq!(std::fs::read_dir(self.temporary.path()).unwrap().count(), 0, "files were left in the work folder");
        outcome
    }

    /// An invocation that must fail before its time is up, as Lambda counts it.
    async fn fail_within(&self, time: Duration) -> String {
        let (outcome, took) = timed(self.invoke(time)).await;
        let failure = outcome.expect_err("a failure");
        assert_eq!(failure.kind(), Kind::Transient, "{}", failure.message());
        assert!(took < time, "{took:?}: {}", failure.message());
        assert!(!failure.message().contains(TOKEN), "{}", failure.message());
        failure.message()
    }

    /// The same event again over good wires, and once more, which finds nothing to do.
    async fn complete(&self) {
        self.bucket.wire.mend();
        self.api.mend();
        let report = self.invoke(ENOUGH).await.unwrap();
        assert_eq!(report.tables[0].rows, 3, "{report:?}");
        let again = self.invoke(ENOUGH).await.unwrap();
        assert_eq!((again.tables[0].inserted, again.tables[0].rows), (0, 3));
        let log = lake::log(&self.bucket.direct(), &TableName::parse("clientes").unwrap()).await;
        assert_eq!(log.iter().map(|object| object.changes.len()).collect::<Vec<_>>(), [3]);
    }
}

/// The configuration and the secret.
async fn prepare(bucket: &Bucket, account: &str) {
    let direct = emulator::sdk_config(emulator::endpoint(), account);
    let s3 = s3_client(&direct, &S3ClientOptions::default());
    let config = config(&bucket.name).to_string().into_bytes();
    s3.put_object().bucket(&bucket.name).key("config.json").body(config.into()).send().await.expect("a configuration");
    let secrets = aws_sdk_secretsmanager::Client::new(&direct);
    secrets.create_secret().name(SECRET).secret_string(TOKEN).send().await.expect("a new secret");
}

fn config(bucket: &str) -> Value {
    json!({
        "dataset_name": DATASET,
        "aws": {"bucket": bucket, "prefix": "upcell", "region": "us-east-1"},
        "timer": {"unit": "hours", "value": 6},
        "tables": [{"name": "clientes", "sep": ";", "pk": "id"}],
    })
}

#[expect(clippy::disallowed_methods, reason = "a test process is a shell")]
fn deadline_ms(time: Duration) -> u64 {
    let end = SystemTime::now() + time;
    end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

#[tokio::test]
async fn silence_anywhere_on_the_way_to_the_tables_ends_before_the_invocation_does() {
    let silences = [("GET", "/config.json", 0), ("GET", "/config.json", 400), ("POST", "", 0), ("GET", "/_state/", 0)];
    let aws = silences.map(|(method, part, after)| async move {
        let function = Function::new(Timing::default()).await;
        function.bucket.wire.harm_always(method, part, Fault::Stall(Way::Down, after));
        let told = function.fail_within(SHORT).await;
        function.complete().await;
        told
    });
    let kaggle = async {
        let function = Function::new(Timing::default()).await;
        function.api.harm_always("POST", "", Fault::Stall(Way::Down, 0));
        function.fail_within(SHORT).await;
        function.complete().await;
    };
    let storage = async {
        let function = Function::new(Timing::default()).await;
        function.kaggle.fault(Endpoint::Storage, KaggleFault { stall_after: Some(40), ..KaggleFault::default() });
        function.fail_within(SHORT).await;
        function.complete().await;
    };
    futures_util::join!(join_all(aws), kaggle, storage);
}

#[tokio::test]
async fn silence_during_a_table_ends_before_the_invocation_does() {
    let silences = [
        ("GET", "/full-load/", Way::Down),
        ("GET", "list-type", Way::Down),
        ("PUT", "/_state/", Way::Up),
        ("PUT", "/cdc/", Way::Up),
        ("PUT", "/cdc/", Way::Down),
        ("PUT", "/full-load/", Way::Up),
    ];
    let attacks = silences.map(|(method, part, way)| async move {
        let function = Function::new(Timing::default()).await;
        function.bucket.wire.harm_always(method, part, Fault::Stall(way, 0));
        let told = function.fail_within(LONG).await;
        assert!(told.contains("OutOfTime"), "{method} {part}: {told}");
        function.complete().await;
    });
    join_all(attacks).await;
}

#[tokio::test]
async fn a_report_that_cannot_be_kept_does_not_fail_the_run_or_hold_it_up() {
    let function = Function::new(Timing::default()).await;
    function.bucket.wire.harm_always("PUT", "/_runs/", Fault::Stall(Way::Up, 0));
    let (outcome, took) = timed(function.invoke(ENOUGH)).await;
    assert_eq!(outcome.unwrap().tables[0].inserted, 3);
    assert!(took < LONG, "{took:?}");
    function.complete().await;
}

#[tokio::test]
async fn a_run_waits_out_throttling_and_resets_of_all_its_services() {
    let quick = Timing { s3: timing(), ..Timing::default() };
    let function = Function::new(quick).await;
    let (aws, api) = (&function.bucket.wire, &function.api);
    aws.harm("GET", "/config.json", [SLOW_DOWN, Fault::Reset(Way::Down, 400)]);
    aws.harm("POST", "", [Fault::Reset(Way::Down, 0), Fault::Answer(400, r#"{"__type": "ThrottlingException"}"#)]);
    api.harm("POST", "", [Fault::Reset(Way::Down, 0), Fault::Answer(429, "{}"), Fault::Drip(Way::Down, 50, TICK)]);
    aws.harm("PUT", "", [SLOW_DOWN, Fault::Reset(Way::Up, 100)]);
    let cut = KaggleFault { cut_after: Some(40), ..KaggleFault::default() };
    function.kaggle.fault(Endpoint::Storage, cut);
    assert_eq!(function.invoke(ENOUGH).await.unwrap().tables[0].inserted, 3);
    assert_eq!((aws.harmed(), api.harmed()), (6, 3));
    function.complete().await;
}
