//! The fingerprints of a full load, kept beside it so that the next run need not decode it: one row for each of its rows, in
//! its order, as a Parquet file of plain numbers.
//!
//! A cache and nothing more. It names the full load by its tag, with the key and the date field that it was made for; where
//! one of these is another, or where it is missing or damaged, the full load itself is read. What it holds is proven by the
//! full load's footer: its rows must be as many, and have the same fingerprint as a set. The values of the date field have
//! one of their own.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int64Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema, SchemaRef, UInt64Type};
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use serde::{Deserialize, Serialize};

use super::base::take;
use super::fetch::fetch;
use super::footer::Footer;
use super::layout;
use super::parquet::{open_batches, read_metadata};
use super::store::{ByteRange, Condition, ETag, ObjectStore, Payload, Put};
use crate::ahead::ahead;
use crate::diff::{Index, Orders, Prints, SetHash};
use crate::error::{Error, Result};
use crate::table::{ColumnType, TableName};
use crate::workspace::Workspace;

/// The entry of the file's metadata that says what it belongs to.
const ENTRY: &str = "cdc_to_s3.fingerprints";

/// The version of the fingerprints and of their file. It changes with the way in which rows are fingerprinted.
const FORMAT_VERSION: u32 = 2;

/// A smaller full load is read as fast as its fingerprints are.
pub const WORTH_KEEPING_ROWS: u64 = 4096;

/// What a file of fingerprints was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    format_version: u32,
    full_load_etag: ETag,
    key_columns: Vec<String>,
    order: Option<Order>,
}

/// A date field, and the type in which its values are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    column: String,
    #[serde(rename = "type")]
    column_type: ColumnType,
}

/// What a file of fingerprints says of itself.
#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    origin: Origin,
    /// The fingerprint of the values of the date field, which the full load's footer does not prove.
    order_set_hash: String,
}

impl Origin {
    /// The full load that has the tag `full_load_etag`, with its rows' `key` and `order`: the date field and the type in
    /// which its values are compared.
    pub fn new(full_load_etag: ETag, key: &[String], order: Option<(&str, ColumnType)>) -> Self {
        let order = order.map(|(column, column_type)| Order { column: column.to_owned(), column_type });
        Self { format_version: FORMAT_VERSION, full_load_etag, key_columns: key.to_vec(), order }
    }

    /// The metadata of a file whose rows have this [`Prints::order_set`].
    pub fn to_metadata(&self, orders: SetHash) -> Option<KeyValue> {
        let entry = Entry { origin: self.clone(), order_set_hash: orders.to_hex() };
        Some(KeyValue::new(ENTRY.to_owned(), serde_json::to_string(&entry).ok()?))
    }
}

fn entry(metadata: &ParquetMetaData) -> Option<Entry> {
    let entries = metadata.file_metadata().key_value_metadata()?;
    let entry = entries.iter().find(|entry| entry.key == ENTRY)?;
    serde_json::from_str(entry.value.as_deref()?).ok()
}

/// The fingerprints of a full load, at hand.
#[derive(Clone, Debug)]
pub struct Fingerprints {
    key: String,
    origin: Origin,
    order_set_hash: String,
    payload: Payload,
}

/// What is in the place of a table's fingerprints.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The fingerprints, if they are those that were asked for.
    pub fingerprints: Option<Fingerprints>,
    /// The tag of whatever is there.
    pub etag: Option<ETag>,
}

impl Fingerprints {
    /// Fetches the fingerprints of a table if they are those of `origin`. What cannot be read is as good as missing.
    pub async fn fetch(
        store: &dyn ObjectStore,
        table: &TableName,
        origin: &Origin,
        workspace: &Workspace,
    ) -> Result<Found> {
        let key = layout::fingerprints(table);
        let (metadata, etag) = match read_metadata(store, &key).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Found::default()),
            Err(error) if error.code() == "DamagedObject" => return Self::damaged(store, &key).await,
            Err(error) => return Err(error),
        };
        let replaceable = Found { fingerprints: None, etag: Some(etag.clone()) };
        let Some(Entry { order_set_hash, .. }) = entry(&metadata).filter(|entry| entry.origin == *origin) else {
            return Ok(replaceable);
        };
        Ok(match fetch(store, &key, workspace).await? {
            Some((payload, fetched)) if fetched == etag => {
                let fingerprints = Self { key, origin: origin.clone(), order_set_hash, payload };
                Found { fingerprints: Some(fingerprints), ..replaceable }
            }
            _ => replaceable,
        })
    }

    /// There is something, but no file of fingerprints.
    async fn damaged(store: &dyn ObjectStore, key: &str) -> Result<Found> {
        let there = store.get(key, Some(ByteRange::Suffix(1))).await?;
        Ok(Found { fingerprints: None, etag: there.map(|object| object.etag) })
    }

    /// Loads all of them into an empty index, which must then hold the rows that the footer of the full load names.
    pub(super) fn load(
        &self,
        key_columns: &[String],
        order: Option<(&str, ColumnType)>,
        full_load: &Footer,
        index: &mut Index,
    ) -> Result<()> {
        if self.origin != Origin::new(self.origin.full_load_etag.clone(), key_columns, order) {
            return Err(unusable(&self.key));
        }
        let unusable = |error: Error| unusable(&self.key).caused_by(error);
        let batches = open_batches(&self.key, &self.payload, None).map_err(unusable)?;
        let decode = |give: &mut dyn FnMut(RecordBatch) -> Result<()>| {
            batches.into_iter().try_for_each(|batch| give(batch.map_err(unusable)?))
        };
        let mut orders = SetHash::default();
        ahead("decode", decode, |mut batches| {
            batches.try_for_each(|batch| {
                let prints = prints(&batch).ok_or_else(|| self::unusable(&self.key))?;
                orders.add_all(prints.order_set());
                index.load(&prints.into(), None).map_err(unusable)
            })
        })?;
        let rows = (index.rows(), index.set_hash().to_hex(), orders.to_hex());
        let proven = rows == (full_load.rows, full_load.row_set_hash.clone(), self.order_set_hash.clone());
        if proven { Ok(()) } else { Err(self::unusable(&self.key)) }
    }

    /// Keeps `payload` for the next run, in place of what had the tag `replaced`. A run that was faster is right, too.
    pub async fn keep(
        store: &dyn ObjectStore,
        table: &TableName,
        payload: &Payload,
        replaced: Option<ETag>,
    ) -> Result<()> {
        let condition = replaced.map_or(Condition::Absent, Condition::Matches);
        match store.put(&layout::fingerprints(table), payload, &condition).await? {
            Put::Written(_) => {}
            Put::Refused => tracing::debug!(table = %table, "another run has kept its fingerprints"),
        }
        Ok(())
    }
}

