//! Secrets in AWS Secrets Manager.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_sdk_secretsmanager::config::retry::RetryPartition;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::{GetSecretValueError, GetSecretValueOutput};

use super::KaggleCredentials;
use super::format::parse;
use crate::config::KAGGLE_SECRET_ID;
use crate::error::{Error, Result};

/// Time-outs and retries. The defaults are meant for production; tests shorten them.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Longest time to establish a connection.
    pub connect_timeout: Duration,
    /// Longest time of one attempt, answer included.
    pub attempt_timeout: Duration,
    /// All attempts together, with the waits between them.
    pub operation_timeout: Duration,
    /// How often the secret is asked for in all.
    pub attempts: u32,
    /// The longest wait before the second attempt; it doubles with each further one.
    pub backoff: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            attempt_timeout: Duration::from_secs(5),
            operation_timeout: Duration::from_secs(20),
            attempts: 4,
            backoff: Duration::from_millis(200),
        }
    }
}

/// Codes of answers that no repetition changes: a permission, or a signature with the wrong or an old key.
const DENIED: [&str; 9] = [
    "AccessDenied",
    "AccessDeniedException",
    "DecryptionFailure",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
];

/// A client with the settings of `sdk`, and with time-outs and retries that end well before a run's deadline. Its quota
/// of retries is its own: by default the SDK lets all clients of a region share one.
pub fn client(sdk: &SdkConfig, timing: &Timing) -> Client {
    let time_outs = TimeoutConfig::builder()
        .connect_timeout(timing.connect_timeout)
        .operation_attempt_timeout(timing.attempt_timeout)
        .operation_timeout(timing.operation_timeout)
        .build();
    let retries = RetryConfig::standard().with_max_attempts(timing.attempts).with_initial_backoff(timing.backoff);
    let config = Builder::from(sdk)
        .timeout_config(time_outs)
        .retry_config(retries)
        .retry_partition(RetryPartition::custom("secrets").build())
        // An answer of a few hundred bytes cannot stall for longer than the attempt's time-out allows.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    Client::from_conf(config.build())
}

/// The credentials in the current version of the secret `id` (a name or an ARN).
pub(super) async fn kaggle(client: &Client, id: &str) -> Result<KaggleCredentials> {
    let text = text(client, id, KAGGLE_SECRET_ID).await?;
    parse(&text, &format!("the secret {id}"))
}

/// The text of the current version of the secret `id` (a name or an ARN), which `setting` names.
pub(super) async fn text(client: &Client, id: &str, setting: &str) -> Result<String> {
    let answer = client.get_secret_value().secret_id(id).send().await.map_err(|error| failure(id, setting, error))?;
    let text = text_of(&answer).map(str::to_owned);
    text.ok_or_else(|| {
        Error::config("SecretMalformed", format!("the secret {id} holds no text")).hint("give it a value of JSON")
    })
}

fn text_of(answer: &GetSecretValueOutput) -> Option<&str> {
    let binary = || std::str::from_utf8(answer.secret_binary()?.as_ref()).ok();
    answer.secret_string().or_else(binary)
}

fn failure(id: &str, setting: &str, error: SdkError<GetSecretValueError>) -> Error {
    let outcome = match &error {
        SdkError::ServiceError(answer) => refusal(id, setting, answer.err().code().unwrap_or_default()),
        SdkError::ConstructionFailure(_) => not_configured(id),
        // The connector's own faults have a kind; what has none went wrong before anything was sent.
        SdkError::DispatchFailure(failure) if failure.is_other() && failure.as_other().is_none() => not_configured(id),
        _ => unavailable(id),
    };
    // An answer that could not be read may have held the secret: its error is dropped.
    if matches!(error, SdkError::ResponseError(_)) { outcome } else { outcome.caused_by(error) }
}

fn refusal(id: &str, setting: &str, code: &str) -> Error {
    match code {
        "ResourceNotFoundException" => Error::config("SecretNotFound", format!("there is no secret {id}"))
            .hint(format!("check {setting}, the region and the account; a secret needs a current version")),
        "InvalidRequestException" | "InvalidParameterException" | "ValidationException" => {
            Error::config("SecretNotFound", format!("the secret {id} cannot be asked for"))
                .hint(format!("check {setting}, and that the secret is not scheduled for deletion"))
        }
        code if DENIED.contains(&code) => Error::config("SecretDenied", format!("reading the secret {id} is denied"))
            .hint(
                "allow secretsmanager:GetSecretValue on its ARN, and kms:Decrypt on its key if it has one of its own",
            ),
        _ => unavailable(id),
    }
}

fn not_configured(id: &str) -> Error {
    Error::config("AwsNotConfigured", format!("the secret {id} cannot be asked for: AWS is not configured"))
        .hint("give a region (AWS_REGION) and credentials (AWS_PROFILE, or AWS_ACCESS_KEY_ID with its secret key)")
}

fn unavailable(id: &str) -> Error {
    Error::transient("SecretUnavailable", format!("Secrets Manager did not give the secret {id}"))
        .hint("try again; if it stays so, check the network path to Secrets Manager (a VPC needs an endpoint or a NAT)")
}
