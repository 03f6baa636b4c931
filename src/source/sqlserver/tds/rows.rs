//! Reading the rows of a source table: streamed, in the order of its key, complete or an error.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use tiberius::{ColumnData, QueryItem, ToSql};

use super::cells::Cells;
use super::connection::{Connection, Settings};
use super::key::{Behind, Key};
use super::layout::Layout;
use super::sql::{self, quote};
use super::{catalog, fault};
use crate::error::Result;
use crate::source::sqlserver::{CaptureInstance, KeyMark, TakeRows};

/// What became of a read.
#[derive(Debug)]
pub(super) struct Read {
    /// After the last row that was handed over.
    pub(super) last: Option<KeyMark>,
    /// Whether the table was read to its end. Otherwise the connection has an answer under way.
    pub(super) complete: bool,
    /// The instant of all rows, as the server's clock has it just after; `None` where they are not of one.
    pub(super) instant: Option<DateTime<Utc>>,
}

/// Gives the rows of the source table of `instance` to `take`: those after `after`, in the order of the key.
pub(super) async fn read(
    connection: &mut Connection,
    instance: &CaptureInstance,
    layout: &Layout,
    after: Option<&KeyMark>,
    settings: &Settings,
    take: TakeRows<'_>,
) -> Result<Read> {
    let doing = &format!("reading the rows of {}.{}", instance.schema, instance.table);
    let table = format!("{}.{}", quote(&instance.schema), quote(&instance.table));
    let key = Key::of(instance, layout);
    let query = Query::new(&table, layout, key.as_ref(), after)?;
    let mut instant = None;
    if connection.facts.snapshot_isolation {
        instant = Some(begin(connection, &table, doing).await?);
    }
    let (last, complete) = query.stream(connection, settings, take, doing).await?;
    if complete && instant.is_some() {
        connection.run(sql::COMMIT, doing).await?;
    }
    Ok(Read { last, complete, instant })
}

/// Begins a transaction of one instant, and says which, at the latest.
async fn begin(connection: &mut Connection, table: &str, doing: &str) -> Result<DateTime<Utc>> {
    catalog::clock_of(connection, &sql::begin_at(table), doing).await
}

/// A query of rows.
struct Query<'l> {
    text: String,
    parameters: Vec<String>,
    layout: &'l Layout,
    key: Option<&'l Key<'l>>,
}

impl<'l> Query<'l> {
    fn new(table: &str, layout: &'l Layout, key: Option<&'l Key<'l>>, after: Option<&KeyMark>) -> Result<Self> {
        let behind = match (key, after) {
            (Some(key), Some(mark)) => key.behind(mark)?,
            (None, Some(_)) => return Err(super::key::key_changed()),
            (_, None) => Behind::default(),
        };
        let order = key.map(Key::order).unwrap_or_default();
        let text = sql::rows(table, &layout.of_rows(), &behind.condition, &order);
        Ok(Self { text, parameters: behind.parameters, layout, key })
    }

    /// The place after the last row that was handed over, and whether that was the last one of all.
    async fn stream(
        &self,
        connection: &mut Connection,
        settings: &Settings,
        take: TakeRows<'_>,
        doing: &str,
    ) -> Result<(Option<KeyMark>, bool)> {
        let parameters: Vec<&dyn ToSql> = self.parameters.iter().map(|text| text as &dyn ToSql).collect();
        let answer = connection.driver().query(self.text.as_str(), &parameters).await;
        let mut answer = answer.map_err(|error| fault::of(error, doing))?;
        let mut batch = self.layout.builders(settings.batch_rows);
        let (mut came, mut is_counted) = (0, false);
        // The last row of all, and the place after the last one that was handed over.
        let (mut last_row, mut handed) = (None, None);
        while let Some(item) = answer.try_next().await.map_err(|error| fault::of(error, doing))? {
            let QueryItem::Row(row) = item else { continue };
            if row.result_index() > 0 {
                let counted = Cells::new(&row, doing).id(0)?;
                if came != counted {
                    return Err(fault::incomplete(came, counted, doing));
                }
                is_counted = true;
                continue;
            }
            came += 1;
            let values = row.cells().map(|(_, value): (_, &ColumnData<'static>)| value);
            batch.append(values).map_err(|(misfit, column)| fault::misfit(misfit, column, doing))?;
            last_row = Some(row);
            if batch.rows() >= settings.batch_rows || batch.bytes() >= settings.batch_bytes {
                handed = self.mark(last_row.as_ref())?;
                if take(batch.finish().map_err(|error| fault::batch(error, doing))?)?.is_break() {
                    return Ok((handed, false));
                }
            }
        }
        if !is_counted {
            return Err(fault::cut(doing));
        }
        if batch.rows() > 0 {
            handed = self.mark(last_row.as_ref())?;
            // Whatever it answers: there is nothing more to give.
            let _ = take(batch.finish().map_err(|error| fault::batch(error, doing))?)?;
        }
        Ok((handed, true))
    }

    fn mark(&self, row: Option<&tiberius::Row>) -> Result<Option<KeyMark>> {
        self.key.zip(row).map(|(key, row)| key.mark(row)).transpose()
    }
}
