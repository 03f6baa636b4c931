//! The name of a dataset.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A dataset's name, `owner/slug`. Both parts are safe in URLs and in file names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dataset {
    owner: String,
    slug: String,
}

impl Dataset {
    /// The user or organisation that owns it.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Its name within the owner's datasets.
    pub fn slug(&self) -> &str {
        &self.slug
    }
}

impl FromStr for Dataset {
    type Err = Error;

    /// # Errors
    /// `DatasetName` (kind `Config`) when the text is not `owner/slug`, each of letters, digits, `-`, `_` and `.`.
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('/') {
            Some((owner, slug)) if is_name(owner) && is_name(slug) => {
                Ok(Self { owner: owner.to_owned(), slug: slug.to_owned() })
            }
            _ => Err(Error::config("DatasetName", format!("`{text}` is not the name of a Kaggle dataset"))
                .hint("write it as in the address of its page, owner/slug")),
        }
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.slug)
    }
}

fn is_name(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_and_slug_are_told_apart() {
        let dataset: Dataset = "teocalvo/teomewhy-loyalty-system".parse().unwrap();
        assert_eq!((dataset.owner(), dataset.slug()), ("teocalvo", "teomewhy-loyalty-system"));
        assert_eq!(dataset.to_string(), "teocalvo/teomewhy-loyalty-system");
    }

    #[test]
    fn anything_but_two_plain_names_is_refused() {
        for text in ["", "slug", "/slug", "owner/", "owner/slug/3", "../slug", "owner/..", "ow ner/slug", "owner/a?b"] {
            assert_eq!(text.parse::<Dataset>().unwrap_err().code(), "DatasetName", "{text}");
        }
    }
}
