//! What source tables answer: all rows, or those behind a key, in the order of the key.

use std::cmp::Ordering;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate};

use super::super::tds::{Answer, Request, Row, ServerError, Session, SqlType, Value};
use super::catalog::moment;
use super::changes::counted;
use super::contents::{Contents, Table};
use super::expression::{list, name_in, split};
use super::{Outcome, not_understood};

pub(super) fn answer(contents: &Contents, session: &Session, sql: &str, request: &Request) -> Outcome {
    let parts = split(sql, ';');
    let [query, " SELECT ROWCOUNT_BIG()"] = parts.as_slice() else { return Err(not_understood(sql)) };
    let (query, order) = query.split_once(" ORDER BY ").unwrap_or((query, ""));
    let (query, condition) = query.split_once(" WHERE ").unwrap_or((query, ""));
    let (columns, table) = query.rsplit_once(" FROM ").ok_or_else(|| not_understood(sql))?;
    let columns = columns.strip_prefix("SELECT ").ok_or_else(|| not_understood(sql))?;
    let table = find(contents, table)?;
    if contents.snapshot_isolation && !(session.in_transaction && session.isolation == "SNAPSHOT") {
        return Err(not_understood("rows outside of a transaction of one instant, although there can be one"));
    }
    let selected = list(columns, &table.columns)?;
    let order = order_of(table, order)?;
    let condition = Condition::parse(table, condition, request)?;
    let mut places: Vec<usize> = (0..table.rows.len()).filter(|&place| condition.holds(&table.rows[place])).collect();
    places.sort_by(|&left, &right| compare_keys(&order, &table.rows[left], &table.rows[right]));
    let (rows, count) = (Arc::clone(&table.rows), places.len() as u64);
    let columns = selected.iter().map(|selected| selected.column.clone()).collect();
    let row = move |place: usize| selected.iter().map(|selected| selected.value(&rows[place])).collect();
    Ok(Answer::rows(columns, places.into_iter().map(row)).then(counted(count)))
}

fn find<'c>(contents: &'c Contents, name: &str) -> Result<&'c Table, ServerError> {
    let parts: Vec<_> = split(name, '.').into_iter().filter_map(name_in).collect();
    let table = contents.tables.iter().find(|table| parts == [table.schema.as_str(), table.name.as_str()]);
    table.ok_or_else(|| ServerError::invalid_object(&parts.join(".")))
}

/// The places of the columns of the order, which has to be that of the key.
fn order_of(table: &Table, order: &str) -> Result<Vec<usize>, ServerError> {
    let names: Vec<_> = split(order, ',').into_iter().filter_map(name_in).collect();
    let place = |name: &String| table.columns.iter().position(|column| column.name == *name);
    match names.iter().map(place).collect::<Option<Vec<_>>>() {
        Some(places) if names.is_empty() || names == table.key => Ok(places),
        _ => Err(not_understood(&format!("an order other than the key's: {order}"))),
    }
}

fn compare_keys(order: &[usize], left: &Row, right: &Row) -> Ordering {
    let each = order.iter().map(|&place| compare(&left[place], &right[place]));
    each.fold(Ordering::Equal, Ordering::then)
}

/// A disjunction of conjunctions.
struct Condition(Vec<Vec<Term>>);

/// What is said of a column.
struct Term {
    place: usize,
    wanted: Wanted,
}

enum Wanted {
    Null(bool),
    Is(Ordering, Value),
}

impl Condition {
    fn parse(table: &Table, text: &str, request: &Request) -> Result<Self, ServerError> {
        let terms = |part: &str| part.split(" AND ").map(|term| Term::parse(table, term, request)).collect();
        let parts = text.split(" OR ").filter(|part| !part.is_empty());
        Ok(Self(parts.map(terms).collect::<Result<_, _>>()?))
    }

    fn holds(&self, row: &Row) -> bool {
        self.0.is_empty() || self.0.iter().any(|terms| terms.iter().all(|term| term.holds(row)))
    }
}

