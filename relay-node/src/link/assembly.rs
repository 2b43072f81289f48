//! Puts the chunks of a snapshot together.

use sluice_rpc::{SNAPSHOT_CHUNK_BYTES, pb};

/// The largest snapshot that is taken, in bytes. Ten thousand channels are about 20 MB.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// Chunks gathered so far.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    version: Option<pb::Version>,
    crc: u32,
    chunks: u32,
    next: u32,
    bytes: Vec<u8>,
    /// A chunk did not fit: the rest of that snapshot is passed over, so that it is refused once.
    is_skipping: bool,
}

/// A snapshot, put together.
#[derive(Debug, PartialEq)]
pub(super) struct Assembled {
    pub(super) version: pb::Version,
    pub(super) bytes: Vec<u8>,
}

impl Assembly {
    /// Takes in a chunk; gives the snapshot with its last one. The first chunk of another snapshot begins anew.
    ///
    /// # Errors
    /// Why the chunk does not fit; what was gathered is dropped.
    pub(super) fn push(&mut self, chunk: pb::SnapshotChunk) -> Result<Option<Assembled>, &'static str> {
        let taken = self.take(chunk);
        if taken.is_err() {
            *self = Self { is_skipping: true, ..Self::default() };
        }
        taken
    }

    fn take(&mut self, chunk: pb::SnapshotChunk) -> Result<Option<Assembled>, &'static str> {
        let Some(version) = chunk.version else { return Err("a chunk without version") };
        if chunk.chunk == 0 {
            *self = Self { version: Some(version), crc: chunk.crc, chunks: chunk.chunks, ..Self::default() };
        } else if self.is_skipping {
            return Ok(None);
        } else if self.version.as_ref() != Some(&version) || self.crc != chunk.crc || self.chunks != chunk.chunks {
            return Err("a chunk of another snapshot");
        }
        if chunk.chunk != self.next || chunk.chunk >= self.chunks {
            return Err("a chunk out of order");
        }
        if chunk.bytes.len() > SNAPSHOT_CHUNK_BYTES || self.bytes.len() + chunk.bytes.len() > MAX_BYTES {
            return Err("a snapshot that is too large");
        }
        self.bytes.extend_from_slice(&chunk.bytes);
        self.next += 1;
        if self.next < self.chunks {
            return Ok(None);
        }
        let whole = std::mem::take(self);
        if crc32fast::hash(&whole.bytes) != whole.crc {
            return Err("a snapshot with a wrong checksum");
        }
        Ok(whole.version.map(|version| Assembled { version, bytes: whole.bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(seq: i64, parts: &[&[u8]]) -> Vec<pb::SnapshotChunk> {
        let crc = crc32fast::hash(&parts.concat());
        let count = u32::try_from(parts.len()).unwrap();
        let version = Some(pb::Version { lineage: "a".into(), seq });
        (0..count)
            .zip(parts)
            .map(|(chunk, part)| pb::SnapshotChunk {
                version: version.clone(),
                chunk,
                chunks: count,
                bytes: part.to_vec().into(),
                crc,
            })
            .collect()
    }

    #[test]
    fn chunks_in_order_make_the_snapshot() {
        let mut assembly = Assembly::default();
        let mut results: Vec<_> =
            chunks(1, &[b"ab", b"cd", b"e"]).into_iter().map(|chunk| assembly.push(chunk).unwrap()).collect();
        assert_eq!(results.pop().flatten().unwrap().bytes, b"abcde");
        assert!(results.iter().all(Option::is_none));
        assert_eq!(assembly.push(chunks(2, &[b""]).remove(0)).unwrap().unwrap().bytes, b"");
    }

    #[test]
    fn a_snapshot_with_a_chunk_that_does_not_fit_is_refused_once() {
        let mut assembly = Assembly::default();
        let parts = chunks(1, &[b"a", b"b", b"c", b"d"]);
        assembly.push(parts[0].clone()).unwrap();
        assert_eq!(assembly.push(parts[2].clone()), Err("a chunk out of order"));
        assert_eq!(assembly.push(parts[3].clone()), Ok(None));
        let answers: Vec<_> = parts.into_iter().map(|part| assembly.push(part).unwrap()).collect();
        assert_eq!(answers[3].as_ref().unwrap().bytes, b"abcd");
    }

    #[test]
    fn a_missing_foreign_or_damaged_chunk_is_refused_and_the_next_snapshot_still_fits() {
        let mut assembly = Assembly::default();
        let good = chunks(1, &[b"ab", b"cd"]);
        assert!(assembly.push(good[1].clone()).is_err(), "the first chunk is missing");
        assembly.push(good[0].clone()).unwrap();
        assert!(assembly.push(chunks(2, &[b"ab", b"cd"]).remove(1)).is_err(), "of another version");
        assembly.push(good[0].clone()).unwrap();
        let damaged = pb::SnapshotChunk { bytes: b"cx".to_vec().into(), ..good[1].clone() };
        assert_eq!(assembly.push(damaged), Err("a snapshot with a wrong checksum"));
        assembly.push(good[0].clone()).unwrap();
        assembly.push(good[0].clone()).unwrap();
        assert!(assembly.push(good[1].clone()).unwrap().is_some(), "a snapshot may begin anew");
    }
}
