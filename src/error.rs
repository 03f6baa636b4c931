//! The one error type: a [`Kind`] that says what the caller can do, a stable code, a message and a hint.
//!
//! The kind alone decides the exit code, the error type that Lambda reports, and whether a retry makes sense. The
//! code names the precise fault (`DuplicateKeys`, `MassDelete`, …) and is what a runbook is looked up by. The message
//! names the place (file, line, column, key or config path); the hint says what to do. Causes stay behind
//! [`std::error::Error::source`] and are never formatted into the message.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What stands before the hint in [`Error::told`].
const HINT: &str = "\nhint: ";

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// The configuration, credentials or permissions are wrong: a person has to change them.
    Config,
    /// A passing fault of a network or a service: the same run may succeed later.
    Transient,
    /// The source's data cannot be published as they are: a person has to look at them.
    Data,
    /// Somebody else is working on, or has overtaken, the same table.
    Conflict,
    /// A broken invariant: a fault of this program or of an object that was changed by hand.
    Internal,
}

impl Kind {
    /// The process exit code of the command line: 1 a table failed, 2 usage or configuration, 3 worth retrying.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Data | Self::Internal => 1,
            Self::Config => 2,
            Self::Transient | Self::Conflict => 3,
        }
    }

    /// The name used in reports and as Lambda's error type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "Config",
            Self::Transient => "Transient",
            Self::Data => "Data",
            Self::Conflict => "Conflict",
            Self::Internal => "Internal",
        }
    }
}

/// The codes of the guards: what stops a table before it would publish something false, or go on over a gap.
const GUARDS: [&str; 11] = [
    "ChangesLost",
    "EmptyTable",
    "FileCut",
    "FileMoved",
    "InstanceMissing",
    "InstanceRecreated",
    "MassDelete",
    "PartMissing",
    "SourceRestored",
    "SourceRewound",
    "TableMissing",
];

/// An error with what an operator needs to act on it.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    code: &'static str,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with its stable `code` and a message that names the place.
    pub fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, code, message: message.into(), hint: None, source: None }))
    }

    /// A [`Kind::Config`] error.
    pub fn config(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Config, code, message)
    }

    /// A [`Kind::Transient`] error.
    pub fn transient(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Transient, code, message)
    }

    /// A [`Kind::Data`] error.
    pub fn data(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Data, code, message)
    }

    /// A [`Kind::Conflict`] error.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, code, message)
    }

    /// A [`Kind::Internal`] error.
    pub fn internal(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, code, message)
    }

    /// Adds what the operator should do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the cause, which stays out of the message.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What the caller can do.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The stable name of the precise fault.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// Whether nothing is known of a table but that its own step of the run did not end in order.
    pub fn is_unfinished(&self) -> bool {
        self.code() == "TableUnfinished"
    }

    /// Whether a guard has stopped the table: its source is not what it was, and a person has to look at it.
    pub fn is_guard(&self) -> bool {
        GUARDS.contains(&self.code())
    }

    /// What the operator should do, where there is something specific to say.
    pub fn advice(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Code, message, causes and hint as one text, for who keeps nothing else beside the kind: a state machine.
    pub fn told(&self) -> String {
        let hint = self.advice().map(|hint| format!("{HINT}{hint}")).unwrap_or_default();
        format!("{}: {}{hint}", self.code(), self.chain())
    }

    /// The error that was [`told`](Self::told) as `text`; `None` where it is no such text.
    pub fn from_told(kind: Kind, text: &str) -> Option<Self> {
        let (code, rest) = text.split_once(": ")?;
        if code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let error = |message: &str| Self::new(kind, interned(code), message);
        Some(match rest.rsplit_once(HINT) {
            Some((message, hint)) => error(message).hint(hint),
            None => error(rest),
        })
    }

    /// The message followed by every cause, outermost first, separated by `: `.
    pub fn chain(&self) -> String {
        let mut text = self.0.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}): {}", self.0.kind.name(), self.0.code, self.chain())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// As the report shows it: `{kind, code, message, hint}`, the message with its whole chain of causes.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Error", 4)?;
        fields.serialize_field("kind", self.kind().name())?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("message", &self.chain())?;
        fields.serialize_field("hint", &self.advice())?;
        fields.end()
    }
}

/// The code that an error of another process had. There are only so many of them; each is kept for good, once.
fn interned(code: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(code) = known.get(code) {
        return code;
    }
    let code: &'static str = Box::leak(code.into());
    known.insert(code);
    code
}

/// From what [`Serialize`] made of it; the causes are in the message by then.
impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            kind: Kind,
            code: String,
            message: String,
            hint: Option<String>,
        }
        let Fields { kind, code, message, hint } = Fields::deserialize(deserializer)?;
        let error = Self::new(kind, interned(&code), message);
        Ok(match hint {
            Some(hint) => error.hint(hint),
            None => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_holds_every_cause_once_and_display_only_the_message() {
        let inner = Error::transient("Reset", "connection reset");
        let outer = Error::data("Unreadable", "cannot read t.csv").caused_by(inner).hint("fetch it again");
        assert_eq!(outer.to_string(), "cannot read t.csv");
        assert_eq!(outer.chain(), "cannot read t.csv: connection reset");
        let json = serde_json::to_value(&outer).unwrap();
        assert_eq!(json["kind"], "Data");
        assert_eq!(json["hint"], "fetch it again");
    }

    #[test]
    fn an_error_survives_being_told_and_being_json() {
        let plain = Error::data("Unreadable", "a: b\n  c").caused_by(Error::transient("Reset", "reset"));
        let hinted = Error::config("InvalidEvent", "2 faults:\n  x").hint("see events/ (all: of them)");
        for error in [plain, hinted] {
            let json = serde_json::to_value(&error).unwrap();
            let told = Error::from_told(error.kind(), &error.told()).unwrap();
            let read: Error = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(
                (serde_json::to_value(&told).unwrap(), serde_json::to_value(&read).unwrap()),
                (json.clone(), json)
            );
        }
        for text in ["", "Task timed out", "not a code: x", ": x"] {
            assert!(Error::from_told(Kind::Data, text).is_none(), "{text}");
        }
    }

    #[test]
    fn exit_codes_are_those_of_the_interface() {
        let codes = [Kind::Data, Kind::Internal, Kind::Config, Kind::Transient, Kind::Conflict].map(Kind::exit_code);
        assert_eq!(codes, [1, 1, 2, 3, 3]);
    }
}
