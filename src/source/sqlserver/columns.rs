//! The columns that describe a change beside those captured, and the checks that changes come as they were asked for.
//!
//! Readable: the captured columns, then `op` (`I`, `U`, `D`; both images of an update are `U`), `_commit_lsn`, `_seq`,
//! `_commit_time`, `_operation`, `_unavailable` and `_overlap`. Native: those of the change table, around the captured ones.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, Int32Array, ListBuilder, RecordBatch,
    StringArray, StringBuilder, UInt8Array, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};

use super::faults;
use super::server::{CaptureInstance, CapturedColumn, ChangeBatch, LsnRange, MaskOrder, OrderGrade};
use super::tracked::MetadataColumns;
use crate::error::{Error, Result};
use crate::position::Lsn;
use crate::table::{OP_COLUMN, fold};

/// `__$operation` of a deleted row.
pub(crate) const DELETE: u8 = 1;
/// `__$operation` of an inserted row.
pub(crate) const INSERT: u8 = 2;
/// `__$operation` of a row before an update.
pub(crate) const BEFORE: u8 = 3;
/// `__$operation` of a row after an update.
pub(crate) const AFTER: u8 = 4;

/// The columns of the readable form after the captured ones.
const READABLE: [&str; 7] =
    [OP_COLUMN, "_commit_lsn", "_seq", "_commit_time", "_operation", "_unavailable", "_overlap"];

/// Digits of a [`Seq`].
pub(crate) const SEQ_LEN: usize = 54;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The place of a change in the order of all changes: the whole key by which they are read, and a number that tells apart
/// those that are equal in it. Its text has a fixed width and sorts as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seq {
    commit: Lsn,
    command: u32,
    sequence: Lsn,
    operation: u8,
    tie: u16,
}

impl Seq {
    /// The commit that it is part of.
    pub(crate) fn commit(&self) -> Lsn {
        self.commit
    }

    /// 54 hexadecimal digits.
    pub(crate) fn write(&self, text: &mut Vec<u8>) {
        text.clear();
        let (command, tie) = (self.command.to_be_bytes(), self.tie.to_be_bytes());
        let parts: [&[u8]; 5] = [self.commit.as_bytes(), &command, self.sequence.as_bytes(), &[self.operation], &tie];
        for byte in parts.into_iter().flatten() {
            text.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }

    /// As [`Self::write`].
    pub(crate) fn text(&self) -> String {
        let mut text = Vec::new();
        self.write(&mut text);
        text.into_iter().map(char::from).collect()
    }
}

/// How many changes of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangeCounts {
    /// Inserted rows.
    pub(crate) inserted: u64,
    /// Updated rows.
    pub(crate) updated: u64,
    /// Deleted rows.
    pub(crate) deleted: u64,
    /// Updated rows as they were before.
    pub(crate) before_images: u64,
}

impl ChangeCounts {
    /// Rows in all.
    pub(crate) fn rows(&self) -> u64 {
        self.inserted + self.updated + self.deleted + self.before_images
    }

    /// Counts a change.
    pub(crate) fn count(&mut self, operation: u8) {
        match operation {
            DELETE => self.deleted += 1,
            INSERT => self.inserted += 1,
            BEFORE => self.before_images += 1,
            _ => self.updated += 1,
        }
    }
}

