//! Where a lake is, as a person writes it: `s3://bucket/prefix`, `file:///folder`, or the path of a folder.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::key::check_key;
use crate::error::{Error, Result};

/// The place of a lake, valid by construction. Its `Display` form is accepted again by `FromStr`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LakeUrl {
    /// A bucket, and what its keys start with.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// Without slashes at its ends; empty for the whole bucket.
        prefix: String,
    },
    /// A local folder, which need not exist yet.
    Dir(PathBuf),
}

impl LakeUrl {
    /// A bucket and a prefix that were given apart. Slashes at the ends of the prefix do not count.
    pub fn s3(bucket: &str, prefix: &str) -> Result<Self> {
        check_bucket(bucket)?;
        let prefix = prefix.trim_matches('/');
        if !prefix.is_empty() {
            check_key(prefix)?;
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

/// Parses the written form; every fault is of kind `Config`, code `BadLakeUrl` (or `BadKey` for the prefix).
impl FromStr for LakeUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once("://") {
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                Self::s3(bucket, prefix)
            }
            Some(("file", _)) => parse_file_url(text),
            Some((scheme, _)) => Err(bad(format!("{scheme}:// is no place for a lake"))),
            None if text.trim().is_empty() => Err(bad("the lake's place is empty".to_owned())),
            None => Ok(Self::Dir(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for LakeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Dir(path) => write!(f, "{}", path.display()),
        }
    }
}

fn parse_file_url(text: &str) -> Result<LakeUrl> {
    let parsed = url::Url::parse(text).map_err(|error| bad(format!("{text} is not a URL")).caused_by(error))?;
    let path = parsed.to_file_path().map_err(|()| bad(format!("{text} names no local folder")))?;
    Ok(LakeUrl::Dir(path))
}

/// The rules for general purpose buckets: 3 to 63 lower-case letters, digits, dots and hyphens, a letter or digit at
/// both ends. Aliases of access points obey them too.
fn check_bucket(bucket: &str) -> Result<()> {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = bucket.as_bytes();
    let valid = (3..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| alphanumeric(byte) || matches!(byte, b'.' | b'-'))
        && bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric);
    if valid { Ok(()) } else { Err(bad(format!("{bucket:?} is not the name of a bucket"))) }
}

fn bad(message: String) -> Error {
    Error::config("BadLakeUrl", message).hint("write s3://bucket/prefix, file:///folder or the path of a folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LakeUrl> {
        text.parse()
    }

    fn bucket(bucket: &str, prefix: &str) -> LakeUrl {
        LakeUrl::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() }
    }

    #[test]
    fn the_three_forms_are_understood() {
        let cases = [
            ("s3://meudatalake-raw", bucket("meudatalake-raw", "")),
            ("s3://meudatalake-raw/", bucket("meudatalake-raw", "")),
            ("s3://meudatalake-raw/a/b/", bucket("meudatalake-raw", "a/b")),
            ("s3://meudatalake-raw/100% ç", bucket("meudatalake-raw", "100% ç")),
            ("file:///tmp/my%20lake", LakeUrl::Dir("/tmp/my lake".into())),
            ("./lake", LakeUrl::Dir("./lake".into())),
            ("/tmp/lake", LakeUrl::Dir("/tmp/lake".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
            assert_eq!(parse(&expected.to_string()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn faults_are_named_with_the_forms_that_work() {
        let cases =
            ["", "  ", "s3://", "s3:///prefix", "s3://A_B/c", "s3://ab", "s3://-abc", "gs://bucket", "file://lake"];
        for text in cases {
            let error = parse(text).unwrap_err();
            assert_eq!(error.code(), "BadLakeUrl", "{text}");
            assert!(error.advice().unwrap().contains("s3://bucket/prefix"));
        }
        assert_eq!(parse("s3://bucket/a//b").unwrap_err().code(), "BadKey");
        assert_eq!(parse("s3://bucket/a/../b").unwrap_err().code(), "BadKey");
    }
}
