//! Walks over the records of one segment file.

use std::io;

use super::disk::DiskFile;
use super::frame::{self, Found, Frame};

/// Bytes read from the file at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// A place in a segment, moving forward record by record. Holds one chunk of the file, never the whole.
#[derive(Debug)]
pub(super) struct Scan {
    buffer: Vec<u8>,
    /// How much of the buffer was read.
    filled: usize,
    /// Where the buffer begins in the file.
    buffer_at: u64,
    /// The next record, within the buffer.
    place: usize,
}

/// What stands at the place of a scan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// A record; the scan has moved past it.
    Record(Frame<'a>),
    /// Nothing more was written.
    End,
    /// Damage, or a record that was cut off.
    Bad,
}

impl Scan {
    pub(super) const fn at(offset: u64) -> Self {
        Self { buffer: Vec::new(), filled: 0, buffer_at: offset, place: 0 }
    }

    /// Where the next record begins in the file.
    pub(super) const fn offset(&self) -> u64 {
        self.buffer_at + self.place as u64
    }

    /// The next record. At the end or at damage the scan stays where it is, and asking again looks again.
    pub(super) fn next(&mut self, file: &impl DiskFile) -> io::Result<Step<'_>> {
        // what is no record may only be a chunk that ends here, or that was read before the record was written
        if !matches!(Frame::read(self.rest()), Found::Record(_)) {
            self.refill(file)?;
        }
        let rest = self.buffer.get(self.place..self.filled).unwrap_or_default();
        match Frame::read(rest) {
            Found::Record(frame) => {
                self.place += frame.len();
                Ok(Step::Record(frame))
            }
            Found::End => Ok(Step::End),
            Found::Cut | Found::Bad => Ok(Step::Bad),
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.place..self.filled).unwrap_or_default()
    }

    /// Reads on from the current place: at least one whole record, if there is one.
    fn refill(&mut self, file: &impl DiskFile) -> io::Result<()> {
        let offset = self.offset();
        let wanted = CHUNK_BYTES.max(frame::HEADER_BYTES + frame::MAX_BODY_BYTES);
        if self.buffer.is_empty() {
            self.buffer = vec![0; wanted];
        }
        (self.buffer_at, self.place, self.filled) = (offset, 0, 0);
        while let Some(room) = self.buffer.get_mut(self.filled..).filter(|room| !room.is_empty()) {
            match file.read_at(room, offset + self.filled as u64) {
                Ok(0) => break,
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.filled = 0;
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}
