//! Lines of text that is not, or not yet, cut into records: their numbers must not depend on how much was read at once.

use super::super::dialect::Escape;
use super::Records;

/// Separates the bytes between cells and in plain ones from those inside of quotes, and from escaped ones.
struct Lexer {
    delimiter: u8,
    quote: u8,
    escape: Escape,
    quoted: bool,
    /// Whether a quote would open: at the start of a cell, and right behind a quote that closes.
    may_open: bool,
    escaped: Escaped,
}

/// What the byte before means for the next one.
enum Escaped {
    No,
    Next,
    /// An escaped `\r` takes its `\n` along.
    Feed,
}

impl Lexer {
    fn of(records: &Records) -> Self {
        let Records { delimiter, quote, escape, .. } = *records;
        Self { delimiter, quote, escape, quoted: false, may_open: true, escaped: Escaped::No }
    }

    /// Whether the next byte, which is `byte`, is neither quoted nor escaped.
    fn is_bare(&mut self, byte: u8) -> bool {
        match std::mem::replace(&mut self.escaped, Escaped::No) {
            Escaped::Next => {
                self.escaped = if byte == b'\r' { Escaped::Feed } else { Escaped::No };
                return false;
            }
            Escaped::Feed if byte == b'\n' => return false,
            Escaped::Feed | Escaped::No => {}
        }
        if self.escape == Escape::Backslash && byte == b'\\' {
            (self.escaped, self.may_open) = (Escaped::Next, false);
            return false;
        }
        if self.quoted {
            (self.quoted, self.may_open) = (byte != self.quote, byte == self.quote);
            return false;
        }
        self.quoted = self.may_open && byte == self.quote;
        self.may_open = byte == self.delimiter || matches!(byte, b'\r' | b'\n');
        true
    }
}

/// Looks for the first line end of a file, through text that comes in pieces.
struct FirstEnd {
    lexer: Lexer,
    after_return: bool,
    /// Whether there was any `\n` at all.
    any_feed: bool,
}

impl FirstEnd {
    /// Whether it is a lone `\r`, once `bytes` show it.
    fn see(&mut self, bytes: &[u8]) -> Option<bool> {
        bytes.iter().find_map(|&byte| {
            self.any_feed |= byte == b'\n';
            if self.after_return {
                return Some(byte != b'\n');
            }
            let is_bare = self.lexer.is_bare(byte);
            self.after_return = is_bare && byte == b'\r';
            (is_bare && byte == b'\n').then_some(false)
        })
    }
}

impl Records {
    /// Whether lines end in a lone `\r`: in the first line end outside of quotes, or else by there being no `\n` at all. Reads on
    /// until that is known, so that no record can be taken afterwards.
    pub(super) fn ends_in_lone_cr(&mut self) -> bool {
        if let Some(known) = self.lone_cr {
            return known;
        }
        let mut first = FirstEnd { lexer: Lexer::of(self), after_return: self.after_cr, any_feed: false };
        let mut found = first.see(self.text.as_bytes());
        let mut more = String::new();
        while found.is_none() && !self.ended {
            more.clear();
            self.ended = !matches!(self.blocks.append_to(&mut more), Ok(true));
            found = first.see(more.as_bytes());
        }
        *self.lone_cr.insert(found.unwrap_or(!first.any_feed))
    }

    /// The number of the line at the end of the text, of which the records from `self.at` on were not taken.
    pub(super) fn last_line(&mut self) -> u64 {
        let (lone_cr, mut lexer) = (self.ends_in_lone_cr(), Lexer::of(self));
        let text = self.text.as_bytes().get(self.untaken()..).unwrap_or_default();
        let ends = text.iter().enumerate().filter(|&(at, &byte)| {
            let is_bare = lexer.is_bare(byte);
            byte == b'\n' || byte == b'\r' && text.get(at + 1) != Some(&b'\n') && (is_bare || lone_cr)
        });
        self.line + ends.count() as u64
    }

    /// The number of the line of a position within the record at `self.at`.
    pub(super) fn line_of(&mut self, at: usize) -> u64 {
        let lone_cr = self.ends_in_lone_cr();
        self.line + line_ends(self.text.as_bytes().get(self.untaken()..at).unwrap_or_default(), lone_cr)
    }

    /// Where the text goes on behind what was taken and the second half of a line end that was counted.
    fn untaken(&self) -> usize {
        self.at + usize::from(self.after_cr && self.text.as_bytes().get(self.at) == Some(&b'\n'))
    }

    /// The line end at `at`, where it is the first one of the file.
    pub(super) fn learn_line_end(&mut self, at: usize) {
        let text = self.text.as_bytes();
        self.lone_cr.get_or_insert_with(|| text.get(at) == Some(&b'\r') && text.get(at + 1) != Some(&b'\n'));
    }
}

/// How many lines end in the text of cells; `\r\n` ends one. To an editor a lone `\r` is a line end only where it is that of
/// the whole file.
fn line_ends(text: &[u8], lone_cr: bool) -> u64 {
    let feeds = memchr::memchr_iter(b'\n', text).count();
    let lone = |at: &usize| text.get(at + 1) != Some(&b'\n');
    let returns = if lone_cr { memchr::memchr_iter(b'\r', text).filter(lone).count() } else { 0 };
    (feeds + returns) as u64
}
