//! What an error of the file system means for the operator.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::error::Error;

/// Whether there is no file of that name, or cannot be one because a file is where a folder would have to be.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The error of a failed `action` on `path`.
pub(super) fn explain(action: &str, path: &Path, error: io::Error) -> Error {
    let message = format!("cannot {action} {}", path.display());
    let explained = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Error::config("DiskFull", message).hint("make room on the disk, or keep the lake on another one")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Error::config("StoreDenied", message).hint("give this user the right to read and write the lake's folder")
        }
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => return in_the_way(path),
        ErrorKind::InvalidFilename | ErrorKind::InvalidInput => Error::config("BadKey", message)
            .hint("this file system cannot hold a file of that name; change the table's name"),
        ErrorKind::Unsupported => Error::config("StoreUnsupported", message)
            .hint("the lake needs a file system with hard links and locks; keep it on another one"),
        _ => Error::transient("StoreUnavailable", message).hint("see whether the disk or the network share works"),
    };
    explained.caused_by(error)
}

/// A file cannot be where a folder is, nor a folder where a file is.
pub(super) fn in_the_way(path: &Path) -> Error {
    let message = format!("{} cannot be both a file and a folder", path.display());
    Error::config("BadKey", message).hint("S3 would take both; in a folder one key cannot be the start of another one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_full_disk_and_a_missing_right_are_for_a_person_to_change() {
        let cases = [
            (ErrorKind::StorageFull, "DiskFull"),
            (ErrorKind::QuotaExceeded, "DiskFull"),
            (ErrorKind::PermissionDenied, "StoreDenied"),
            (ErrorKind::ReadOnlyFilesystem, "StoreDenied"),
            (ErrorKind::InvalidFilename, "BadKey"),
        ];
        for (kind, code) in cases {
            let error = explain("write", Path::new("/lake/t.parquet"), kind.into());
            assert_eq!((error.kind(), error.code()), (Kind::Config, code));
            assert!(error.to_string().contains("/lake/t.parquet"));
            assert!(error.advice().is_some());
        }
    }

    #[test]
    fn an_unknown_fault_may_pass() {
        assert_eq!(explain("write", Path::new("/lake"), ErrorKind::Other.into()).kind(), Kind::Transient);
    }
}
