//! Who logs in, and what is trusted, as the configuration says it: with a secret in the format of RDS.

use std::sync::{Arc, Mutex};

use aws_sdk_secretsmanager::Client;
use cdc_to_s3::clients::Clients;
use cdc_to_s3::config::{Config, ConfigText, Environment, Overrides};
use cdc_to_s3::source::Source;
use cdc_to_s3::source::sqlserver::SqlServer;
use cdc_to_s3::{Kind, Result};
use serde_json::{Value as Json, json};

use super::{Stub, orders, serve, stub};
use crate::support::emulator;
use crate::support::tds::{self, Certificate, Server};

const SECRET: &str = "shop/reader";
const OLD: &str = "s3cret-old";
const NEW: &str = "s3cret-new";

/// An account with a secret, and the clients of a container in it.
struct Container {
    secrets: Client,
    clients: Clients,
}

impl Container {
    async fn new(secret: &Json) -> Self {
        Self::of(&emulator::account(), secret).await
    }

    async fn of(account: &str, secret: &Json) -> Self {
        let sdk = emulator::sdk_config(emulator::endpoint(), account);
        let secrets = Client::new(&sdk);
        secrets.create_secret().name(SECRET).secret_string(secret.to_string()).send().await.expect("a new secret");
        Self { secrets, clients: Clients::with_sdk(Environment::default(), None, sdk) }
    }

    async fn rotate(&self, secret: &Json) {
        self.secrets.put_secret_value().secret_id(SECRET).secret_string(secret.to_string()).send().await.unwrap();
    }

    /// The source of one run.
    async fn source(&self, source: &Json) -> Result<SqlServer> {
        let document = json!({"source": source, "aws": {"bucket": "lake"}});
        let text = ConfigText { origin: "config.json".to_owned(), text: document.to_string() };
        let config = Config::from_json(&text, &Environment::default(), &Overrides::default())?;
        match self.clients.source(&config).await? {
            Source::SqlServer(source) => Ok(source),
            other => panic!("{other:?}"),
        }
    }
}

fn secret(server: &Server, password: &str) -> Json {
    let port = server.address().port();
    json!({"username": "reader", "password": password, "host": "127.0.0.1", "port": port, "dbname": "shop"})
}

/// A database that lets in whoever knows this password.
async fn guarded(password: &Arc<Mutex<String>>) -> Server {
    let stub = Stub { password: Some(Arc::clone(password)), ..orders(3) };
    serve(stub.on("max lsn", |_| tds::Answer::value(stub::lsn_column(), &super::FIRST[..]))).await
}

fn plain() -> Json {
    json!({"type": "sqlserver", "secret_id": SECRET, "encrypt": "off"})
}

#[tokio::test]
async fn the_secret_says_where_the_database_is_where_the_configuration_does_not() {
    let server = guarded(&Arc::new(Mutex::new(OLD.to_owned()))).await;
    let container = Container::new(&secret(&server, OLD)).await;
    let source = container.source(&plain()).await.unwrap();
    assert_eq!(source.database, "shop");
    assert!(source.server.max_lsn().await.unwrap().is_some());
    let mut elsewhere = plain();
    elsewhere["database"] = "archive".into();
    let source = container.source(&elsewhere).await.unwrap();
    source.server.max_lsn().await.unwrap();
    assert_eq!(source.database, "archive");
    assert_eq!(server.logins().iter().map(|login| login.database.as_str()).collect::<Vec<_>>(), ["shop", "archive"]);
}

#[tokio::test]
async fn a_rotated_secret_is_fetched_again_after_a_refused_login() {
    let password = Arc::new(Mutex::new(OLD.to_owned()));
    let server = guarded(&password).await;
    let container = Container::new(&secret(&server, OLD)).await;
    container.source(&plain()).await.unwrap().server.max_lsn().await.unwrap();
    NEW.clone_into(&mut password.lock().unwrap());
    container.rotate(&secret(&server, NEW)).await;
    container.source(&plain()).await.unwrap().server.max_lsn().await.unwrap();
    let passwords: Vec<String> = server.logins().into_iter().map(|login| login.password).collect();
    assert_eq!(passwords, [OLD, OLD, NEW]);
    // The next run of the container begins with what was right.
    container.source(&plain()).await.unwrap().server.max_lsn().await.unwrap();
    assert_eq!(server.logins().len(), 4);
}

#[tokio::test]
async fn a_secret_that_stays_wrong_is_tried_once_and_not_shown() {
    let server = guarded(&Arc::new(Mutex::new(NEW.to_owned()))).await;
    let container = Container::new(&secret(&server, OLD)).await;
    let error = container.source(&plain()).await.unwrap().server.max_lsn().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, "SqlServerUnauthorized"));
    assert!(!format!("{error:?}").contains(OLD));
    // Logins are locked by trying.
    assert_eq!(server.logins().len(), 1);
}

#[tokio::test]
async fn certificates_to_trust_may_be_an_object_a_file_or_the_text_itself() {
    let certificate = Arc::new(Certificate::new(&["127.0.0.1"]).unwrap());
    let settings = tds::Settings {
        encryption: tds::Encryption::Forced,
        certificate: Some(Arc::clone(&certificate)),
        ..tds::Settings::default()
    };
    let stub = orders(1).on("max lsn", |_| tds::Answer::value(stub::lsn_column(), &super::FIRST[..]));
    let server = Server::start(settings, Arc::new(stub)).await.unwrap();
    let (s3, bucket) = emulator::bucket().await;
    let body = certificate.authority.clone().into_bytes().into();
    s3.put_object().bucket(&bucket).key("ca.pem").body(body).send().await.unwrap();
    let account = bucket.strip_prefix("lake-").unwrap();
    let container = Container::of(account, &secret(&server, OLD)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &certificate.authority).unwrap();
    for place in [format!("s3://{bucket}/ca.pem"), file.display().to_string(), certificate.authority.clone()] {
        let source = json!({"type": "sqlserver", "secret_id": SECRET, "trust_ca": place});
        container.source(&source).await.unwrap().server.max_lsn().await.unwrap();
    }
    for place in [format!("s3://{bucket}/other.pem"), folder.path().join("other.pem").display().to_string()] {
        let source = json!({"type": "sqlserver", "secret_id": SECRET, "trust_ca": place});
        assert_eq!(container.source(&source).await.unwrap_err().code(), "CertificatesUnreadable");
    }
}
