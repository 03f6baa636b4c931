//! What a table is called in a database.

use std::fmt;
use std::str::FromStr;

/// A table of a database and the schema that it is in, exactly as the database writes them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceName {
    schema: String,
    table: String,
}

impl SourceName {
    /// The table `table` in the schema `schema`.
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self { schema: schema.into(), table: table.into() }
    }

    /// The schema's name.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }
}

/// `schema.table`; a part that holds a dot or a bracket stands in brackets, as SQL writes it.
impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_part(f, &self.schema)?;
        f.write_str(".")?;
        write_part(f, &self.table)
    }
}

/// The inverse of its `Display` form.
impl FromStr for SourceName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (schema, rest) = part(text)?;
        let rest = rest.strip_prefix('.').ok_or("names no schema: write schema.table")?;
        let (table, rest) = part(rest)?;
        if !rest.is_empty() {
            return Err("has more than two parts: write schema.table, with [brackets] around a name that holds a dot");
        }
        Ok(Self { schema, table })
    }
}

fn write_part(f: &mut fmt::Formatter<'_>, part: &str) -> fmt::Result {
    if part.contains(['.', '[', ']']) { write!(f, "[{}]", part.replace(']', "]]")) } else { f.write_str(part) }
}

/// The name that `text` begins with, and what follows it.
fn part(text: &str) -> Result<(String, &str), &'static str> {
    let (name, rest) = match text.strip_prefix('[') {
        Some(quoted) => quoted_part(quoted)?,
        None => {
            let end = text.find('.').unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            (name.trim().to_owned(), rest)
        }
    };
    if name.is_empty() { Err("has an empty part: write schema.table") } else { Ok((name, rest)) }
}

/// The name up to the closing bracket; a doubled one is a bracket of the name.
fn quoted_part(text: &str) -> Result<(String, &str), &'static str> {
    let mut name = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(']') {
        name.push_str(before);
        match after.strip_prefix(']') {
            Some(after) => {
                name.push(']');
                rest = after;
            }
            None => return Ok((name, after)),
        }
    }
    Err("has a bracket that is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for (schema, table, text) in [
            ("dbo", "Orders", "dbo.Orders"),
            ("dbo", "Order Details", "dbo.Order Details"),
            ("a.b", "c]d", "[a.b].[c]]d]"),
            ("Vendas", "Ações", "Vendas.Ações"),
            ("x", "]", "x.[]]]"),
        ] {
            let name = SourceName::new(schema, table);
            assert_eq!(name.to_string(), text);
            assert_eq!(text.parse(), Ok(name));
        }
        assert_eq!("[dbo].[Orders]".parse(), Ok(SourceName::new("dbo", "Orders")));
    }

    #[test]
    fn what_is_not_two_names_is_refused() {
        for text in ["", "Orders", "dbo.", ".Orders", "db.dbo.Orders", "[dbo.Orders", "[dbo]Orders", "[].x", "dbo.[x]y"]
        {
            assert!(text.parse::<SourceName>().is_err(), "{text}");
        }
    }
}
