//! How the SDK's client is set up. What is set here is set on purpose, whatever the SDK's defaults become.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Config, Region, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};

/// The slowest upload that is waited for, in bytes a second: 2 Mbit/s, a poor home line.
const SLOWEST_UPLOAD: u64 = 256 * 1024;

/// Time-outs and retries. The defaults are meant for production; tests shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct S3Timing {
    /// How often a request is sent in all, with an exponential, jittered pause in between. Callers bound the whole by
    /// their deadline.
    pub attempts: u32,
    /// The longest first pause; each one after it may be twice as long.
    pub backoff: Duration,
    /// The pause beyond which doubling stops.
    pub longest_backoff: Duration,
    /// Longest time to establish a connection.
    pub connect_timeout: Duration,
    /// From the sending of a request to the head of its answer; longer where the request has a large body.
    pub attempt_timeout: Duration,
    /// A download that has brought nothing for so long (and a second more) is broken off, and resumed by the reader.
    pub stalled_after: Duration,
}

impl Default for S3Timing {
    fn default() -> Self {
        Self {
            attempts: 5,
            backoff: Duration::from_secs(1),
            longest_backoff: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(30),
            stalled_after: Duration::from_secs(20),
        }
    }
}

/// What the environment does not say about the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3ClientOptions {
    /// The bucket's region, where it is not the one of the environment.
    pub region: Option<String>,
    /// The base URL of a service that speaks S3. `AWS_ENDPOINT_URL` is part of `SdkConfig` already; the value of
    /// `AWS_ENDPOINT_URL_S3` belongs here.
    pub endpoint: Option<String>,
    /// Whether the bucket is put into the path; by default exactly where there is an endpoint.
    pub path_style: Option<bool>,
    /// How long is waited, and how often tried.
    pub timing: S3Timing,
}

/// The client for a store, from the process's credentials and region. Made once, shared by all stores.
///
/// With an endpoint, buckets are addressed by path, because emulators and private clouds seldom have a host name per
/// bucket. The client has a quota of retries of its own: by default the SDK lets all clients of a region share one, and
/// one endpoint in trouble would take the retries of the others.
pub fn s3_client(sdk: &SdkConfig, options: &S3ClientOptions) -> Client {
    let mut builder = Builder::from(sdk)
        .retry_config(retries(&options.timing))
        .retry_partition(RetryPartition::custom("lake").build())
        .timeout_config(timeouts(&options.timing))
        .stalled_stream_protection(stalled_streams(options.timing.stalled_after))
        .request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
        .response_checksum_validation(ResponseChecksumValidation::WhenSupported)
        .force_path_style(options.path_style.unwrap_or(options.endpoint.is_some() || sdk.endpoint_url().is_some()));
    if let Some(region) = &options.region {
        builder = builder.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    Client::from_conf(builder.build())
}

/// The settings of one request by `client` that sends `len` bytes: the more it sends, the longer an attempt may take.
pub(super) fn attempt_timeout(client: &Client, len: u64) -> Builder {
    let mut timeouts = client.config().timeout_config().map(TimeoutConfig::to_builder).unwrap_or_default();
    let usual = client.config().timeout_config().and_then(TimeoutConfig::operation_attempt_timeout);
    timeouts.set_operation_attempt_timeout(usual.map(|usual| usual + Duration::from_secs(len / SLOWEST_UPLOAD)));
    Config::builder().timeout_config(timeouts.build())
}

fn retries(timing: &S3Timing) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(timing.attempts)
        .with_initial_backoff(timing.backoff)
        .with_max_backoff(timing.longest_backoff)
}

/// An attempt ends with the head of the answer: the body of a download has its own watch, and no limit in all.
fn timeouts(timing: &S3Timing) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(timing.connect_timeout)
        .operation_attempt_timeout(timing.attempt_timeout)
        .build()
}

/// Watched are downloads alone. The SDK's watch on uploads takes the time in which S3 thinks about a complete body, or
/// in which a Lambda sandbox is frozen, for a stall; [`attempt_timeout`] bounds uploads without that mistake.
fn stalled_streams(after: Duration) -> StalledStreamProtectionConfig {
    StalledStreamProtectionConfig::enabled().upload_enabled(false).download_enabled(true).grace_period(after).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::config::BehaviorVersion;

    fn client(options: &S3ClientOptions) -> Client {
        let sdk =
            SdkConfig::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("us-east-1")).build();
        s3_client(&sdk, options)
    }

    #[test]
    fn the_settings_are_ours_and_not_the_defaults() {
        let client = client(&S3ClientOptions { region: Some("sa-east-1".to_owned()), ..S3ClientOptions::default() });
        let timing = S3Timing::default();
        let config = client.config();
        assert_eq!(config.region().unwrap().as_ref(), "sa-east-1");
        assert_eq!(config.retry_config().unwrap().max_attempts(), timing.attempts);
        assert_eq!(config.timeout_config().unwrap().operation_attempt_timeout(), Some(timing.attempt_timeout));
        let stalled = config.stalled_stream_protection().unwrap();
        assert!(stalled.download_enabled() && !stalled.upload_enabled());
        assert_eq!(stalled.grace_period(), timing.stalled_after);
        assert_eq!(config.request_checksum_calculation(), Some(&RequestChecksumCalculation::WhenSupported));
        assert_eq!(config.response_checksum_validation(), Some(&ResponseChecksumValidation::WhenSupported));
    }

    #[test]
    fn a_large_upload_gets_more_time_than_a_small_one() {
        let client = client(&S3ClientOptions::default());
        let timeouts = |len| attempt_timeout(&client, len).build().timeout_config().unwrap().clone();
        let limit = |len| timeouts(len).operation_attempt_timeout().unwrap();
        assert_eq!(limit(100), S3Timing::default().attempt_timeout);
        assert_eq!(limit(16 * 1024 * 1024), Duration::from_secs(30 + 64));
        assert_eq!(timeouts(100).connect_timeout(), Some(S3Timing::default().connect_timeout));
    }
}