/// The columns of the file; `order` is the type in which the values of the date field are compared.
pub fn schema(order: Option<ColumnType>) -> SchemaRef {
    let number = |name: &str| Field::new(name, DataType::UInt64, false);
    let mut fields = vec![number("key_low"), number("key_high"), number("content")];
    fields.extend(order.map(|order| Field::new("order", order_type(order), true)));
    Arc::new(Schema::new(fields))
}

fn order_type(order: ColumnType) -> DataType {
    match order {
        ColumnType::String => DataType::Utf8,
        ColumnType::Decimal { .. } => DataType::Decimal128(38, 0),
        _ => DataType::Int64,
    }
}

/// The rows of the file for `prints`, without those that are not in `kept`, if that is given, and their
/// [`Prints::order_set`].
pub fn batch(schema: &SchemaRef, prints: &Prints, kept: Option<&UInt32Array>) -> Result<(RecordBatch, SetHash)> {
    let half = |shift: u32| prints.keys.iter().map(move |key| low(key >> shift));
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(half(0))),
        Arc::new(UInt64Array::from_iter_values(half(64))),
        Arc::new(UInt64Array::from(prints.contents.clone())),
    ];
    columns.extend(orders(&prints.orders));
    let batch = RecordBatch::try_new(SchemaRef::clone(schema), columns)
        .map_err(|error| Error::internal("BadBatch", "columns of one batch do not match").caused_by(error))?;
    let Some(kept) = kept else { return Ok((batch, prints.order_set())) };
    let batch = take(&batch, kept)?;
    let orders = self::prints(&batch).map(|prints| prints.order_set());
    Ok((batch, orders.unwrap_or_default()))
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
fn low(wide: u128) -> u64 {
    wide as u64
}

fn orders(orders: &Orders) -> Option<ArrayRef> {
    Some(match orders {
        Orders::Absent => return None,
        Orders::Narrow(values) => Arc::new(Int64Array::from(values.clone())),
        Orders::Wide(values) => {
            Arc::new(Decimal128Array::from(values.clone()).with_data_type(DataType::Decimal128(38, 0)))
        }
        Orders::Text(values) => Arc::new(StringArray::from_iter(values.iter().map(Option::as_deref))),
    })
}

/// The fingerprints in a batch of such a file; `None` where it is another file.
fn prints(batch: &RecordBatch) -> Option<Prints> {
    let number = |name: &str| Some(batch.column_by_name(name)?.as_primitive_opt::<UInt64Type>()?.values());
    let keys = number("key_low")?.iter().zip(number("key_high")?.iter());
    let orders = batch.column_by_name("order").map_or(Some(Orders::Absent), orders_of)?;
    Some(Prints {
        keys: keys.map(|(&low, &high)| u128::from(low) | u128::from(high) << 64).collect(),
        contents: number("content")?.to_vec(),
        orders,
        null_keys: Vec::new(),
    })
}

fn orders_of(array: &ArrayRef) -> Option<Orders> {
    Some(match array.data_type() {
        DataType::Int64 => Orders::Narrow(array.as_primitive::<Int64Type>().values().to_vec()),
        DataType::Decimal128(..) => Orders::Wide(array.as_primitive::<Decimal128Type>().values().to_vec()),
        DataType::Utf8 => Orders::Text(array.as_string::<i32>().iter().map(|text| text.map(Box::from)).collect()),
        _ => return None,
    })
}

/// The error for fingerprints that are not what they say, or not for this table as it is now; code `BadFingerprints`, upon
/// which the full load is to be read.
pub(super) fn unusable(key: &str) -> Error {
    Error::internal("BadFingerprints", format!("`{key}` does not hold the fingerprints that it should"))
        .hint("delete it: the next run makes it anew from the full load")
}
