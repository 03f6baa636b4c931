//! How the SDK's client is set up. What is set here is set on purpose, whatever the SDK's defaults become.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Config, Region, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};

/// A request is sent at most so often, with an exponential, jittered pause in between. Callers bound the whole by
/// their deadline.
const ATTEMPTS: u32 = 5;
const MAX_PAUSE: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// From the sending of a request without a large body to the head of its answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// The slowest upload that is waited for, in bytes a second: 2 Mbit/s, a poor home line.
const SLOWEST_UPLOAD: u64 = 256 * 1024;

/// A download that has brought nothing for so long is broken off, and resumed by the reader.
const STALLED_AFTER: Duration = Duration::from_secs(20);

/// What the environment does not say about the client.
#[derive(Clone, Debug, Default)]
pub struct S3ClientOptions {
    /// The bucket's region, where it is not the one of the environment.
    pub region: Option<String>,
    /// The base URL of a service that speaks S3. `AWS_ENDPOINT_URL` is part of `SdkConfig` already; the value of
    /// `AWS_ENDPOINT_URL_S3` belongs here.
    pub endpoint: Option<String>,
}

/// The client for a store, from the process's credentials and region. Made once, shared by all stores.
///
/// With an endpoint, buckets are addressed by path, because emulators and private clouds seldom have a host name per
/// bucket.
pub fn s3_client(sdk: &SdkConfig, options: &S3ClientOptions) -> Client {
    let mut builder = Builder::from(sdk)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(MAX_PAUSE))
        .timeout_config(timeouts(ATTEMPT_TIMEOUT))
        .stalled_stream_protection(stalled_streams())
        .request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
        .response_checksum_validation(ResponseChecksumValidation::WhenSupported)
        .force_path_style(options.endpoint.is_some() || sdk.endpoint_url().is_some());
    if let Some(region) = &options.region {
        builder = builder.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    Client::from_conf(builder.build())
}

/// The settings of one request that sends `len` bytes: the more it sends, the longer an attempt may take.
pub(super) fn attempt_timeout(len: u64) -> Builder {
    Config::builder().timeout_config(timeouts(ATTEMPT_TIMEOUT + Duration::from_secs(len / SLOWEST_UPLOAD)))
}

/// An attempt ends with the head of the answer: the body of a download has its own watch, and no limit in all.
fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(attempt).build()
}

/// Watched are downloads alone. The SDK's watch on uploads takes the time in which S3 thinks about a complete body, or
/// in which a Lambda sandbox is frozen, for a stall; [`attempt_timeout`] bounds uploads without that mistake.
fn stalled_streams() -> StalledStreamProtectionConfig {
    StalledStreamProtectionConfig::enabled()
        .upload_enabled(false)
        .download_enabled(true)
        .grace_period(STALLED_AFTER)
        .build()
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
        let client = client(&S3ClientOptions { region: Some("sa-east-1".to_owned()), endpoint: None });
        let config = client.config();
        assert_eq!(config.region().unwrap().as_ref(), "sa-east-1");
        assert_eq!(config.retry_config().unwrap().max_attempts(), ATTEMPTS);
        assert_eq!(config.timeout_config().unwrap().operation_attempt_timeout(), Some(ATTEMPT_TIMEOUT));
        let stalled = config.stalled_stream_protection().unwrap();
        assert!(stalled.download_enabled() && !stalled.upload_enabled());
        assert_eq!(config.request_checksum_calculation(), Some(&RequestChecksumCalculation::WhenSupported));
        assert_eq!(config.response_checksum_validation(), Some(&ResponseChecksumValidation::WhenSupported));
    }

    #[test]
    fn a_large_upload_gets_more_time_than_a_small_one() {
        let limit = |len| attempt_timeout(len).build().timeout_config().unwrap().operation_attempt_timeout().unwrap();
        assert_eq!(limit(100), ATTEMPT_TIMEOUT);
        assert_eq!(limit(16 * 1024 * 1024), Duration::from_secs(30 + 64));
    }
}
