//! One record on disk: `length(4) checksum(4) kind(1) open(8) seq(8) body`, little endian.
//!
//! The checksum covers everything but itself. It is CRC-32 as `crc32fast` computes it (IEEE 802.3), which finds every error burst up
//! to 32 bits and every one to three flipped bits in a record of our size. Segments are preallocated with zeros, so a zero header is
//! the end of what was written.

/// Bytes before the body.
pub(super) const HEADER_BYTES: usize = 25;
/// The largest body. A record is a few hundred bytes; a length beyond this is damage, not data.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;
/// The encoded form of the progress of a request.
pub(super) const PROGRESS_BYTES: usize = 72;

/// What a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A request is about to be sent upstream.
    Intent,
    /// What a request consumed so far.
    Progress,
    /// A request ended. Has a sequence number.
    Final,
    /// A lease is used no more. Has a sequence number.
    LeaseClose,
    /// A running request has set more aside than its intent says.
    Hold,
    /// How a lease stands.
    Lease,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Intent => 1,
            Self::Progress => 2,
            Self::Final => 3,
            Self::LeaseClose => 4,
            Self::Hold => 5,
            Self::Lease => 6,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Intent),
            2 => Some(Self::Progress),
            3 => Some(Self::Final),
            4 => Some(Self::LeaseClose),
            5 => Some(Self::Hold),
            6 => Some(Self::Lease),
            _ => None,
        }
    }

    /// Whether records of this kind are reported, and therefore numbered.
    pub(super) const fn is_reported(self) -> bool {
        matches!(self, Self::Final | Self::LeaseClose)
    }
}

/// A record, and which request it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    /// Joins intent, hold, progress and final of one request; 0 where there is no intent.
    pub(super) open: u64,
    /// Number in the report; 0 where it is not reported.
    pub(super) seq: u64,
    pub(super) body: &'a [u8],
}

/// What stands at a place of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A whole record.
    Record(Frame<'a>),
    /// Nothing was written from here on.
    End,
    /// Part of a record: more bytes are needed to tell.
    Cut,
    /// Neither: damage.
    Bad,
}

impl<'a> Frame<'a> {
    /// Bytes of the whole record.
    pub(super) const fn len(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }

    /// Appends the record.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let length = u32::try_from(self.body.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.push(self.kind.code());
        out.extend_from_slice(&self.open.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(self.body);
        let sum = checksum(&out[start..]);
        out[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
    }

    /// Reads the record at the beginning of these bytes.
    pub(super) fn read(bytes: &'a [u8]) -> Found<'a> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return if bytes.iter().all(|byte| *byte == 0) { Found::End } else { Found::Cut };
        };
        if header.iter().all(|byte| *byte == 0) {
            return Found::End;
        }
        let length = usize::try_from(u32_at(header, 0)).unwrap_or(usize::MAX);
        if length > MAX_BODY_BYTES {
            return Found::Bad;
        }
        let Some(record) = bytes.get(..HEADER_BYTES + length) else { return Found::Cut };
        match Kind::from_code(header[8]) {
            Some(kind) if checksum(record) == u32_at(header, 4) => {
                Found::Record(Self { kind, open: u64_at(header, 9), seq: u64_at(header, 17), body: &record[HEADER_BYTES..] })
            }
            _ => Found::Bad,
        }
    }
}

fn checksum(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record[..4]);
    hasher.update(&record[8..]);
    hasher.finalize()
}

fn u32_at(header: &[u8; HEADER_BYTES], place: usize) -> u32 {
    header[place..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(header: &[u8; HEADER_BYTES], place: usize) -> u64 {
    header[place..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Progress as it stands on disk: the counters in the order of `Usage`.
pub(super) fn encode_progress(usage: &sluice_domain::Usage) -> [u8; PROGRESS_BYTES] {
    let counters = [
        usage.input,
        usage.output,
        usage.reasoning,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.image_input,
        usage.audio_input,
        usage.audio_output,
    ];
    let mut bytes = [0; PROGRESS_BYTES];
    for (place, counter) in bytes.chunks_exact_mut(8).zip(counters) {
        place.copy_from_slice(&counter.to_le_bytes());
    }
    bytes
}

/// Reads progress back; `None` when the body has another length.
pub(super) fn decode_progress(body: &[u8]) -> Option<sluice_domain::Usage> {
    let bytes: &[u8; PROGRESS_BYTES] = body.try_into().ok()?;
    let mut counters = bytes.chunks_exact(8).map(|chunk| chunk.try_into().map_or(0, u64::from_le_bytes));
    let mut next = || counters.next().unwrap_or(0);
    Some(sluice_domain::Usage {
        input: next(),
        output: next(),
        reasoning: next(),
        cache_read: next(),
        cache_write_5m: next(),
        cache_write_1h: next(),
        image_input: next(),
        audio_input: next(),
        audio_output: next(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sluice_domain::Usage;

    fn written(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Frame { kind: Kind::Final, open: 3, seq: 7, body }.write(&mut out);
        out
    }

    #[test]
    fn progress_reads_back() {
        let usage = Usage {
            input: 1,
            output: 2,
            reasoning: 3,
            cache_read: 4,
            cache_write_5m: 5,
            cache_write_1h: 6,
            image_input: 7,
            audio_input: 8,
            audio_output: u64::MAX,
        };
        assert_eq!(decode_progress(&encode_progress(&usage)), Some(usage));
        assert_eq!(decode_progress(&[0; 71]), None);
    }

    #[test]
    fn zeros_are_the_end_however_few() {
        for length in 0..100 {
            assert_eq!(Frame::read(&vec![0; length]), Found::End);
        }
    }

    proptest! {
        #[test]
        fn a_record_reads_back_and_a_cut_one_never_does(body in proptest::collection::vec(any::<u8>(), 0..400), rest in any::<[u8; 8]>()) {
            let bytes = written(&body);
            let whole = [&bytes[..], &rest].concat();
            prop_assert_eq!(Frame::read(&whole), Found::Record(Frame { kind: Kind::Final, open: 3, seq: 7, body: &body }));
            for cut in 0..bytes.len() {
                let is_record = matches!(Frame::read(&bytes[..cut]), Found::Record(_));
                prop_assert!(!is_record, "cut at {cut}");
            }
        }

        #[test]
        fn a_flipped_bit_is_never_a_record(body in proptest::collection::vec(any::<u8>(), 0..400), at in any::<prop::sample::Index>()) {
            let mut bytes = written(&body);
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes.extend([0; 64]);
            let is_record = matches!(Frame::read(&bytes), Found::Record(_));
            prop_assert!(!is_record, "bit {bit}");
        }
    }
}
