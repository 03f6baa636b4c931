//! Where the bytes are that may end a field, or escape what would: one bit for each byte of a text, found many bytes at a time.

/// Bytes per word of marks.
const WORD: usize = 64;

/// The bytes of a text that mean something, in order.
#[derive(Default)]
pub(super) struct Marks {
    words: Vec<u64>,
    /// The word that the next mark is looked for in, and its marks that are still ahead.
    word: usize,
    ahead: u64,
}

impl Marks {
    /// Marks each byte of `text` that `is_mark` picks, and goes before the first. NUL, which pads the text, must be none.
    pub(super) fn find(&mut self, text: &[u8], is_mark: impl Fn(u8) -> bool) {
        let (whole, rest) = text.as_chunks::<WORD>();
        self.words.clear();
        self.words.extend(whole.iter().map(|bytes| word(bytes, &is_mark)));
        if !rest.is_empty() {
            let mut last = [0; WORD];
            last[..rest.len()].copy_from_slice(rest);
            self.words.push(word(&last, &is_mark));
        }
        self.seek(0);
    }

    /// Stands before the first mark at or after the byte `at`.
    pub(super) fn seek(&mut self, at: usize) {
        self.word = at / WORD;
        self.ahead = self.words.get(self.word).map_or(0, |word| word & (u64::MAX << (at % WORD)));
    }

    /// The position of the next mark.
    pub(super) fn next(&mut self) -> Option<usize> {
        while self.ahead == 0 {
            self.ahead = *self.words.get(self.word + 1)?;
            self.word += 1;
        }
        let place = self.ahead.trailing_zeros() as usize;
        self.ahead &= self.ahead - 1;
        Some(self.word * WORD + place)
    }
}

/// The marks of some bytes, the first in the lowest bit.
#[inline]
fn word(bytes: &[u8; WORD], is_mark: &impl Fn(u8) -> bool) -> u64 {
    // In two steps: of the first the compiler makes vector instructions.
    let mut found = [0_u8; WORD];
    for (at, &byte) in bytes.iter().enumerate() {
        found[at] = u8::from(is_mark(byte));
    }
    let (eights, _) = found.as_chunks::<8>();
    let mut word = 0;
    for eight in eights.iter().rev() {
        // The product brings the lowest bits of eight bytes together in its highest byte.
        word = word << 8 | u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    }
    word
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn marks_are_the_delimiters_and_line_ends(text in "[ab;\n\ré\"]{0,300}", from in 0_usize..400) {
            let expected = |from: usize| {
                let is_mark = |(_, byte): &(usize, u8)| matches!(byte, b';' | b'\n' | b'\r');
                text.bytes().enumerate().skip(from).filter(is_mark).map(|(at, _)| at).collect::<Vec<_>>()
            };
            let mut marks = Marks::default();
            marks.find(text.as_bytes(), |byte| (byte == b';') | (byte == b'\n') | (byte == b'\r'));
            prop_assert_eq!(std::iter::from_fn(|| marks.next()).collect::<Vec<_>>(), expected(0));
            marks.seek(from);
            prop_assert_eq!(std::iter::from_fn(|| marks.next()).collect::<Vec<_>>(), expected(from));
        }
    }
}
