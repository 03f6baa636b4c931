//! What the catalog answers: the session, the database, its instances, the places and times of commits.

use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};

use super::super::tds::{Answer, Column, Length, Request, Row, ServerError, SqlType, Value};
use super::contents::{Access, Commit, Contents, LsnBytes};
use super::sql_type::Described;
use super::{Outcome, not_understood};

/// The answer to a query of this name; `None` where there is no such query.
pub(super) fn answer(contents: &Contents, name: &str, sql: &str, request: &Request) -> Option<Outcome> {
    Some(match name {
        "session" => Ok(session(contents)),
        "database" => Ok(database(contents)),
        "recovery fork" => recovery_fork(contents),
        "retention" => retention(contents),
        "capture errors" => capture_errors(contents),
        "denied columns" => of_cdc(contents).map(|()| denied_columns(contents)),
        "instances" => of_cdc(contents).map(|()| instances(contents)),
        "max lsn" => of_cdc(contents).map(|()| one_lsn(contents.max_lsn())),
        "min lsn" => of_cdc(contents).and_then(|()| min_lsn(contents, request)),
        "window end" => of_cdc(contents).and_then(|()| window_end(contents, request)),
        "commits" => of_cdc(contents).and_then(|()| commits(contents, request)),
        "commit times" => of_cdc(contents).and_then(|()| commit_times(contents, sql, request)),
        "time to lsn" => of_cdc(contents).and_then(|()| last_commit_before(contents, request)),
        "clock" | "begin" => Ok(Answer::value(moment_column("", 7), moment(contents.now.naive_utc()))),
        _ => return None,
    })
}

/// Without change data capture there is no schema for it.
fn of_cdc(contents: &Contents) -> Result<(), ServerError> {
    if contents.cdc_enabled { Ok(()) } else { Err(ServerError::invalid_object("cdc.change_tables")) }
}

fn bit(name: &str) -> Column {
    Column::new(name, SqlType::Bit)
}

fn int(name: &str) -> Column {
    Column::new(name, SqlType::Int)
}

fn text(name: &str) -> Column {
    Column::new(name, SqlType::NVarChar(Length::Of(256)))
}

fn lsn_column(name: &str) -> Column {
    Column::new(name, SqlType::Binary(10))
}

fn moment_column(name: &str, scale: u8) -> Column {
    Column::new(name, SqlType::DateTime2(scale))
}

/// A time as a `datetime2`.
pub(super) fn moment(time: NaiveDateTime) -> Value {
    let days = time.date().num_days_from_ce() - 1;
    let seconds = u64::from(time.time().num_seconds_from_midnight());
    Value::DateTime2(days.unsigned_abs(), seconds * 10_000_000 + u64::from(time.nanosecond() / 100))
}

fn lsn_value(lsn: LsnBytes) -> Value {
    Value::Bytes(lsn.to_vec())
}

fn one_lsn(lsn: Option<LsnBytes>) -> Answer {
    Answer::value(lsn_column(""), lsn.map_or(Value::Null, lsn_value))
}

fn session(contents: &Contents) -> Answer {
    let facts = vec![contents.snapshot_isolation.into(), contents.knows_time_zone.into()];
    Answer::rows(vec![bit(""), bit("")], [facts])
}

fn database(contents: &Contents) -> Answer {
    let columns = vec![
        text(""),
        text("name"),
        bit("is_cdc_enabled"),
        bit(""),
        moment_column("", 7),
        bit(""),
        moment_column("", 7),
    ];
    let row = vec![
        contents.server.as_str().into(),
        contents.database.as_str().into(),
        contents.cdc_enabled.into(),
        contents.snapshot_isolation.into(),
        moment(contents.now.naive_utc()),
        true.into(),
        moment(contents.local(contents.now)),
    ];
    Answer::rows(columns, [row])
}

fn recovery_fork(contents: &Contents) -> Outcome {
    let denied =
        || ServerError::new(300, "VIEW SERVER STATE permission was denied on object 'server', database 'master'.");
    let fork = contents.fork.as_deref().ok_or_else(|| denied().class(14))?;
    Ok(Answer::value(text(""), fork))
}

