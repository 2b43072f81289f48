//! Reads what is to be reported, batch by batch, from the disk.

use std::io;
use std::path::PathBuf;

use super::cursor::FIRST_SEQ;
use super::disk::Disk;
use super::scan::{Scan, Step};
use super::segment::{self, FIRST_RECORD, Header};
use super::writer::Mark;

/// The most one batch takes.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Records.
    pub records: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
}

/// Consecutive records of one epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Sequence of the first one.
    pub first_seq: u64,
    /// Their bodies, as `sluice_rpc::usage::encode` made them; empty: the record is gone.
    pub records: Vec<Vec<u8>>,
    /// Where the log goes on after them, counted in bytes over all segments.
    pub(super) end_position: u64,
}

impl Batch {
    /// The sequence after the last one.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.first_seq + self.records.len() as u64
    }
}

/// A log that cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk refuses.
    #[error("cannot read the spool in {}", folder.display())]
    Io {
        /// The folder of the epoch.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A record that was whole is not any more.
    #[error("the spool in {} is damaged in segment {segment}", folder.display())]
    Damaged {
        /// The folder of the epoch.
        folder: PathBuf,
        /// The segment.
        segment: u64,
    },
    /// The records asked for were let go after they had been acknowledged.
    #[error("the spool in {} goes back to record {oldest} only, asked for {wanted}", folder.display())]
    Gone {
        /// The folder of the epoch.
        folder: PathBuf,
        /// The sequence asked for.
        wanted: u64,
        /// The oldest that is kept.
        oldest: u64,
    },
}

/// A place in the log of one epoch, moving forward.
#[derive(Debug)]
pub(super) struct Reader<D: Disk> {
    disk: D,
    folder: PathBuf,
    current: Option<Current<D::File>>,
    next_seq: u64,
    position: u64,
}

#[derive(Debug)]
struct Current<F> {
    number: u64,
    file: F,
    scan: Scan,
}

impl<D: Disk> Reader<D> {
    pub(super) const fn new(disk: D, folder: PathBuf) -> Self {
        Self { disk, folder, current: None, next_seq: FIRST_SEQ, position: 0 }
    }

    /// The sequence of the next record.
    pub(super) const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Goes to a record. Blocks on the disk.
    pub(super) fn seek(&mut self, seq: u64) -> Result<(), ReadError> {
        let numbers = segment::numbers(&self.disk, &self.folder).map_err(|error| self.io(error))?;
        let mut found = None;
        let mut oldest = seq;
        for number in numbers.iter().rev() {
            let (file, header) = self.open(*number)?;
            oldest = header.first_seq;
            if header.first_seq <= seq {
                found = Some((Current { number: *number, file, scan: Scan::at(FIRST_RECORD) }, header));
                break;
            }
        }
        let Some((current, header)) = found else {
            if numbers.is_empty() {
                (self.current, self.next_seq) = (None, seq);
                return Ok(());
            }
            return Err(ReadError::Gone { folder: self.folder.clone(), wanted: seq, oldest });
        };
        (self.current, self.next_seq, self.position) = (Some(current), header.first_seq, header.position);
        self.skip_to(seq)
    }

    /// The next records before a mark; `None` when there are none. Blocks on the disk.
    pub(super) fn next_batch(&mut self, until: Mark, limits: BatchLimits) -> Result<Option<Batch>, ReadError> {
        let mut batch = Batch { first_seq: self.next_seq, ..Batch::default() };
        let mut bytes = 0;
        while self.next_seq < until.seq && batch.records.len() < limits.records && bytes < limits.bytes {
            let Some(body) = self.next_reported(until)? else { break };
            bytes += body.len();
            batch.records.push(body);
        }
        batch.end_position = self.position;
        Ok((!batch.records.is_empty()).then_some(batch))
    }

    fn skip_to(&mut self, seq: u64) -> Result<(), ReadError> {
        let everything = Mark { number: u64::MAX, offset: u64::MAX, position: u64::MAX, seq };
        while self.next_seq < seq {
            if self.next_reported(everything)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn next_reported(&mut self, until: Mark) -> Result<Option<Vec<u8>>, ReadError> {
        loop {
            if self.current.is_none() {
                self.seek(self.next_seq)?;
            }
            let expected = self.next_seq;
            let Some(current) = &mut self.current else { return Ok(None) };
            if (current.number, current.scan.offset()) >= (until.number, until.offset) {
                return Ok(None);
            }
            let number = current.number;
            let step = current.scan.next(&current.file);
            match step.map_err(|source| ReadError::Io { folder: self.folder.clone(), source })? {
                Step::Record(frame) if !frame.kind.is_reported() => self.position += frame.len() as u64,
                Step::Record(frame) if frame.seq == expected => {
                    self.position += frame.len() as u64;
                    self.next_seq += 1;
                    return Ok(Some(frame.body.to_vec()));
                }
                Step::End if number < until.number => {
                    if !self.go_on(number + 1)? {
                        return Ok(None);
                    }
                }
                Step::End => return Ok(None),
                Step::Record(_) | Step::Bad => {
                    return Err(ReadError::Damaged { folder: self.folder.clone(), segment: number });
                }
            }
        }
    }

    /// Moves to the next segment; `false` when there is none.
    fn go_on(&mut self, number: u64) -> Result<bool, ReadError> {
        if !self.disk.is_there(&segment::path_of(&self.folder, number)) {
            return Ok(false);
        }
        let (file, header) = self.open(number)?;
        if header.first_seq != self.next_seq {
            return Err(ReadError::Damaged { folder: self.folder.clone(), segment: number });
        }
        self.current = Some(Current { number, file, scan: Scan::at(FIRST_RECORD) });
        Ok(true)
    }

    fn open(&self, number: u64) -> Result<(D::File, Header), ReadError> {
        let file = self.disk.open(&segment::path_of(&self.folder, number)).map_err(|error| self.io(error))?;
        let header = Header::of(&file).map_err(|error| self.io(error))?;
        let header = header.ok_or_else(|| ReadError::Damaged { folder: self.folder.clone(), segment: number })?;
        Ok((file, header))
    }

    fn io(&self, source: io::Error) -> ReadError {
        ReadError::Io { folder: self.folder.clone(), source }
    }
}
