//! The expressions by which the client selects columns: a name, NULL, a cast, the text of a CLR type.

use super::super::tds::{Column, Length, ServerError, SqlType, Value};
use super::not_understood;
use super::sql_type;

/// A selected column: where its values come from, and what is done to them.
pub(super) struct Selected {
    /// Its place among the table's columns; `None` for NULL.
    source: Option<usize>,
    pub(super) column: Column,
}

impl Selected {
    /// The value in a row of the table.
    pub(super) fn value(&self, row: &[Value]) -> Value {
        let Some(value) = self.source.and_then(|source| row.get(source)) else { return Value::Null };
        match (&self.column.kind, value) {
            // A cast of money, whose values have four digits as well.
            (SqlType::Decimal(..), Value::Money(number)) => Value::Decimal(i128::from(*number)),
            (SqlType::Variant, Value::Variant(inside)) => variant(&inside.0, &inside.1),
            _ => value.clone(),
        }
    }
}

/// As the client's expression makes it of a `sql_variant`.
fn variant(kind: &SqlType, value: &Value) -> Value {
    let (kind, value) = match (kind, value) {
        (SqlType::Money | SqlType::SmallMoney, Value::Money(number)) => {
            (SqlType::Decimal(19, 4), Value::Decimal(i128::from(*number)))
        }
        (SqlType::Char(_) | SqlType::VarChar(_), value) => (SqlType::NVarChar(Length::Of(4000)), value.clone()),
        (kind, value) => (kind.clone(), value.clone()),
    };
    Value::Variant(Box::new((kind, value)))
}

/// The expressions of a list, with respect to the columns of a table.
pub(super) fn list(text: &str, columns: &[Column]) -> Result<Vec<Selected>, ServerError> {
    split(text, ',').into_iter().map(|expression| one(expression.trim(), columns)).collect()
}

fn one(expression: &str, columns: &[Column]) -> Result<Selected, ServerError> {
    if expression == "NULL" {
        return Ok(Selected { source: None, column: Column::new("", SqlType::Int) });
    }
    if let Some((inner, declaration)) = cast(expression) {
        let inner = one(inner, columns)?;
        let kind = sql_type::parse(declaration).ok_or_else(|| not_understood(expression))?;
        return Ok(Selected { column: Column { name: String::new(), kind, ..inner.column }, ..inner });
    }
    let name = name_in(expression).ok_or_else(|| not_understood(expression))?;
    let source = columns.iter().position(|column| column.name == name);
    let source = source.ok_or_else(|| ServerError::new(207, &format!("Invalid column name '{name}'.")))?;
    let column = columns[source].clone();
    let as_text = || Column { name: String::new(), kind: SqlType::NVarChar(Length::Max), ..column.clone() };
    let column = match (&column.kind, expression) {
        (SqlType::Clr("hierarchyid"), text) if text == format!("{}.ToString()", quoted(&name)) => as_text(),
        (SqlType::Clr(_), text) if text.starts_with("CASE WHEN") && text.contains(".STSrid") => as_text(),
        (SqlType::Variant, text) if text.starts_with("CASE WHEN CAST(SQL_VARIANT_PROPERTY(") => column,
        (_, text) if text == quoted(&name) => column,
        _ => return Err(not_understood(expression)),
    };
    Ok(Selected { source: Some(source), column })
}

/// The two sides of `CAST(x AS type)`.
fn cast(expression: &str) -> Option<(&str, &str)> {
    expression.strip_prefix("CAST(")?.strip_suffix(')')?.rsplit_once(" AS ")
}

fn quoted(name: &str) -> String {
    format!("[{}]", name.replace(']', "]]"))
}

/// The first name in brackets.
pub(super) fn name_in(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = text.split_once('[')?.1;
    loop {
        let (part, behind) = rest.split_once(']')?;
        name.push_str(part);
        match behind.strip_prefix(']') {
            Some(more) => {
                name.push(']');
                rest = more;
            }
            None => return Some(name),
        }
    }
}

/// Splits where a separator is neither in brackets nor in parentheses nor in quotes.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut begin, mut depth, mut name, mut quote) = (Vec::new(), 0, 0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            '\'' if !name => quote = !quote,
            '[' if !quote => name = true,
            ']' if !quote => name = false,
            '(' if !quote && !name => depth += 1,
            ')' if !quote && !name => depth -= 1,
            other if other == separator && depth == 0 && !name && !quote => {
                parts.push(&text[begin..at]);
                begin = at + character.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_split_where_its_own_commas_are() {
        let parts = split("[a,b], CAST([c] AS decimal(19,4)), CONCAT(N'x,(', [d]), [e]]f]", ',');
        assert_eq!(parts, ["[a,b]", " CAST([c] AS decimal(19,4))", " CONCAT(N'x,(', [d])", " [e]]f]"]);
        assert_eq!(name_in(parts[3]).as_deref(), Some("e]f"));
    }

    #[test]
    fn what_is_selected_has_the_type_of_its_expression() {
        let columns = [Column::new("m", SqlType::Money), Column::new("v", SqlType::VarChar(Length::Of(9)))];
        let list = list("CAST([m] AS decimal(19,4)), [v], NULL", &columns).map_err(|error| error.message).unwrap();
        let row = [Value::Money(12_345), "x".into()];
        let values: Vec<_> = list.iter().map(|selected| selected.value(&row)).collect();
        assert_eq!(values, [Value::Decimal(12_345), "x".into(), Value::Null]);
        assert_eq!(list[0].column.kind, SqlType::Decimal(19, 4));
        let unknown = super::list("[w]", &columns).map(drop).unwrap_err();
        assert_eq!(unknown.message, "Invalid column name 'w'.");
        assert!(super::list("UPPER([v])", &columns).is_err());
    }
}
