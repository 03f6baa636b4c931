//! The handler over real HTTP: a stand-in for Kaggle, and an emulation of S3 and Secrets Manager behind a counting proxy.

mod cost;
mod events;
mod failures;
mod races;
mod report;
mod runtime;
mod secret;
mod steps;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client as S3;
use aws_sdk_secretsmanager::Client as SecretsManager;
use cdc_to_s3::clients::Clients;
use cdc_to_s3::config::Environment;
use cdc_to_s3::lake::store::{S3ClientOptions, s3_client};
use cdc_to_s3::lambda::{Answer, Failure, Handler};
use cdc_to_s3::report::{Report, TableReport};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::dataset::zipped;
use crate::support::emulator;
use crate::support::kaggle::{Accepted, StandIn};
use crate::support::proxy::Proxy;

const DATASET: &str = "owner/slug";
const SECRET: &str = "kaggle-credentials";
const TOKEN: &str = "KGAT_first-not-for-any-log";
const ENOUGH: Duration = Duration::from_secs(120);

const CLIENTES: &str = "\
idCliente;qtdePontos;DtAtualizacao
c-1;10;2025-01-10 14:03:22.123
c-2;;2025-01-10 14:03:22.123
c-3;30;2025-01-10 14:03:22.123
";
const PRODUTOS: &str = "\
idProduto;nome;preco
1;Caneca;12.5
2;Adesivo;
3;Camiseta;99.9
";
const TRANSACOES: &str = "\
IdTransacao;IdCliente
t-1;c-1
t-2;c-3
";

/// A handler with everything around it.
struct Rig {
    kaggle: StandIn,
    proxy: Proxy,
    /// Not through the proxy.
    s3: S3,
    secrets: SecretsManager,
    bucket: String,
    temporary: TempDir,
    handler: Handler,
}

impl Rig {
    /// A rig with version 1 of the dataset, and nothing in the lake.
    async fn new() -> Self {
        Self::with(|bucket| config(bucket).to_string()).await
    }

    /// As [`Self::new`], with another value of `CDC_CONFIG`, which may depend on the bucket.
    async fn with(config: impl FnOnce(&str) -> String) -> Self {
        let (account, kaggle) = (emulator::account(), StandIn::start(DATASET).await.unwrap());
        let proxy = Proxy::start(emulator::endpoint()).await;
        let direct = emulator::sdk_config(emulator::endpoint(), &account);
        let bucket = format!("lake-{account}");
        let environment = Environment::from_pairs([
            ("CDC_CONFIG", config(&bucket)),
            ("KAGGLE_API_ENDPOINT", kaggle.url()),
            ("KAGGLE_SECRET_ID", SECRET.to_owned()),
        ]);
        let clients = Clients::with_sdk(environment, None, emulator::sdk_config(&proxy.endpoint, &account));
        let temporary = tempfile::tempdir().unwrap();
        let rig = Self {
            handler: Handler::new(clients, temporary.path().to_owned()),
            s3: s3_client(&direct, &S3ClientOptions::default()),
            secrets: SecretsManager::new(&direct),
            kaggle,
            proxy,
            bucket,
            temporary,
        };
        rig.prepare().await;
        rig
    }

    async fn prepare(&self) {
        self.s3.create_bucket().bucket(&self.bucket).send().await.expect("a new bucket");
        let secret = json!({"token": TOKEN}).to_string();
        self.secrets.create_secret().name(SECRET).secret_string(secret).send().await.expect("a new secret");
        self.kaggle.set_credentials(Accepted::Token(TOKEN.to_owned()));
        self.publish(1, CLIENTES, PRODUTOS, TRANSACOES);
    }

    fn publish(&self, version: u64, clientes: &str, produtos: &str, transacoes: &str) {
        let tables = [("clientes", clientes), ("produtos", produtos), ("transacoes", transacoes)];
        self.kaggle.publish(version, zipped(&tables));
    }

    /// One invocation with plenty of time, which must leave no file behind.
    async fn invoke(&self, payload: Value) -> Result<Report, Failure> {
        self.invoke_within(ENOUGH, payload).await
    }

    async fn invoke_within(&self, time: Duration, payload: Value) -> Result<Report, Failure> {
        self.answer(time, payload).await.map(|answer| match answer {
            Answer::Report(report) => report,
            Answer::Plan(plan) => panic!("a plan in place of a report: {plan:?}"),
        })
    }

    async fn answer(&self, time: Duration, payload: Value) -> Result<Answer, Failure> {
        let outcome = self.answer_beside(time, payload).await;
        assert_eq!(std::fs::read_dir(self.temporary.path()).unwrap().count(), 0, "files were left in the work folder");
        outcome
    }

    /// As [`Self::answer`], while others may be at work.
    async fn answer_beside(&self, time: Duration, payload: Value) -> Result<Answer, Failure> {
        let mut context = Context::default();
        context.request_id = "c0ffee".to_owned();
        context.deadline = deadline_ms(time);
        Box::pin(self.handler.handle(LambdaEvent::new(payload, context))).await
    }

    /// Key and tag of each object in the bucket.
    async fn objects(&self) -> BTreeMap<String, String> {
        let listed = self.s3.list_objects_v2().bucket(&self.bucket).send().await.expect("a listing");
        let text = |part: Option<&str>| part.expect("a key and a tag").to_owned();
        listed.contents().iter().map(|object| (text(object.key()), text(object.e_tag()))).collect()
    }

    /// The keys that are new or changed since `before`.
    async fn written_since(&self, before: &BTreeMap<String, String>) -> Vec<String> {
        let now = self.objects().await;
        assert!(before.keys().all(|key| now.contains_key(key)), "an object went away");
        now.into_iter().filter(|(key, tag)| before.get(key) != Some(tag)).map(|(key, _)| key).collect()
    }
}

/// The original's `config.json`, for the three tables here.
fn config(bucket: &str) -> Value {
    json!({
        "dataset_name": DATASET,
        "aws": {"bucket": bucket, "prefix": "upcell", "region": "us-east-1"},
        "timer": {"unit": "hours", "value": 6},
        "tables": [
            {"name": "clientes", "sep": ";", "pk": "idCliente", "date_field": "DtAtualizacao"},
            {"name": "produtos", "sep": ";", "pk": ["idProduto"], "date_field": ""},
            {"name": "transacoes", "sep": ";", "pk": "IdTransacao"},
        ],
    })
}

/// The scheduled event of an hour of the day of the examples.
fn at(hour: u32) -> Value {
    json!({"run_at": format!("2026-11-20T{hour:02}:00:00Z")})
}

fn table<'r>(report: &'r Report, name: &str) -> &'r TableReport {
    report.tables.iter().find(|table| table.name == name).expect("a report of the table")
}

/// Inserts, updates and deletes.
fn changes(report: &Report, name: &str) -> [u64; 3] {
    let table = table(report, name);
    [table.inserted, table.updated, table.deleted]
}

/// `time` from now, as Lambda says it: milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a test process is a shell")]
fn deadline_ms(time: Duration) -> u64 {
    let end = SystemTime::now() + time;
    end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}
