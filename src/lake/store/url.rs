//! Where a lake is, as a person writes it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The place of a lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LakeUrl {
    /// A bucket and a key prefix, which has no slash at either end and may be empty.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The prefix of all keys.
        prefix: String,
    },
    /// A local folder.
    Dir(PathBuf),
}

/// `s3://bucket/prefix`, `file:///dir`, or a path.
impl FromStr for LakeUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.trim().split_once("://") {
            Some(("s3", rest)) => s3(rest).ok_or_else(|| invalid(text)),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Dir(path.into())),
            Some(_) => Err(invalid(text)),
            None if text.trim().is_empty() => Err(invalid(text)),
            None => Ok(Self::Dir(text.trim().into())),
        }
    }
}

impl fmt::Display for LakeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Dir(path) => path.display().fmt(f),
        }
    }
}

fn s3(rest: &str) -> Option<LakeUrl> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    (!bucket.is_empty()).then(|| LakeUrl::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
}

fn invalid(text: &str) -> Error {
    Error::config("InvalidLakeUrl", format!("`{text}` is not the place of a lake"))
        .hint("write s3://bucket/prefix, file:///folder or a path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_a_round_trip() {
        for text in ["s3://bucket", "s3://bucket/a/b", "/tmp/lake", "lake"] {
            assert_eq!(text.parse::<LakeUrl>().unwrap().to_string(), text);
        }
        assert_eq!("file:///tmp/lake".parse::<LakeUrl>().unwrap(), LakeUrl::Dir("/tmp/lake".into()));
    }

    #[test]
    fn other_schemes_and_empty_places_are_refused() {
        for text in ["", "s3://", "s3:///prefix", "gs://bucket", "file://relative"] {
            assert_eq!(text.parse::<LakeUrl>().unwrap_err().code(), "InvalidLakeUrl", "{text}");
        }
    }
}
