//! What change tables and query functions answer.

use bytes::{Bytes, BytesMut};

use super::super::tds::{Answer, Column, Encoded, Request, Row, RowStyle, ServerError, SqlType, Value, encode};
use super::catalog::lsn_parameter;
use super::contents::{Access, Change, Changes, Contents, Instance, LsnBytes, lsn};
use super::expression::{Selected, list, name_in};
use super::{Outcome, not_understood};

const OWN: &str = "SELECT __$start_lsn, __$seqval, __$operation, __$update_mask, ";
const BOUNDS: &str = "CONVERT(binary(10), @P1) AND CONVERT(binary(10), @P2)";
const NO_BEFORE_IMAGES: &str = " AND __$operation <> 3";
const COUNT: &str = "; SELECT ROWCOUNT_BIG()";

/// Rows of a repeated change that are encoded in one go.
const BLOCK: u64 = 256;
/// What stands for the sequence value in a row that is to be repeated.
const PLACE: LsnBytes = [0xA5, 0x5A, 0xC3, 0x3C, 0x99, 0x66, 0xF0, 0x0F, 0xE7, 0x7E];

/// A query, taken apart.
struct Query<'q> {
    instance: String,
    columns: &'q str,
    /// From the change table rather than the function.
    is_direct: bool,
    with_before: bool,
}

pub(super) fn answer(contents: &Contents, sql: &str, request: &Request) -> Outcome {
    let query = Query::parse(sql).ok_or_else(|| not_understood(sql))?;
    let (from, to) = (lsn_parameter(request, 1)?, lsn_parameter(request, 2)?);
    let object = query.object();
    let (_, instance) = contents.instance(&query.instance).ok_or_else(|| ServerError::invalid_object(&object))?;
    let is_allowed =
        if query.is_direct { instance.access == Access::Direct } else { instance.access != Access::Denied };
    if !is_allowed {
        return Err(ServerError::select_denied(&object, &contents.database, "cdc"));
    }
    let is_covered =
        instance.start.is_some_and(|start| start <= from) && contents.max_lsn().is_some_and(|max| to <= max);
    if !query.is_direct && (!is_covered || from > to) {
        return Err(ServerError::insufficient_arguments(&object));
    }
    let selected = if query.columns.is_empty() { Vec::new() } else { list(query.columns, &instance.columns)? };
    Ok(rows(instance, &query, selected, from, to))
}

impl<'q> Query<'q> {
    fn parse(sql: &'q str) -> Option<Self> {
        let rest = sql.strip_prefix(OWN)?.strip_suffix(COUNT)?;
        let (columns, rest) = rest.split_once(" FROM cdc.")?;
        let instance = name_in(rest)?;
        match columns.strip_prefix("__$command_id") {
            Some(columns) => {
                let rest = rest.strip_suffix(" ORDER BY __$start_lsn, __$command_id, __$seqval, __$operation")?;
                let (rest, with_before) = match rest.strip_suffix(NO_BEFORE_IMAGES) {
                    Some(rest) => (rest, false),
                    None => (rest, true),
                };
                rest.strip_suffix(BOUNDS)?.strip_suffix("] WHERE __$start_lsn BETWEEN ")?;
                let instance = instance.strip_suffix("_CT")?.to_owned();
                Some(Self {
                    instance,
                    columns: columns.strip_prefix(", ").unwrap_or(columns),
                    is_direct: true,
                    with_before,
                })
            }
            None => {
                let columns = columns.strip_prefix("CAST(NULL AS int)")?;
                let rest = rest.strip_suffix(" ORDER BY __$start_lsn, __$seqval, __$operation")?;
                let with_before = rest.ends_with(", N'all update old')");
                let arguments = BOUNDS.replace(" AND ", ", ");
                let filter = if with_before { "all update old" } else { "all" };
                rest.strip_suffix(&format!("({arguments}, N'{filter}')"))?;
                let instance = instance.strip_prefix("fn_cdc_get_all_changes_")?.to_owned();
                Some(Self {
                    instance,
                    columns: columns.strip_prefix(", ").unwrap_or(columns),
                    is_direct: false,
                    with_before,
                })
            }
        }
    }

    fn object(&self) -> String {
        match self.is_direct {
            true => format!("cdc.{}_CT", self.instance),
            false => format!("cdc.fn_cdc_get_all_changes_{}", self.instance),
        }
    }
}

fn columns(selected: &[Selected]) -> Vec<Column> {
    let own = [
        Column::required("__$start_lsn", SqlType::Binary(10)),
        Column::required("__$seqval", SqlType::Binary(10)),
        Column::required("__$operation", SqlType::Int),
        Column::new("__$update_mask", SqlType::VarBinary(super::super::tds::Length::Of(128))),
        Column::new("__$command_id", SqlType::Int),
    ];
    own.into_iter().chain(selected.iter().map(|selected| selected.column.clone())).collect()
}

fn row(change: &Change, selected: &[Selected], with_command: bool) -> Row {
    let own = [
        Value::Bytes(change.start_lsn.to_vec()),
        Value::Bytes(change.sequence.to_vec()),
        Value::Int(change.operation),
        Value::Bytes(change.mask.clone()),
        if with_command { Value::Int(change.command) } else { Value::Null },
    ];
    own.into_iter().chain(selected.iter().map(|selected| selected.value(&change.values))).collect()
}

fn rows(instance: &Instance, query: &Query<'_>, selected: Vec<Selected>, from: LsnBytes, to: LsnBytes) -> Answer {
    let (columns, with_command) = (columns(&selected), query.is_direct);
    let wanted = |change: &Change| {
        from <= change.start_lsn && change.start_lsn <= to && (query.with_before || change.operation != 3)
    };
    match &instance.changes {
        Changes::Listed(changes) => {
            let mut found: Vec<Change> = changes.iter().filter(|change| wanted(change)).cloned().collect();
            found.sort_by_key(|change| {
                let command = if with_command { change.command } else { 0 };
                (change.start_lsn, command, change.sequence, change.operation)
            });
            let count = found.len() as u64;
            let rows = found.into_iter().map(move |change| row(&change, &selected, with_command));
            Answer::rows(columns, rows).then(counted(count))
        }
        Changes::Repeated(change, count) => {
            let count = if wanted(change) { *count } else { 0 };
            let place = Change { sequence: PLACE, ..Change::clone(change) };
            let row = row(&place, &selected, with_command);
            match encode(&columns, &[row], RowStyle::default()) {
                Ok(template) => Answer::encoded(columns, repeated(template, count)).then(counted(count)),
                Err(misfit) => Answer::error(not_understood(&misfit)),
            }
        }
    }
}

/// How many rows there were.
pub(super) fn counted(rows: u64) -> Answer {
    Answer::value(Column::new("", SqlType::BigInt), Value::Int(rows as i64))
}

/// The row so many times, with sequence values from 1.
fn repeated(template: Bytes, count: u64) -> impl Iterator<Item = Encoded> + Send {
    let at = template.windows(PLACE.len()).position(|window| window == PLACE).unwrap_or_default();
    (0..count).step_by(BLOCK as usize).map(move |begin| {
        let rows = BLOCK.min(count - begin);
        let mut bytes = BytesMut::with_capacity(template.len() * rows as usize);
        for nth in begin..begin + rows {
            let row = bytes.len();
            bytes.extend_from_slice(&template);
            bytes[row + at..row + at + PLACE.len()].copy_from_slice(&lsn(nth + 1));
        }
        Encoded { bytes: bytes.freeze(), rows }
    })
}