impl Term {
    fn parse(table: &Table, text: &str, request: &Request) -> Result<Self, ServerError> {
        let unclear = || not_understood(text);
        let name = name_in(text).ok_or_else(unclear)?;
        let place = table.columns.iter().position(|column| column.name == name).ok_or_else(unclear)?;
        let rest = &text[name.replace(']', "]]").len() + 2..];
        let wanted = match rest {
            " IS NULL" => Wanted::Null(true),
            " IS NOT NULL" => Wanted::Null(false),
            rest => {
                let is = |order: Ordering| move |value: &str| (order, value.to_owned());
                let greater = rest.strip_prefix(" > ").map(is(Ordering::Greater));
                let (order, value) =
                    greater.or_else(|| rest.strip_prefix(" = ").map(is(Ordering::Equal))).ok_or_else(unclear)?;
                let number = value.split_once("@P").ok_or_else(unclear)?.1;
                let digits = number.bytes().take_while(u8::is_ascii_digit).count();
                let Some(Value::Text(text)) = request.parameter(&format!("@P{}", &number[..digits])) else {
                    return Err(unclear());
                };
                Wanted::Is(order, parse(&table.columns[place].kind, text).ok_or_else(|| conversion_failed(text))?)
            }
        };
        Ok(Self { place, wanted })
    }

    fn holds(&self, row: &Row) -> bool {
        let value = &row[self.place];
        match &self.wanted {
            Wanted::Null(null) => (*value == Value::Null) == *null,
            Wanted::Is(_, _) if *value == Value::Null => false,
            Wanted::Is(order, wanted) => compare(value, wanted) == *order,
        }
    }
}

fn conversion_failed(text: &str) -> ServerError {
    ServerError::new(245, &format!("Conversion failed when converting the nvarchar value '{text}'."))
}

/// A value of this type from the text that a server takes for it.
fn parse(kind: &SqlType, text: &str) -> Option<Value> {
    Some(match kind {
        SqlType::Bit => Value::Bit(text == "1"),
        SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt => Value::Int(text.parse().ok()?),
        SqlType::Decimal(_, scale) | SqlType::Numeric(_, scale) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            if fraction.len() > usize::from(*scale) {
                return None;
            }
            Value::Decimal(format!("{whole}{fraction:0<width$}", width = usize::from(*scale)).parse().ok()?)
        }
        SqlType::Char(_) | SqlType::VarChar(_) | SqlType::NChar(_) | SqlType::NVarChar(_) => text.into(),
        SqlType::Binary(_) | SqlType::VarBinary(_) | SqlType::RowVersion => {
            Value::Bytes(bytes(text.strip_prefix("0x")?)?)
        }
        SqlType::UniqueIdentifier => Value::Guid(bytes(&text.replace('-', ""))?.try_into().ok()?),
        SqlType::Date => match moment(text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0)?) {
            Value::DateTime2(days, _) => Value::Date(days),
            _ => return None,
        },
        SqlType::DateTime2(_) => moment(text.parse().ok()?),
        SqlType::DateTimeOffset(_) => {
            let time = DateTime::parse_from_rfc3339(text).ok()?;
            match moment(time.naive_utc()) {
                Value::DateTime2(days, ticks) => {
                    Value::DateTimeOffset(days, ticks, (time.offset().local_minus_utc() / 60) as i16)
                }
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

/// The order of SQL Server: NULL first, texts without regard to case, the last group of a GUID before the others.
fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Int(left), Value::Int(right)) | (Value::Money(left), Value::Money(right)) => left.cmp(right),
        (Value::Decimal(left), Value::Decimal(right)) => left.cmp(right),
        (Value::Bit(left), Value::Bit(right)) => left.cmp(right),
        (Value::Bytes(left), Value::Bytes(right)) => left.cmp(right),
        (Value::Date(left), Value::Date(right)) => left.cmp(right),
        (Value::DateTime2(day, time), Value::DateTime2(other_day, other)) => (day, time).cmp(&(other_day, other)),
        (Value::DateTimeOffset(day, time, _), Value::DateTimeOffset(other_day, other, _)) => {
            (day, time).cmp(&(other_day, other))
        }
        (Value::Guid(left), Value::Guid(right)) => guid_order(left).cmp(&guid_order(right)),
        (Value::Text(left), Value::Text(right)) => left.trim_end().to_lowercase().cmp(&right.trim_end().to_lowercase()),
        _ => Ordering::Equal,
    }
}

fn guid_order(guid: &[u8; 16]) -> [u8; 16] {
    let order = [10, 11, 12, 13, 14, 15, 8, 9, 7, 6, 5, 4, 3, 2, 1, 0];
    order.map(|byte: usize| guid[byte])
}