fn retention(contents: &Contents) -> Outcome {
    let denied = || ServerError::new(229, "The SELECT permission was denied on the object 'cdc_jobs'.");
    let minutes = contents.retention_minutes.ok_or_else(|| denied().class(14))?;
    Ok(Answer::value(Column::new("", SqlType::BigInt), Value::Int(minutes)))
}

fn capture_errors(contents: &Contents) -> Outcome {
    let denied = || ServerError::new(262, "VIEW DATABASE STATE permission denied in database 'shop'.");
    if !contents.keeps_capture_errors {
        return Err(ServerError::invalid_object("sys.dm_cdc_errors"));
    }
    let errors = contents.capture_errors.as_ref().ok_or_else(|| denied().class(14))?;
    let columns = vec![Column::new("", SqlType::BigInt), int("error_number"), moment_column("", 3)];
    let row = |(number, time): &(i64, DateTime<Utc>)| {
        vec![Value::Int(errors.len() as i64), Value::Int(*number), moment(contents.local(*time))]
    };
    Ok(Answer::rows(columns, errors.last().map(row)))
}

fn denied_columns(contents: &Contents) -> Answer {
    let instances = contents.instances().into_iter().filter(|_| !contents.may_read_tables);
    names(
        instances.map(|(_, instance)| {
            (instance.object_id, instance.columns.iter().map(|column| column.name.clone()).collect())
        }),
    )
}

fn instances(contents: &Contents) -> Answer {
    heads(contents).then(columns(contents)).then(keys(contents)).then(uncaptured(contents))
}

fn heads(contents: &Contents) -> Answer {
    let columns = vec![
        int("object_id"),
        text("capture_instance"),
        int("source_object_id"),
        text("name"),
        text("name"),
        lsn_column("start_lsn"),
        moment_column("", 3),
        text("role_name"),
        bit(""),
        bit(""),
    ];
    let row = |(table, instance): (&super::Table, &super::Instance)| {
        vec![
            Value::Int(instance.object_id.into()),
            instance.name.as_str().into(),
            Value::Int(table.object_id.into()),
            table.schema.as_str().into(),
            table.name.as_str().into(),
            instance.start.map_or(Value::Null, lsn_value),
            moment(instance.created),
            instance.role.as_deref().into(),
            (instance.access == Access::Direct).into(),
            instance.has_command_id.into(),
        ]
    };
    Answer::rows(columns, contents.instances().into_iter().map(row).collect::<Vec<Row>>())
}

fn columns(contents: &Contents) -> Answer {
    let columns = vec![
        int("object_id"),
        text("column_name"),
        int("column_ordinal"),
        bit(""),
        text(""),
        Column::new("", SqlType::SmallInt),
        Column::new("", SqlType::TinyInt),
        Column::new("", SqlType::TinyInt),
        text(""),
        int(""),
        text("name"),
    ];
    let mut rows = Vec::new();
    for (table, instance) in contents.instances() {
        for (ordinal, column) in (1..).zip(&instance.columns) {
            let described = Described::of(column);
            let is_there = table.columns.iter().any(|there| there.name == column.name);
            rows.push(vec![
                Value::Int(instance.object_id.into()),
                column.name.as_str().into(),
                Value::Int(ordinal),
                false.into(),
                described.name.into(),
                Value::Int(described.max_length),
                Value::Int(described.precision),
                Value::Int(described.scale),
                described.collation.into(),
                described.code_page.into(),
                is_there.then_some(column.name.as_str()).into(),
            ]);
        }
    }
    Answer::rows(columns, rows)
}

fn keys(contents: &Contents) -> Answer {
    names(contents.instances().into_iter().map(|(table, instance)| (instance.object_id, table.key.clone())))
}

fn uncaptured(contents: &Contents) -> Answer {
    names(contents.instances().into_iter().map(|(table, instance)| {
        let captured = |name: &String| instance.columns.iter().any(|column| column.name == *name);
        let left_out = table.columns.iter().map(|column| column.name.clone()).filter(|name| !captured(name));
        (instance.object_id, left_out.collect())
    }))
}

