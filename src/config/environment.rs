//! The environment variables, taken once by a shell and passed down as a value.
//!
//! No other module reads the process's environment. Values may be secrets, so only names are ever printed.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Result};
use crate::near::near;

/// The name of the function, which Lambda sets.
pub const AWS_LAMBDA_FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";
/// Where the configuration comes from: a path, an `s3://bucket/key` URL, or inline JSON starting with `{`.
pub const CDC_CONFIG: &str = "CDC_CONFIG";
/// The lake: `s3://bucket/prefix`, `file:///dir` or a path. Overrides `aws.bucket` and `aws.prefix`.
pub const CDC_LAKE: &str = "CDC_LAKE";
/// The form of the log lines: `json` or `text`.
pub const CDC_LOG_FORMAT: &str = "CDC_LOG_FORMAT";
/// The base URL of Kaggle's API, `https://api.kaggle.com` by default.
pub const KAGGLE_API_ENDPOINT: &str = "KAGGLE_API_ENDPOINT";
/// A Kaggle API token, or the path of a file that holds it.
pub const KAGGLE_API_TOKEN: &str = "KAGGLE_API_TOKEN";
/// The folder of `kaggle.json`, `~/.kaggle` by default.
pub const KAGGLE_CONFIG_DIR: &str = "KAGGLE_CONFIG_DIR";
/// The legacy key that belongs to [`KAGGLE_USERNAME`].
pub const KAGGLE_KEY: &str = "KAGGLE_KEY";
/// The name or ARN of the Secrets Manager secret that holds Kaggle's credentials.
pub const KAGGLE_SECRET_ID: &str = "KAGGLE_SECRET_ID";
/// The legacy user name that belongs to [`KAGGLE_KEY`].
pub const KAGGLE_USERNAME: &str = "KAGGLE_USERNAME";
/// Which log lines are written, as a `tracing` filter.
pub const RUST_LOG: &str = "RUST_LOG";

/// The password that belongs to [`SQLSERVER_USER`].
pub const SQLSERVER_PASSWORD: &str = "SQLSERVER_PASSWORD";
/// The name or ARN of the Secrets Manager secret that holds the login of SQL Server. Overrides `source.secret_id`.
pub const SQLSERVER_SECRET_ID: &str = "SQLSERVER_SECRET_ID";
/// The user that logs in to SQL Server. Overrides the secret, together with [`SQLSERVER_PASSWORD`].
pub const SQLSERVER_USER: &str = "SQLSERVER_USER";

/// The variables with our own prefix that mean something.
const OURS: [&str; 3] = [CDC_CONFIG, CDC_LAKE, CDC_LOG_FORMAT];
/// Variables of the test harness, which are nobody's misspelling.
const TEST_PREFIX: &str = "CDC_TEST_";

/// A snapshot of the environment variables.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The snapshot holding `pairs`; of a repeated name the last one counts.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// The value of a variable. One that is set to nothing counts as not set, since templates pass on empty parameters.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The snapshot with the variables of a `.env` file beneath it: what is set already stays.
    ///
    /// # Errors
    /// `InvalidDotenv` (kind `Config`), naming the line and never showing it.
    pub fn with_dotenv(mut self, text: &str) -> Result<Self> {
        let text = text.trim_start_matches('\u{feff}');
        for entry in dotenvy::from_read_iter(text.as_bytes()) {
            let (name, value) = entry.map_err(|error| invalid_dotenv(text, &error))?;
            if self.get(&name).is_none() {
                self.0.insert(name, value);
            }
        }
        Ok(self)
    }

    /// One sentence for each `CDC_…` variable that nothing reads, with the name that was probably meant.
    pub fn warnings(&self) -> Vec<String> {
        let unknown = self.0.keys().filter(|name| {
            name.starts_with("CDC_") && !name.starts_with(TEST_PREFIX) && !OURS.contains(&name.as_str())
        });
        unknown
            .map(|name| match near(name, OURS) {
                Some(meant) => format!("unknown environment variable `{name}`; did you mean `{meant}`?"),
                None => format!("unknown environment variable `{name}`"),
            })
            .collect()
    }
}

/// Names only.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The parser's own error shows the line, which may hold a secret: it is dropped for the line's number.
fn invalid_dotenv(text: &str, error: &dotenvy::Error) -> Error {
    let number = match error {
        // It holds the line, or its part after the `=`.
        dotenvy::Error::LineParse(part, _) => {
            let part = part.lines().next().map(str::trim).filter(|part| !part.is_empty());
            part.and_then(|part| text.lines().position(|line| line.trim().ends_with(part)))
        }
        _ => None,
    };
    let place = number.map_or_else(|| ".env".to_owned(), |index| format!(".env line {}", index + 1));
    Error::config("InvalidDotenv", format!("{place} is not `NAME=value`"))
        .hint("quote values that hold spaces or `#`: NAME=\"value\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotenv_fills_gaps_and_never_overrides() {
        let real = Environment::from_pairs([("CDC_LAKE", "s3://real"), ("KAGGLE_KEY", "")]);
        let both = real.with_dotenv("CDC_LAKE=s3://file\n# comment\nexport KAGGLE_KEY=\"k v\"\n").unwrap();
        assert_eq!(both.get(CDC_LAKE), Some("s3://real"));
        assert_eq!(both.get(KAGGLE_KEY), Some("k v"));
    }

    #[test]
    fn a_variable_set_to_nothing_is_not_set() {
        assert_eq!(Environment::from_pairs([("CDC_LAKE", "  ")]).get(CDC_LAKE), None);
    }

    #[test]
    fn a_bad_dotenv_line_is_named_by_number_and_not_shown() {
        for line in ["KAGGLE_KEY=my secret", "my secret", "=secret"] {
            let error = Environment::default().with_dotenv(&format!("A=1\n{line}\nB=2\n")).unwrap_err();
            assert_eq!(error.to_string(), ".env line 2 is not `NAME=value`");
            assert!(!format!("{error:?}").contains("secret"));
        }
    }

    #[test]
    fn debug_shows_names_and_no_values() {
        let shown = format!("{:?}", Environment::from_pairs([("KAGGLE_KEY", "hunter2")]));
        assert!(shown.contains("KAGGLE_KEY") && !shown.contains("hunter2"));
    }

    #[test]
    fn unknown_variables_of_ours_are_warned_about_with_the_near_name() {
        let environment =
            Environment::from_pairs([("CDC_LAEK", "x"), ("CDC_TEST_VENV", "x"), ("CDC_LAKE", "x"), ("PATH", "x")]);
        assert_eq!(environment.warnings(), ["unknown environment variable `CDC_LAEK`; did you mean `CDC_LAKE`?"]);
    }
}
