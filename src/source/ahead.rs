//! Reading ahead: a thread of its own unpacks while others work on what came out before.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Bytes per block, and how many blocks may wait.
const BLOCK: usize = 256 * 1024;
const WAITING: usize = 4;

/// A reader whose bytes another thread has read before they are asked for. The thread ends with the reader's end, its first
/// error, or with this value.
pub(super) struct ReadAhead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: Vec<u8>,
    at: usize,
}

impl ReadAhead {
    /// Begins to read `source`.
    pub(super) fn new(source: impl Read + Send + 'static) -> io::Result<Self> {
        let (send, blocks) = sync_channel(WAITING);
        let read = move || {
            let mut source = source;
            loop {
                let block = read_block(&mut source);
                let last = !matches!(&block, Ok(block) if !block.is_empty());
                if send.send(block).is_err() || last {
                    return;
                }
            }
        };
        thread::Builder::new().name("unpack".to_owned()).spawn(read)?;
        Ok(Self { blocks, block: Vec::new(), at: 0 })
    }
}

/// The next bytes, fewer than a whole block only at the end.
fn read_block(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut block = vec![0; BLOCK];
    let mut held = 0;
    while held < BLOCK {
        match source.read(&mut block[held..]) {
            Ok(0) => break,
            Ok(count) => held += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    block.truncate(held);
    Ok(block)
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            // A closed channel is the end: the thread sends its last block before it ends.
            self.block = self.blocks.recv().unwrap_or_else(|_| Ok(Vec::new()))?;
            self.at = 0;
        }
        let count = buffer.len().min(self.block.len() - self.at);
        buffer[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_in_order_and_an_error_after_them() {
        let bytes: Vec<u8> = (0..3 * BLOCK + 7).map(|at| (at % 251) as u8).collect();
        let mut out = Vec::new();
        ReadAhead::new(io::Cursor::new(bytes.clone())).unwrap().read_to_end(&mut out).unwrap();
        assert!(out == bytes);

        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let broken = io::Cursor::new(vec![1; BLOCK]).chain(Broken);
        let mut reader = ReadAhead::new(broken).unwrap();
        let mut out = Vec::new();
        assert_eq!(reader.read_to_end(&mut out).unwrap_err().to_string(), "broken");
        assert_eq!(out.len(), BLOCK);
    }
}