fn names(of: impl Iterator<Item = (i32, Vec<String>)>) -> Answer {
    let row = |id: i32| move |name: String| vec![Value::Int(id.into()), Value::Text(name)];
    let rows: Vec<Row> = of.flat_map(|(id, names)| names.into_iter().map(row(id))).collect();
    Answer::rows(vec![int("object_id"), text("name")], rows)
}

/// The parameter of this number as an LSN.
pub(super) fn lsn_parameter(request: &Request, number: usize) -> Result<LsnBytes, ServerError> {
    let name = format!("@P{number}");
    match request.parameter(&name) {
        Some(Value::Bytes(bytes)) => bytes.as_slice().try_into().map_err(|_| not_understood(&name)),
        _ => Err(not_understood(&format!("{name}, which is no LSN"))),
    }
}

fn min_lsn(contents: &Contents, request: &Request) -> Outcome {
    let Some(Value::Text(name)) = request.parameter("@P1") else { return Err(not_understood("@P1, which is no name")) };
    let instance = contents.instance(name).filter(|(_, instance)| instance.access != Access::Denied);
    Ok(one_lsn(Some(instance.and_then(|(_, instance)| instance.start).unwrap_or_default())))
}

fn window_end(contents: &Contents, request: &Request) -> Outcome {
    let (after, to) = (lsn_parameter(request, 1)?, lsn_parameter(request, 2)?);
    let Some(Value::Int(most)) = request.parameter("@P3") else {
        return Err(not_understood("@P3, which is no number"));
    };
    let within = transactions(contents).filter(|commit| after < commit.lsn && commit.lsn <= to);
    let lsns: Vec<_> = within.take(usize::try_from(*most).unwrap_or_default()).map(|commit| commit.lsn).collect();
    let row = vec![lsns.last().copied().map_or(Value::Null, lsn_value), Value::Int(lsns.len() as i64)];
    Ok(Answer::rows(vec![lsn_column(""), Column::new("", SqlType::BigInt)], [row]))
}

fn transactions(contents: &Contents) -> impl Iterator<Item = &Commit> {
    contents.commits.iter().filter(|commit| !commit.idle)
}

fn commits(contents: &Contents, request: &Request) -> Outcome {
    let (from, to) = (lsn_parameter(request, 1)?, lsn_parameter(request, 2)?);
    let within = transactions(contents).filter(|commit| from <= commit.lsn && commit.lsn <= to);
    let rows: Vec<Row> = within.map(|commit| vec![lsn_value(commit.lsn), moment(commit.time.naive_utc())]).collect();
    Ok(Answer::rows(vec![lsn_column("start_lsn"), moment_column("", 3)], rows))
}

fn commit_times(contents: &Contents, sql: &str, request: &Request) -> Outcome {
    let wanted = (1..=request.parameters.len()).map(|number| lsn_parameter(request, number));
    let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
    if sql.matches("@P").count() != wanted.len() {
        return Err(not_understood(sql));
    }
    let found = contents.commits.iter().filter(|commit| wanted.contains(&commit.lsn));
    let row = |commit: &Commit| {
        vec![lsn_value(commit.lsn), moment(contents.local(commit.time)), moment(commit.time.naive_utc())]
    };
    let columns = vec![lsn_column("start_lsn"), moment_column("", 3), moment_column("", 3)];
    Ok(Answer::rows(columns, found.map(row).collect::<Vec<Row>>()))
}

fn last_commit_before(contents: &Contents, request: &Request) -> Outcome {
    let time = match request.parameter("@P1") {
        Some(Value::Text(text)) => DateTime::parse_from_rfc3339(text).map_err(|_| not_understood(text))?,
        _ => return Err(not_understood("@P1, which is no time")),
    };
    let before = contents.commits.iter().rfind(|commit| commit.time < time.with_timezone(&Utc));
    Ok(one_lsn(before.map(|commit| commit.lsn)))
}
