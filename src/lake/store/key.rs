//! Which keys the lake can hold: those that are safe and mean the same as an S3 key and as a path below a folder.
//!
//! S3 itself takes more (`//`, `..`, a leading `/`), but such keys cannot be told apart or leave the folder on a disk.

use crate::error::{Error, Result};

/// The folder at the root of a local lake that holds what is not the lake's: temporary files and locks.
pub(super) const HIDDEN: &str = ".cdc-tmp";

/// The longest key that S3 takes, in bytes.
const MAX_LEN: usize = 1024;

/// Refuses a key that not every store can hold (`Config`, code `BadKey`).
pub(super) fn check_key(key: &str) -> Result<()> {
    fault(key).map_or(Ok(()), |reason| Err(bad_key(key, reason)))
}

/// Whether every store can hold `key`.
pub(super) fn is_key(key: &str) -> bool {
    fault(key).is_none()
}

/// The folder that every key starting with `prefix` lies in (without its last `/`), and refuses one that cannot be.
/// What follows the folder need not be a whole name.
pub(super) fn folder_of(prefix: &str) -> Result<&str> {
    let Some((folder, _)) = prefix.rsplit_once('/') else { return Ok("") };
    check_key(folder)?;
    Ok(folder)
}

fn fault(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("it is empty");
    }
    if key.len() > MAX_LEN {
        return Some("it is longer than 1024 bytes");
    }
    if key.contains(|c: char| c.is_control() || c == '\\') {
        return Some("it has a control character or a backslash");
    }
    if key.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Some("it has an empty segment, `.` or `..`");
    }
    (key.split('/').next() == Some(HIDDEN)).then_some("its first segment is reserved")
}

fn bad_key(key: &str, reason: &str) -> Error {
    Error::config("BadKey", format!("{key:?} cannot be the key of an object: {reason}"))
        .hint("change the table's name or the lake's prefix")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_leave_the_lake_or_are_ambiguous_are_refused() {
        let long = "k".repeat(MAX_LEN + 1);
        let bad = [
            "",
            "/a",
            "a/",
            "a//b",
            "..",
            "a/../b",
            "./a",
            "a/.",
            "a\\b",
            "a\0b",
            "a\nb",
            ".cdc-tmp",
            ".cdc-tmp/x",
            &long,
        ];
        for key in bad {
            assert_eq!(check_key(key).unwrap_err().code(), "BadKey", "{key:?}");
        }
    }

    #[test]
    fn keys_with_unusual_but_harmless_names_are_taken() {
        for key in ["a", "a b/ç+%?#=&.json", "..a/b..", "a/.cdc-tmp/b", "_state/t.json", "emoji/🦀"] {
            check_key(key).unwrap();
        }
    }

    #[test]
    fn the_folder_of_a_prefix_is_what_precedes_its_last_slash() {
        for (prefix, folder) in [("", ""), ("a", ""), ("a/", "a"), ("a/b", "a"), ("a/b/c", "a/b"), ("a/..", "a")] {
            assert_eq!(folder_of(prefix).unwrap(), folder, "{prefix:?}");
        }
        assert_eq!(folder_of("../x").unwrap_err().code(), "BadKey");
    }
}