/// The Arrow schema of the changes of an instance.
///
/// # Errors
/// `ReservedColumn` (kind `Config`) where a captured column has the name of one that describes changes.
pub(crate) fn change_schema(instance: &CaptureInstance, metadata: MetadataColumns) -> Result<SchemaRef> {
    if metadata == MetadataColumns::Readable {
        refuse_reserved(instance)?;
    }
    let (captured, Marks { before, after }) = (instance.arrow(), marks(metadata));
    let fields = before.into_iter().chain(captured.fields().iter().cloned()).chain(after);
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// The columns that describe a change, before the captured ones and after them.
pub(crate) struct Marks {
    pub(crate) before: Vec<FieldRef>,
    pub(crate) after: Vec<FieldRef>,
}

/// The columns that describe a change.
pub(crate) fn marks(metadata: MetadataColumns) -> Marks {
    let field = |name: &str, data_type, nullable| Arc::new(Field::new(name, data_type, nullable));
    match metadata {
        MetadataColumns::Readable => {
            let names = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
            let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            let types =
                [DataType::Utf8, DataType::Utf8, DataType::Utf8, time, DataType::Int32, names, DataType::Boolean];
            let described = READABLE.into_iter().zip(types);
            let after = described.map(|(name, data_type)| field(name, data_type, name == "_commit_time")).collect();
            Marks { before: Vec::new(), after }
        }
        MetadataColumns::Native => Marks {
            before: vec![
                field("__$start_lsn", DataType::Binary, false),
                field("__$end_lsn", DataType::Binary, true),
                field("__$seqval", DataType::Binary, false),
                field("__$operation", DataType::Int32, false),
                field("__$update_mask", DataType::Binary, true),
            ],
            after: vec![field("__$command_id", DataType::Int32, true)],
        },
    }
}

fn refuse_reserved(instance: &CaptureInstance) -> Result<()> {
    let mut taken: HashSet<String> = READABLE.into_iter().map(str::to_owned).collect();
    for field in instance.columns.iter().flat_map(|column| &column.fields) {
        if !taken.insert(fold(field.name())) {
            return Err(faults::reserved_column(&format!("{}.{}", instance.schema, instance.table), field.name()));
        }
    }
    Ok(())
}

/// Turns the changes of one range into rows of the lake, and holds them against what was asked for.
#[derive(Debug)]
pub(crate) struct Describer {
    table: String,
    instance: CaptureInstance,
    schema: SchemaRef,
    metadata: MetadataColumns,
    mask_order: MaskOrder,
    overlap_until: Option<DateTime<Utc>>,
    range: LsnRange,
    first: Option<Seq>,
    last: Option<Seq>,
    counts: ChangeCounts,
}

impl Describer {
    /// For the changes of `instance` in `range`.
    pub(crate) fn new(
        instance: &CaptureInstance,
        metadata: MetadataColumns,
        mask_order: MaskOrder,
        overlap_until: Option<DateTime<Utc>>,
        range: LsnRange,
    ) -> Result<Self> {
        Ok(Self {
            table: format!("{}.{}", instance.schema, instance.table),
            instance: instance.clone(),
            schema: change_schema(instance, metadata)?,
            metadata,
            mask_order,
            overlap_until,
            range,
            first: None,
            last: None,
            counts: ChangeCounts::default(),
        })
    }

    /// The schema of the rows.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The first change so far.
    pub(crate) fn first(&self) -> Option<Seq> {
        self.first
    }

    /// The last change so far.
    pub(crate) fn last(&self) -> Option<Seq> {
        self.last
    }

    /// How many there were so far.
    pub(crate) fn counts(&self) -> ChangeCounts {
        self.counts
    }

    /// The rows of `batch`.
    ///
    /// # Errors
    /// `ChangesUnordered` (kind `Internal`) where they do not come within the range and in order.
    pub(crate) fn describe(&mut self, batch: &ChangeBatch) -> Result<RecordBatch> {
        let seqs = self.seqs(batch)?;
        let columns = match self.metadata {
            MetadataColumns::Readable => self.readable(batch, &seqs),
            MetadataColumns::Native => self.native(batch)?,
        };
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| Error::internal("BadBatch", "columns of one batch do not match").caused_by(error))
    }

    fn seqs(&mut self, batch: &ChangeBatch) -> Result<Vec<Seq>> {
        let unordered = || faults::broken_order(&self.table, &self.instance.name);
        let mut seqs = Vec::with_capacity(batch.operation.len());
        let mut last = self.last;
        for row in 0..batch.operation.len() {
            let seq = seq_of(batch, row, self.instance.grade, last).ok_or_else(unordered)?;
            let within = self.range.from <= seq.commit && seq.commit <= self.range.to;
            if !within || last.is_some_and(|last| seq <= last) || !(DELETE..=AFTER).contains(&seq.operation) {
                return Err(unordered());
            }
            last = Some(seq);
            seqs.push(seq);
        }
        seqs.iter().for_each(|seq| self.counts.count(seq.operation));
        self.first = self.first.or(seqs.first().copied());
        self.last = last;
        Ok(seqs)
    }

    fn readable(&self, batch: &ChangeBatch, seqs: &[Seq]) -> Vec<ArrayRef> {
        let (mut commits, mut texts) = (StringBuilder::new(), StringBuilder::new());
        let mut text = Vec::new();
        for seq in seqs {
            seq.write(&mut text);
            // Hexadecimal digits are always valid.
            let digits = str::from_utf8(&text).unwrap_or_default();
            texts.append_value(digits);
            commits.append_value(&digits[..2 * Lsn::LEN]);
        }
        let operations = seqs.iter().map(|seq| i32::from(seq.operation));
        let letters = seqs.iter().map(|seq| letter(seq.operation));
        let described: [ArrayRef; 7] = [
            Arc::new(StringArray::from_iter_values(letters)),
            Arc::new(commits.finish()),
            Arc::new(texts.finish()),
            Arc::new(batch.commit_time.clone().with_timezone("UTC")),
            Arc::new(Int32Array::from_iter_values(operations)),
            self.unavailable(batch),
            self.overlap(batch),
        ];
        batch.columns.columns().iter().cloned().chain(described).collect()
    }

    fn native(&self, batch: &ChangeBatch) -> Result<Vec<ArrayRef>> {
        let rows = batch.operation.len();
        let before = [
            binary(&batch.start_lsn)?,
            new_null_array(&DataType::Binary, rows),
            binary(&batch.seqval)?,
            Arc::new(Int32Array::from_iter_values(batch.operation.values().iter().map(|&code| i32::from(code)))),
            Arc::new(batch.update_mask.clone()),
        ];
        let command: ArrayRef = Arc::new(batch.command_id.clone());
        Ok(before.into_iter().chain(batch.columns.columns().iter().cloned()).chain([command]).collect())
    }

    /// The names of the columns whose value in a change is not that of the row.
    fn unavailable(&self, batch: &ChangeBatch) -> ArrayRef {
        let mut at = 0;
        let mut suspects: Vec<(&CapturedColumn, &ArrayRef)> = Vec::new();
        for column in &self.instance.columns {
            if column.is_computed || column.is_large {
                suspects.push((column, batch.columns.column(at)));
            }
            at += column.fields.len();
        }
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in 0..batch.operation.len() {
            for (column, values) in &suspects {
                if values.is_null(row) && self.is_left_out(column, &batch.operation, &batch.update_mask, row) {
                    lists.values().append_value(&column.name);
                }
            }
            lists.append(true);
        }
        Arc::new(lists.finish())
    }

    /// Whether the NULL of a column says that its value was not captured. Old large types are never in a before image or
    /// a deleted row; the newer ones are left out of an update that does not set them.
    fn is_left_out(&self, column: &CapturedColumn, operations: &UInt8Array, masks: &BinaryArray, row: usize) -> bool {
        if column.is_computed {
            return true;
        }
        let is_old = matches!(column.sql_type.as_str(), "text" | "ntext" | "image");
        match operations.value(row) {
            INSERT => false,
            DELETE => is_old,
            BEFORE if is_old => true,
            _ => masks.is_valid(row) && !is_set(masks.value(row), column.ordinal, self.mask_order),
        }
    }

    /// Whether a change may be in the first load already.
    fn overlap(&self, batch: &ChangeBatch) -> ArrayRef {
        let until = self.overlap_until.map_or(i64::MIN, |time| time.timestamp_micros());
        let unknown = self.overlap_until.is_some();
        let marks: BooleanArray =
            batch.commit_time.iter().map(|time| Some(time.map_or(unknown, |time| time <= until))).collect();
        Arc::new(marks)
    }
}

