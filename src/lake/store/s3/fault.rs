//! What an error answer of S3 means, and the error that an operator can act on.
//!
//! The code in the body decides; the status only where there is no known code. The completion of a multipart upload
//! may carry an error in an answer of status 200.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::ProvideErrorMetadata;

use crate::error::Error;

/// An error of the SDK.
pub(super) type SdkError<E> = aws_sdk_s3::error::SdkError<E, HttpResponse>;

/// What was asked for, for messages. Its `Display` form is the object's place.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// What we do, as a verb.
    pub(super) action: &'static str,
    /// The IAM action it takes.
    pub(super) permission: &'static str,
    /// The bucket's name.
    pub(super) bucket: String,
    /// The key in the bucket.
    pub(super) key: String,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// What S3, or the way to it, has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// 412: the condition does not hold.
    ConditionFailed,
    /// 409: the outcome is open.
    Conflict,
    /// The upload is not there any more: it was aborted, or completed by an answer that was lost.
    UploadGone,
    /// No such object.
    Missing,
    /// The range begins beyond the end of the object.
    OutOfRange,
    NoBucket,
    OtherRegion,
    Denied,
    /// KMS does not let us use the key.
    KeyDenied,
    /// There are no credentials, or they are not accepted.
    Credentials,
    /// It may pass: no answer, 5xx, throttling, a body garbled on its way.
    Unavailable,
    Unexpected,
}

/// The meaning of an error.
pub(super) fn meaning<E: ProvideErrorMetadata + StdError + 'static>(error: &SdkError<E>) -> Meaning {
    match error {
        SdkError::ServiceError(answer) => classify(answer.raw().status().as_u16(), answer.err().code()),
        SdkError::ConstructionFailure(_) => Meaning::Unexpected,
        failure if lacks_credentials(failure) => Meaning::Credentials,
        _ => Meaning::Unavailable,
    }
}

/// The error of a request that failed for another reason than its condition.
pub(super) fn explain<E>(request: &Request, error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let message = format!("cannot {} {request}", request.action);
    let explained = match meaning(&error) {
        Meaning::Conflict => Error::transient("StoreConflict", message)
            .hint("another write of the object was under way; the next run sees what became of it"),
        Meaning::UploadGone => Error::transient("UploadAborted", message)
            .hint("the upload was aborted by another run of the table, or by a rule of the bucket; the next run stores what is left"),
        Meaning::Unavailable => {
            Error::transient("StoreUnavailable", message).hint("run again; S3 could not be reached")
        }
        Meaning::Denied => Error::config("StoreDenied", message).hint(permission_hint(request)),
        Meaning::KeyDenied => Error::config("StoreDenied", message)
            .hint("allow kms:GenerateDataKey and kms:Decrypt on the KMS key, and see that the key is enabled"),
        Meaning::Credentials => Error::config("NoCredentials", message)
            .hint("give the process valid AWS credentials (environment, profile or role) and a correct clock"),
        Meaning::NoBucket => Error::config("NoSuchBucket", message)
            .hint(format!("create the bucket {} or correct its name in the configuration", request.bucket)),
        Meaning::OtherRegion => Error::config("WrongRegion", message)
            .hint(format!("set aws.region to the region of the bucket {}", request.bucket)),
        Meaning::ConditionFailed | Meaning::Missing | Meaning::OutOfRange | Meaning::Unexpected => {
            Error::internal("BadAnswer", message).hint("the request or the answer was not understood; see the cause")
        }
    };
    explained.caused_by(error)
}

fn classify(status: u16, code: Option<&str>) -> Meaning {
    match code.unwrap_or_default() {
        "PreconditionFailed" => Meaning::ConditionFailed,
        "ConditionalRequestConflict" | "OperationAborted" => Meaning::Conflict,
        "NoSuchUpload" => Meaning::UploadGone,
        "NoSuchKey" | "NotFound" => Meaning::Missing,
        "NoSuchBucket" => Meaning::NoBucket,
        "InvalidRange" => Meaning::OutOfRange,
        "AccessDenied" | "AllAccessDisabled" => Meaning::Denied,
        "ExpiredToken" | "InvalidToken" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "RequestTimeTooSkewed" => {
            Meaning::Credentials
        }
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            Meaning::OtherRegion
        }
        "SlowDown" | "InternalError" | "ServiceUnavailable" | "RequestTimeout" | "BadDigest" | "IncompleteBody" => {
            Meaning::Unavailable
        }
        code if code.starts_with("KMS.") => Meaning::KeyDenied,
        _ => classify_status(status),
    }
}

fn classify_status(status: u16) -> Meaning {
    match status {
        301 | 307 => Meaning::OtherRegion,
        401 | 403 => Meaning::Denied,
        404 => Meaning::Missing,
        408 | 429 | 500.. => Meaning::Unavailable,
        409 => Meaning::Conflict,
        412 => Meaning::ConditionFailed,
        416 => Meaning::OutOfRange,
        _ => Meaning::Unexpected,
    }
}

fn lacks_credentials(error: &(dyn StdError + 'static)) -> bool {
    error.is::<CredentialsError>() || error.source().is_some_and(lacks_credentials)
}

fn permission_hint(request: &Request) -> String {
    let Request { permission, bucket, key, .. } = request;
    match *permission {
        "s3:ListBucket" => format!("allow s3:ListBucket on arn:aws:s3:::{bucket} for the prefix {key}"),
        "s3:ListBucketMultipartUploads" => format!("allow {permission} on arn:aws:s3:::{bucket}"),
        "s3:GetObject" => format!(
            "allow s3:GetObject on arn:aws:s3:::{bucket}/{key} (and kms:Decrypt where a KMS key encrypts it) and \
             s3:ListBucket on the bucket: without it S3 answers the same for an object that does not exist"
        ),
        _ => format!(
            "allow {permission} on arn:aws:s3:::{bucket}/{key} (and kms:GenerateDataKey and kms:Decrypt where a KMS \
             key encrypts it)"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_in_the_body_decides_and_otherwise_the_status() {
        let cases = [
            (412, Some("PreconditionFailed"), Meaning::ConditionFailed),
            (200, Some("PreconditionFailed"), Meaning::ConditionFailed),
            (200, Some("InternalError"), Meaning::Unavailable),
            (409, Some("ConditionalRequestConflict"), Meaning::Conflict),
            (404, Some("NoSuchUpload"), Meaning::UploadGone),
            (404, Some("NoSuchBucket"), Meaning::NoBucket),
            (404, None, Meaning::Missing),
            (403, Some("SignatureDoesNotMatch"), Meaning::Credentials),
            (403, None, Meaning::Denied),
            (400, Some("KMS.DisabledException"), Meaning::KeyDenied),
            (400, Some("RequestTimeout"), Meaning::Unavailable),
            (301, Some("PermanentRedirect"), Meaning::OtherRegion),
            (503, Some("SomethingNew"), Meaning::Unavailable),
            (400, Some("SomethingNew"), Meaning::Unexpected),
        ];
        for (status, code, expected) in cases {
            assert_eq!(classify(status, code), expected, "{status} {code:?}");
        }
    }
}
