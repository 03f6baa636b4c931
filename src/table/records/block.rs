//! Records that were taken: where their fields are in the text.

use std::ops::Range;

/// A part of the text, in bytes; from the text's length on, of the unescaped texts. [`MAX_RECORD`] keeps both short.
#[derive(Clone, Copy)]
pub(super) struct Field {
    start: u32,
    end: u32,
}

impl Field {
    pub(super) fn new(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    #[inline]
    fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Some records of the same width, at least one, valid until the next are asked for.
pub(crate) struct Block<'a> {
    pub(super) text: &'a str,
    pub(super) fields: &'a [Field],
    pub(super) width: usize,
    /// For each record the number of the line on which it begins, from 1.
    pub(crate) lines: &'a [u64],
    /// How much of the text they are.
    pub(crate) bytes: usize,
}

impl<'a> Block<'a> {
    /// The texts of the fields of the first record.
    pub(crate) fn first(&self) -> impl Iterator<Item = &'a str> {
        let text = self.text;
        self.fields[..self.width].iter().map(move |field| field.of(text))
    }

    /// The line of the first record whose cells are all like these.
    pub(crate) fn line_of(&self, cells: &[String]) -> Option<u64> {
        let [first, ..] = cells else { return None };
        let mut starts = self.column(0).zip(self.fields.chunks_exact(self.width)).zip(self.lines);
        let is_like = |record: &[Field]| record.iter().zip(cells).all(|(field, cell)| field.of(self.text) == cell);
        starts.find(|((start, record), _)| *start == first.as_str() && is_like(record)).map(|(_, line)| *line)
    }

    /// The texts of field `index`, which is less than the width, one for each record.
    pub(crate) fn column(&self, index: usize) -> impl Iterator<Item = &'a str> {
        let text = self.text;
        self.fields.chunks_exact(self.width).map(move |record| record[index].of(text))
    }
}