fn seq_of(batch: &ChangeBatch, row: usize, grade: OrderGrade, last: Option<Seq>) -> Option<Seq> {
    let command = match grade {
        OrderGrade::Command if batch.command_id.is_valid(row) => u32::try_from(batch.command_id.value(row)).ok()?,
        OrderGrade::Command | OrderGrade::Sequence => 0,
    };
    let seq = Seq {
        commit: Lsn::from_slice(batch.start_lsn.value(row))?,
        command,
        sequence: Lsn::from_slice(batch.seqval.value(row))?,
        operation: batch.operation.value(row),
        tie: 0,
    };
    match last {
        Some(last) if (Seq { tie: 0, ..last }) == seq => Some(Seq { tie: last.tie.checked_add(1)?, ..seq }),
        _ => Some(seq),
    }
}

fn letter(operation: u8) -> &'static str {
    match operation {
        DELETE => "D",
        INSERT => "I",
        _ => "U",
    }
}

/// Whether the bit of the column with this ordinal is set; a mask too short for it has none.
fn is_set(mask: &[u8], ordinal: u32, order: MaskOrder) -> bool {
    let bit = ordinal.saturating_sub(1);
    let byte = usize::try_from(bit / 8).ok().filter(|&byte| byte < mask.len());
    let byte = byte.map(|byte| match order {
        MaskOrder::LowOrdinalsFirst => mask[byte],
        MaskOrder::LowOrdinalsLast => mask[mask.len() - 1 - byte],
    });
    byte.is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
}

fn binary(array: &FixedSizeBinaryArray) -> Result<ArrayRef> {
    cast(array, &DataType::Binary)
        .map_err(|error| Error::internal("BadBatch", "an LSN column is not binary").caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_the_mask_are_found_in_either_order() {
        // Ten columns, of which 1, 8 and 10 are set.
        for (mask, order) in
            [([0b10, 0b1000_0001], MaskOrder::LowOrdinalsLast), ([0b1000_0001, 0b10], MaskOrder::LowOrdinalsFirst)]
        {
            let set: Vec<u32> = (1..=10).filter(|&ordinal| is_set(&mask, ordinal, order)).collect();
            assert_eq!(set, [1, 8, 10]);
            assert!(!is_set(&mask, 17, order) && !is_set(&[], 1, order));
        }
    }

    #[test]
    fn a_seq_has_a_fixed_width_and_sorts_as_the_whole_key() {
        let lsn = |last| Lsn::new([0, 0, 0, 1, 0, 0, 0, 0, 0, last]);
        let seq = |commit, command, sequence, operation, tie| Seq {
            commit: lsn(commit),
            command,
            sequence: lsn(sequence),
            operation,
            tie,
        };
        let rising = [
            seq(1, 9, 9, 4, 3),
            seq(2, 1, 9, 2, 0),
            seq(2, 2, 3, 4, 0),
            seq(2, 2, 4, 1, 0),
            seq(2, 2, 4, 2, 0),
            seq(2, 2, 4, 2, 1),
        ];
        let texts = rising.map(|seq| seq.text());
        assert!(rising.is_sorted() && texts.is_sorted() && texts.iter().all(|text| text.len() == 54));
        assert_eq!(texts[1], "00000001000000000002000000010000000100000000000902".to_owned() + "0000");
        assert!(texts[1].starts_with(&rising[1].commit().digits()));
    }
}
