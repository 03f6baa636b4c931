//! The secret: fetched once per container, again after a refusal, and told to nobody.

use serde_json::json;

use super::{CLIENTES, PRODUTOS, Rig, SECRET, TRANSACOES, at};
use crate::support::kaggle::Accepted;

const SECOND: &str = "KGAT_second-not-for-any-log";

/// How often the secret was fetched since the last time.
fn fetches(rig: &Rig) -> usize {
    rig.proxy.take().iter().filter(|seen| seen.operation == "secretsmanager.GetSecretValue").count()
}

async fn rotate(rig: &Rig) {
    let secret = json!({"token": SECOND}).to_string();
    rig.secrets.put_secret_value().secret_id(SECRET).secret_string(secret).send().await.expect("a new value");
}

#[tokio::test]
async fn one_container_fetches_the_secret_once() {
    let rig = Rig::new().await;
    rig.invoke(at(9)).await.unwrap();
    rig.publish(2, CLIENTES, &PRODUTOS.replace("12.5", "13.5"), TRANSACOES);
    rig.invoke(at(15)).await.unwrap();
    assert_eq!(fetches(&rig), 1);
}

#[tokio::test]
async fn a_rotated_secret_is_fetched_again_after_a_401() {
    let rig = Rig::new().await;
    rig.invoke(at(9)).await.unwrap();
    assert_eq!(fetches(&rig), 1);
    rig.kaggle.set_credentials(Accepted::Token(SECOND.to_owned()));
    rotate(&rig).await;
    rig.publish(2, CLIENTES, &PRODUTOS.replace("12.5", "13.5"), TRANSACOES);
    assert_eq!(rig.invoke(at(15)).await.unwrap().totals().updated, 1);
    assert_eq!(fetches(&rig), 1);
}

#[tokio::test]
async fn a_secret_that_stays_wrong_fails_the_run_and_is_not_shown() {
    let rig = Rig::new().await;
    rig.kaggle.set_credentials(Accepted::Token(SECOND.to_owned()));
    let failure = rig.invoke(at(9)).await.unwrap_err();
    assert_eq!(failure.kind().name(), "Config");
    assert!(failure.message().starts_with("KaggleUnauthorized: "), "{}", failure.message());
    assert!(!format!("{failure:?} {}", failure.message()).contains("not-for-any-log"));
    assert_eq!(fetches(&rig), 2);
    rotate(&rig).await;
    rig.invoke(at(9)).await.unwrap();
}
