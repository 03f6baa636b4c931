//! Secrets Manager over a bad wire.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use cdc_to_s3::config::Environment;
use cdc_to_s3::secrets::{CredentialCache, KaggleCredentials, Secret, Timing, client};
use cdc_to_s3::{Error, Kind};

use super::timed;
use crate::support::emulator;
use crate::support::wire::{Fault, Way, Wire};

const NAME: &str = "kaggle-credentials";
const TOKEN: &str = "KGAT_not-for-any-log";
const THROTTLED: Fault = Fault::Answer(400, r#"{"__type": "ThrottlingException", "message": "Rate exceeded"}"#);
/// A margin for a busy machine.
const SLACK: Duration = Duration::from_secs(2);

fn timing() -> Timing {
    Timing {
        connect_timeout: Duration::from_secs(1),
        attempt_timeout: Duration::from_millis(800),
        operation_timeout: Duration::from_secs(2),
        attempts: 4,
        backoff: Duration::from_millis(10),
    }
}

/// A secret at the end of a wire.
async fn secret() -> (Wire, CredentialCache) {
    let account = emulator::account();
    let direct = Client::new(&emulator::sdk_config(emulator::endpoint(), &account));
    direct.create_secret().name(NAME).secret_string(TOKEN).send().await.expect("a new secret");
    let wire = Wire::to(emulator::endpoint()).await;
    let over_the_wire = client(&emulator::sdk_config(&wire.endpoint, &account), &timing());
    let environment = Environment::from_pairs([("KAGGLE_SECRET_ID", NAME)]);
    let cache = CredentialCache::new(environment, None, move || {
        let client = over_the_wire.clone();
        Box::pin(async move { client })
    });
    (wire, cache)
}

fn unavailable(error: &Error) {
    assert_eq!((error.kind(), error.code()), (Kind::Transient, "SecretUnavailable"), "{error:?}");
    assert!(!format!("{error:?}").contains("not-for-any-log"), "{error:?}");
}

#[tokio::test]
async fn a_fault_that_passes_is_waited_out() {
    let (wire, cache) = secret().await;
    wire.harm("POST", "", [Fault::Reset(Way::Up, 5), Fault::Reset(Way::Down, 200), THROTTLED]);
    assert_eq!(*cache.kaggle().await.unwrap(), KaggleCredentials::Token(Secret::new(TOKEN)));
    assert_eq!(wire.harmed(), 3);

    for fault in [Fault::Stall(Way::Down, 0), Fault::Drip(Way::Down, 200, Duration::from_millis(50))] {
        let (wire, cache) = secret().await;
        wire.harm("POST", "", [fault]);
        cache.kaggle().await.unwrap();
        assert_eq!(wire.harmed(), 1);
    }

    let (wire, cache) = secret().await;
    wire.refuse(2);
    cache.kaggle().await.unwrap();
}

#[tokio::test]
async fn a_fault_that_stays_is_transient_within_seconds_and_not_remembered() {
    let faults = [
        Fault::Stall(Way::Up, 5),
        Fault::Stall(Way::Down, 0),
        Fault::Stall(Way::Down, 250),
        Fault::Reset(Way::Up, 5),
        Fault::Reset(Way::Down, 250),
        Fault::Drip(Way::Down, 20, Duration::from_millis(300)),
        THROTTLED,
    ];
    let attacks = faults.map(|fault| async move {
        let (wire, cache) = secret().await;
        wire.harm_always("POST", "", fault.clone());
        let (outcome, took) = timed(cache.kaggle()).await;
        unavailable(&outcome.unwrap_err());
        assert!(took < timing().operation_timeout + SLACK, "{fault:?}: {took:?}");
        wire.mend();
        assert!(cache.kaggle().await.is_ok(), "{fault:?}");
    });
    futures_util::future::join_all(attacks).await;
}

#[tokio::test]
async fn nobody_there_is_transient() {
    let (wire, cache) = secret().await;
    wire.unplug().await;
    unavailable(&cache.kaggle().await.unwrap_err());
}

#[test]
fn production_gives_up_after_twenty_seconds_at_the_most() {
    let timing = Timing::default();
    assert_eq!(timing.operation_timeout, Duration::from_secs(20));
    assert!(timing.connect_timeout < timing.attempt_timeout && timing.attempt_timeout < timing.operation_timeout);
}
