//! What a server refuses where the catalog and the database have two collations, as in Azure SQL Database with a collation of
//! its own: to compare, or to choose from, texts of both without being told which of them holds.

use std::collections::HashMap;

use super::super::tds::ServerError;

/// The columns of the catalog, and of the tables of change data capture, that are texts.
const TEXTS: [&str; 7] =
    ["name", "column_name", "column_type", "type_name", "capture_instance", "collation_name", "role_name"];

/// Whose collation a text has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Catalog,
    Database,
}

/// Refuses a query that leaves the choice to the server: errors 468 and 451.
pub(super) fn check(sql: &str) -> Result<(), ServerError> {
    let tokens = tokens(sql);
    let owners = owners(&tokens);
    for (at, token) in tokens.iter().enumerate() {
        if (*token == "=" || *token == "<>") && is_compared(&tokens, at, &owners) {
            let operation = if *token == "=" { "equal to" } else { "not equal to" };
            let text = format!("Cannot resolve the collation conflict in the {operation} operation.");
            return Err(ServerError::new(468, &text));
        }
        if *token == "COALESCE" && is_mixed(arguments(&tokens, at), &owners) {
            return Err(ServerError::new(451, "Cannot resolve collation conflict in SELECT statement column."));
        }
    }
    Ok(())
}

/// Words, and each bracket and comma by itself.
fn tokens(sql: &str) -> Vec<&str> {
    let is_single = |c: char| matches!(c, '(' | ')' | ',' | ';');
    let words = sql.split_whitespace().flat_map(|word| word.split_inclusive(is_single));
    let parts = words.flat_map(|part| match part.strip_suffix(is_single) {
        Some(word) => [word, &part[word.len()..]],
        None => [part, ""],
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// Whose columns an alias stands for; that of a derived table stands for its columns, under their new names.
fn owners(tokens: &[&str]) -> HashMap<String, Owner> {
    let mut owners = HashMap::new();
    for window in tokens.windows(3) {
        if let [table, "AS", alias] = *window {
            let owner = match table.split_once('.') {
                Some(("sys", _)) => Some(Owner::Catalog),
                Some(("cdc", _)) => Some(Owner::Database),
                _ => owner(table, &owners),
            };
            // `f.type_name` is what was selected under that name.
            owner.map(|owner| owners.insert(alias.to_owned(), owner));
        }
    }
    owners
}

/// Whose collation a column has; `None` for anything else than a text.
fn owner(token: &str, owners: &HashMap<String, Owner>) -> Option<Owner> {
    let (alias, column) = token.split_once('.')?;
    if !TEXTS.contains(&column) {
        return None;
    }
    owners.get(alias).or_else(|| owners.get(column)).or_else(|| derived(column)).copied()
}

/// A column of a derived table that kept its name: those are of the catalog.
fn derived(column: &str) -> Option<&'static Owner> {
    (column == "collation_name").then_some(&Owner::Catalog)
}

fn is_compared(tokens: &[&str], at: usize, owners: &HashMap<String, Owner>) -> bool {
    let token = |offset: isize| at.checked_add_signed(offset).and_then(|index| tokens.get(index)).copied();
    if token(-2) == Some("COLLATE") || token(2) == Some("COLLATE") {
        return false;
    }
    let sides = [token(-1), token(1)].map(|side| side.and_then(|side| owner(side, owners)));
    matches!(sides, [Some(left), Some(right)] if left != right)
}

/// The arguments of the function at `at`, token by token.
fn arguments<'t, 's>(tokens: &'t [&'s str], at: usize) -> &'t [&'s str] {
    let mut depth = 0;
    let end = tokens[at + 1..].iter().position(|token| {
        depth += i32::from(*token == "(") - i32::from(*token == ")");
        depth == 0
    });
    &tokens[at + 1..at + 1 + end.unwrap_or_default()]
}

/// Whether texts of both are among the arguments, and none says which holds.
fn is_mixed(arguments: &[&str], owners: &HashMap<String, Owner>) -> bool {
    let found: Vec<Owner> = arguments.iter().filter_map(|token| owner(token, owners)).collect();
    let both = found.contains(&Owner::Catalog) && found.contains(&Owner::Database);
    both && !arguments.contains(&"COLLATE")
}

#[test]
fn a_comparison_across_collations_is_refused_and_one_that_names_a_collation_is_not() {
    let number = |sql: &str| check(sql).err().map(|error| error.number);
    let join = "SELECT cc.column_name FROM cdc.captured_columns AS cc LEFT JOIN sys.columns AS c ON c.object_id = cc.object_id \
                AND c.name = cc.column_name";
    assert_eq!(number(join), Some(468));
    assert_eq!(number(&join.replace("c.name =", "c.name COLLATE DATABASE_DEFAULT =")), None);
    assert_eq!(number(&format!("{join} COLLATE CATALOG_DEFAULT")), None);
    assert_eq!(number("SELECT 1 FROM sys.columns AS x WHERE x.name = N'__$command_id' AND x.object_id = 1"), None);
    let choice = "SELECT COALESCE(t.name, f.type_name, cc.column_type) FROM cdc.captured_columns AS cc \
                  LEFT JOIN sys.types AS t ON t.user_type_id = 1 \
                  OUTER APPLY (SELECT ft.name AS type_name FROM sys.types AS ft) AS f";
    assert_eq!(number(choice), Some(451));
    assert_eq!(number(&choice.replace("cc.column_type", "cc.column_type COLLATE DATABASE_DEFAULT")), None);
    assert_eq!(number(&choice.replace(", cc.column_type", "")), None);
}
