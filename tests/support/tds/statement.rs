//! Statements that concern the session only: the server answers them by itself.

/// Such a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// An option that changes nothing here.
    Set,
    /// `SET TRANSACTION ISOLATION LEVEL`, in upper case.
    Isolation(String),
    Begin,
    Commit,
    Rollback,
}

/// Options that clients set, and that do not change what is answered here.
const OPTIONS: [&str; 16] = [
    "ANSI_DEFAULTS",
    "ANSI_NULLS",
    "ANSI_NULL_DFLT_ON",
    "ANSI_PADDING",
    "ANSI_WARNINGS",
    "ARITHABORT",
    "CONCAT_NULL_YIELDS_NULL",
    "CURSOR_CLOSE_ON_COMMIT",
    "DATEFORMAT",
    "DEADLOCK_PRIORITY",
    "IMPLICIT_TRANSACTIONS",
    "LOCK_TIMEOUT",
    "NOCOUNT",
    "QUOTED_IDENTIFIER",
    "ROWCOUNT",
    "TEXTSIZE",
];

/// The statements of a batch that has no others.
pub(super) fn all(batch: &str) -> Option<Vec<Statement>> {
    let statements = batch.split([';', '\n']).map(str::trim).filter(|text| !text.is_empty());
    let statements: Option<Vec<_>> = statements.map(one).collect();
    statements.filter(|statements| !statements.is_empty())
}

fn one(text: &str) -> Option<Statement> {
    let upper = text.to_ascii_uppercase();
    let words: Vec<&str> = upper.split_whitespace().collect();
    match words.as_slice() {
        ["SET", "TRANSACTION", "ISOLATION", "LEVEL", level @ ..] => Some(Statement::Isolation(level.join(" "))),
        ["SET", option, _] if OPTIONS.contains(option) => Some(Statement::Set),
        ["BEGIN", "TRAN" | "TRANSACTION"] => Some(Statement::Begin),
        ["COMMIT"] | ["COMMIT", "TRAN" | "TRANSACTION"] => Some(Statement::Commit),
        ["ROLLBACK"] | ["ROLLBACK", "TRAN" | "TRANSACTION"] => Some(Statement::Rollback),
        ["IF", "@@TRANCOUNT", ">", "0", rest @ ..] => one(&rest.join(" ")),
        _ => None,
    }
}
