//! Where the lake is: an argument, the environment, or the `aws` section of the document.

use serde_json::Value;
use url::Url;

use super::Overrides;
use super::environment::{CDC_LAKE, Environment};
use super::faults::Faults;
use super::keys;
use super::section::Section;
use super::source::is_plain_http;
use crate::lake::store::LakeUrl;

/// How S3 is spoken to. What is `None` is left to the AWS SDK's own settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// The bucket's region.
    pub region: Option<String>,
    /// The base URL of an S3-compatible service, http or https.
    pub endpoint_url: Option<String>,
    /// Whether the bucket is put into the path and not into the host name.
    pub path_style: Option<bool>,
    /// The KMS key that objects are encrypted with.
    pub kms_key_id: Option<String>,
}

pub(super) fn lake(
    root: &Section<'_>,
    environment: &Environment,
    overrides: &Overrides,
    faults: &Faults,
) -> (Option<LakeUrl>, S3Settings) {
    let aws = root.section("aws", &keys::names(&keys::AWS));
    let settings = aws.as_ref().map(s3_settings).unwrap_or_default();
    let configured = aws.as_ref().and_then(configured);
    let lake = overrides.lake.clone().or_else(|| match environment.get(CDC_LAKE) {
        Some(text) => from_environment(text, faults),
        None => configured,
    });
    // An unusable lake has been noted already; one that nobody names has not.
    let named = environment.get(CDC_LAKE).is_some() || aws.map_or(root.has("aws"), |aws| aws.has("bucket"));
    if lake.is_none() && !named {
        faults.add("aws.bucket", format!("is missing: name a bucket here, or a lake in {CDC_LAKE} or with --lake"));
    }
    (lake, settings)
}

fn from_environment(text: &str, faults: &Faults) -> Option<LakeUrl> {
    let lake = text.parse().ok();
    match &lake {
        // Not shown: a URL may carry credentials.
        None => faults.add(CDC_LAKE, "must be s3://bucket/prefix, file:///folder or a path"),
        Some(LakeUrl::S3 { bucket, .. }) => {
            if let Some(is_wrong) = bucket_fault(bucket) {
                faults.add(CDC_LAKE, format!("names the bucket `{bucket}`, which {is_wrong}"));
            }
        }
        Some(LakeUrl::Dir(_)) => {}
    }
    lake
}

fn configured(aws: &Section<'_>) -> Option<LakeUrl> {
    let prefix = aws.text("prefix").unwrap_or_default().trim_matches('/').to_owned();
    if let Some(is_wrong) = prefix_fault(&prefix) {
        aws.fault("prefix", is_wrong);
    }
    let bucket = aws.text("bucket");
    if aws.value("bucket").is_some_and(Value::is_string) && bucket.is_none() {
        aws.fault("bucket", "is empty");
    }
    if let Some(is_wrong) = bucket.and_then(bucket_fault) {
        aws.fault("bucket", format!("is `{}`, which {is_wrong}", bucket.unwrap_or_default()));
    }
    Some(LakeUrl::S3 { bucket: bucket?.to_owned(), prefix })
}

fn s3_settings(aws: &Section<'_>) -> S3Settings {
    let region = aws.text("region");
    if region.is_some_and(|region| {
        !region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    }) {
        aws.fault("region", format!("is `{}`: write it like us-east-1", region.unwrap_or_default()));
    }
    let endpoint_url = aws.text("endpoint_url");
    if endpoint_url.is_some_and(|text| !Url::parse(text).is_ok_and(|url| is_plain_http(&url))) {
        aws.fault("endpoint_url", "must be an http or https URL without user name, query and fragment");
    }
    S3Settings {
        region: region.map(str::to_owned),
        endpoint_url: endpoint_url.map(str::to_owned),
        path_style: aws.flag("path_style"),
        kms_key_id: aws.text("kms_key_id").map(str::to_owned),
    }
}

/// What makes `bucket` an impossible name
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
fn bucket_fault(bucket: &str) -> Option<&'static str> {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    if !(3..=63).contains(&bucket.len()) {
        Some("is not 3 to 63 characters long")
    } else if !bucket.bytes().all(allowed) {
        Some("holds something other than lower-case letters, digits, `-` and `.`")
    } else if !edge(bucket.as_bytes().first()) || !edge(bucket.as_bytes().last()) || bucket.contains("..") {
        Some("does not begin and end with a letter or digit, or holds `..`")
    } else {
        None
    }
}

/// What makes `prefix` unfit to be the start of every key.
fn prefix_fault(prefix: &str) -> Option<&'static str> {
    let mut segments = prefix.split('/');
    if prefix.chars().any(|c| c.is_control() || c == '\\') {
        Some("holds a control character or a backslash")
    } else if !prefix.is_empty() && segments.any(|segment| matches!(segment, "" | "." | "..")) {
        Some("holds an empty segment, `.` or `..`")
    } else if prefix.len() > 500 {
        Some("is longer than 500 bytes")
    } else {
        None
    }
}
