//! How a text ends, noticed while it is read.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const UNKNOWN: u8 = 0;
const LINE_END: u8 = 1;
const NO_LINE_END: u8 = 2;

/// Whether a text ends with the end of a line, as far as it has been read to its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Ending(Arc<AtomicU8>);

impl Ending {
    /// `None` where the text was not read to its end, or is empty.
    pub(super) fn is_line_end(&self) -> Option<bool> {
        match self.0.load(Ordering::Relaxed) {
            UNKNOWN => None,
            known => Some(known == LINE_END),
        }
    }

    /// `source`, whose end will be noted here.
    pub(super) fn of(&self, source: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        Box::new(Watched { source, last: [None; 2], ending: self.clone() })
    }
}

struct Watched {
    source: Box<dyn Read + Send>,
    /// The last two bytes so far.
    last: [Option<u8>; 2],
    ending: Ending,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        match buffer.get(..count).unwrap_or_default() {
            [] if !buffer.is_empty() => self.end(),
            [] => {}
            [one] => self.last = [self.last[1], Some(*one)],
            [.., one, two] => self.last = [Some(*one), Some(*two)],
        }
        Ok(count)
    }
}

impl Watched {
    /// A line end has one byte, or in UTF-16 two, of which the other is zero.
    fn end(&self) {
        let is_end = |byte: Option<u8>| matches!(byte, Some(b'\n' | b'\r'));
        let ended = match self.last {
            [_, None] => UNKNOWN,
            [before, Some(0)] if is_end(before) => LINE_END,
            [_, last] if is_end(last) => LINE_END,
            _ => NO_LINE_END,
        };
        self.ending.0.store(ended, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(bytes: &'static [u8], at_a_time: usize) -> Option<bool> {
        let ending = Ending::default();
        let mut source = ending.of(Box::new(bytes));
        let mut buffer = vec![0; at_a_time];
        while source.read(&mut buffer).unwrap() > 0 {}
        ending.is_line_end()
    }

    #[test]
    fn the_last_bytes_say_how_a_text_ends_however_it_is_read() {
        for at_a_time in [1, 2, 3, 100] {
            assert_eq!(ending(b"a\nb\n", at_a_time), Some(true));
            assert_eq!(ending(b"a\r", at_a_time), Some(true));
            assert_eq!(ending(b"a\nb", at_a_time), Some(false));
            assert_eq!(ending(b"a\0\n\0", at_a_time), Some(true));
            assert_eq!(ending(b"\0a\0\n", at_a_time), Some(true));
            assert_eq!(ending(b"\n\0a\0", at_a_time), Some(false));
            assert_eq!(ending(b"", at_a_time), None);
        }
    }
}
