//! Statements that concern the session only: the server carries them out by itself.

/// Such a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// Options that change nothing here.
    Set,
    /// `SET TRANSACTION ISOLATION LEVEL`, in upper case.
    Isolation(String),
    Begin,
    Commit,
    Rollback,
    /// A commit or a rollback that does nothing outside of a transaction.
    IfInTransaction(Box<Self>),
}

/// A batch, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) statements: Vec<Statement>,
    /// Whether there is more than those.
    pub(super) has_queries: bool,
}

/// Options that clients set, and that do not change what is answered here.
const OPTIONS: [&str; 18] = [
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
    "NUMERIC_ROUNDABORT",
    "QUOTED_IDENTIFIER",
    "ROWCOUNT",
    "TEXTSIZE",
    "XACT_ABORT",
];

/// Takes a batch apart at its semicolons, or at its lines if each of them is such a statement.
pub(super) fn parse(batch: &str) -> Batch {
    let batch = without_comments(batch);
    let lines = pieces(&batch, &[';', '\n']);
    if lines.has_queries { pieces(&batch, &[';']) } else { lines }
}

fn pieces(batch: &str, separators: &[char]) -> Batch {
    let pieces = batch.split(separators).map(str::trim).filter(|text| !text.is_empty());
    let statements: Vec<_> = pieces.map(one).collect();
    let has_queries = statements.is_empty() || statements.contains(&None);
    Batch { statements: statements.into_iter().flatten().collect(), has_queries }
}

fn without_comments(batch: &str) -> String {
    let mut parts = batch.split("/*");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once("*/").map_or("", |(_, rest)| rest))
}

fn one(text: &str) -> Option<Statement> {
    let upper = text.to_ascii_uppercase().replace(',', " ");
    let words: Vec<&str> = upper.split_whitespace().collect();
    match words.as_slice() {
        ["SET", "TRANSACTION", "ISOLATION", "LEVEL", level @ ..] => Some(Statement::Isolation(level.join(" "))),
        ["SET", options @ .., _] if options.iter().all(|option| OPTIONS.contains(option)) => Some(Statement::Set),
        ["BEGIN", "TRAN" | "TRANSACTION"] => Some(Statement::Begin),
        ["COMMIT"] | ["COMMIT", "TRAN" | "TRANSACTION"] => Some(Statement::Commit),
        ["ROLLBACK"] | ["ROLLBACK", "TRAN" | "TRANSACTION"] => Some(Statement::Rollback),
        ["IF", "@@TRANCOUNT", ">", "0", rest @ ..] => {
            one(&rest.join(" ")).map(|end| Statement::IfInTransaction(end.into()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_may_hold_queries_beside_statements_of_the_session() {
        let batch = parse("/* begin */ SET ANSI_NULLS, ARITHABORT ON; BEGIN TRANSACTION; SELECT 1");
        assert_eq!(batch, Batch { statements: vec![Statement::Set, Statement::Begin], has_queries: true });
        let batch = parse("SET TEXTSIZE 5\nset transaction isolation level read  committed;");
        let level = Statement::Isolation("READ COMMITTED".to_owned());
        assert_eq!(batch, Batch { statements: vec![Statement::Set, level], has_queries: false });
        let end = Statement::IfInTransaction(Statement::Commit.into());
        assert_eq!(parse("IF @@TRANCOUNT > 0 COMMIT").statements, [end]);
        assert_eq!(parse("SELECT a\nFROM t"), Batch { statements: vec![], has_queries: true });
    }
}
