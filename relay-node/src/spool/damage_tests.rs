//! Damage to the log of an earlier life: whatever the disk does, no number is used twice and no request is charged twice.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use sluice_domain::{AccountId, Outcome, Quota, UserId};

use super::cursor::{Cursor, CursorFile};
use super::segment::Header;
use super::tests::{LIMITS, World, begin, copy_and_stop, done, record};
use super::*;

const REQUESTS: usize = 400;

/// What a life wrote: its files, its records in order, and the requests it left open.
struct Life {
    segments: Vec<(u64, Vec<u8>)>,
    records: Vec<Vec<u8>>,
    open: BTreeSet<String>,
}

impl Life {
    async fn lived() -> Self {
        let world = World::new();
        let spool = world.open(1);
        let held = HeldLease {
            lease: LeaseId::new(9),
            account: AccountId::new(1),
            granted: Quota::clamped(1_000_000),
            free: Quota::clamped(1_000_000),
            reserved: Quota::ZERO,
            charged: Quota::ZERO,
            returned: Quota::ZERO,
            expires_at: 1_000_000,
        };
        spool.note_lease(UserId::new(7), &held);
        let mut open = Vec::new();
        for number in 0..REQUESTS {
            if number % 25 == 7 {
                let mut begun = begin(&spool, number);
                begun.progress(&Usage { output: 3, ..Usage::default() });
                open.push((number, begun));
            } else {
                done(&spool, number);
            }
            // a long one: its intent is far before its end
            if number % 50 == 20
                && let Some((long, begun)) = open.pop()
            {
                begun.finish(record(long, Outcome::Completed));
            }
        }
        spool.flush().await;
        let mut log = spool.current();
        let mut records = Vec::new();
        while let Some(batch) = log.next_batch(LIMITS).unwrap() {
            records.extend(batch.records);
        }
        let names: BTreeSet<_> = open.iter().map(|(number, _)| format!("request-{number}")).collect();
        std::mem::forget(open);
        drop(log);
        copy_and_stop(&world, spool);
        let folder = segment::epoch_folder(world.folder.path(), Epoch(1));
        let numbers = segment::numbers(&SystemDisk, &folder).unwrap();
        let read = |number: u64| {
            let mut bytes = fs::read(segment::path_of(&folder, number)).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            bytes.truncate(used + 64);
            (number, bytes)
        };
        let segments: Vec<_> = numbers.into_iter().map(read).collect();
        assert!(segments.len() > 2 && names.len() > 2, "{} segments, {} open", segments.len(), names.len());
        Self { segments, records, open: names }
    }

    fn written(&self) -> u64 {
        self.records.len() as u64
    }

    /// The files of it in another folder, of which so much was acknowledged. Whether whoever looks there
    /// can see that something is missing, and up to which number records must have been there.
    fn put(&self, folder: &Path, case: &Case) -> (bool, u64) {
        let epoch = segment::epoch_folder(folder, Epoch(1));
        fs::create_dir_all(&epoch).unwrap();
        let cursor = Cursor { acked_below: case.acked(self), ended_at: None };
        CursorFile::open(&SystemDisk, &epoch).unwrap().store(cursor).unwrap();
        case.cursor.inflict(&epoch.join("cursor"));
        let mut segments = self.segments.clone();
        let second = Header::from_bytes(&segments[1].1).unwrap();
        if case.lets_go && second.first_seq <= cursor.acked_below && segments.len() > 3 {
            segments.remove(0);
        }
        let known = if matches!(case.cursor, CursorDamage::None) { cursor.acked_below } else { 1 };
        let first_seq = |bytes: &[u8]| Header::from_bytes(bytes).unwrap().first_seq;
        let needed = segments.iter().rposition(|(_, bytes)| first_seq(bytes) <= known).unwrap_or(0);
        let needed = needed.min(segments.len() - 2);
        let shows = case.damage.inflict(&mut segments).is_some_and(|number| number >= needed);
        let reaches = segments.last().and_then(|(_, bytes)| Header::from_bytes(bytes)).map_or(0, |header| header.first_seq);
        for (number, bytes) in segments {
            fs::write(segment::path_of(&epoch, number), bytes).unwrap();
        }
        (shows, reaches)
    }
}

#[derive(Debug, Clone)]
struct Case {
    acked: u64,
    /// Settled, and the answer never came.
    unheard: u64,
    /// The oldest segment is not kept any more, when it need not be.
    lets_go: bool,
    damage: Damage,
    cursor: CursorDamage,
}

impl Case {
    fn acked(&self, life: &Life) -> u64 {
        1 + self.acked % (life.written() + 1)
    }

    /// How far the control plane settled it.
    fn settled_below(&self, life: &Life) -> u64 {
        (self.acked(life) + self.unheard).min(life.written() + 1)
    }
}

#[derive(Debug, Clone)]
enum Damage {
    None,
    Flip(Index, Index, u32),
    Cut(Index, Index),
    Zero(Index, Index, usize),
    Remove(Index),
}

impl Damage {
    fn any() -> impl Strategy<Value = Self> {
        let place = || any::<Index>();
        prop_oneof![
            1 => Just(Self::None),
            4 => (place(), place(), 0..8_u32).prop_map(|(segment, place, bit)| Self::Flip(segment, place, bit)),
            3 => (place(), place()).prop_map(|(segment, place)| Self::Cut(segment, place)),
            4 => (place(), place(), 1..8_192_usize).prop_map(|(segment, place, length)| Self::Zero(segment, place, length)),
            1 => place().prop_map(Self::Remove),
        ]
    }

    /// Where it shows, if it does: something must stand behind it, and a segment that is gone is missed only after another one.
    fn inflict(&self, segments: &mut Vec<(u64, Vec<u8>)>) -> Option<usize> {
        let count = segments.len();
        let (number, from) = match self {
            Self::None => return None,
            Self::Remove(segment) => {
                let number = segment.index(count);
                segments.remove(number);
                return (1..segments.len()).contains(&number).then(|| number - 1);
            }
            Self::Flip(segment, place, _) | Self::Cut(segment, place) | Self::Zero(segment, place, _) => {
                let number = segment.index(count);
                (number, place.index(segments[number].1.len() - 64))
            }
        };
        let bytes = &mut segments[number].1;
        let whole = bytes.clone();
        match self {
            Self::Flip(_, _, bit) => bytes[from] ^= 1 << bit,
            Self::Cut(..) => bytes.truncate(from),
            Self::Zero(_, _, length) => {
                let end = bytes.len().min(from + length);
                bytes[from..end].fill(0);
            }
            _ => {}
        }
        let shows =
            *bytes != whole && (number + 1 < count || bytes.get(from..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0)));
        shows.then_some(number)
    }
}

#[derive(Debug, Clone, Copy)]
enum CursorDamage {
    None,
    Missing,
    Flipped(usize),
}

impl CursorDamage {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![3 => Just(Self::None), 1 => Just(Self::Missing), 1 => (0..20_usize).prop_map(Self::Flipped)]
    }

    fn inflict(self, path: &Path) {
        match self {
            Self::None => {}
            Self::Missing => fs::remove_file(path).unwrap(),
            Self::Flipped(place) => {
                let mut bytes = fs::read(path).unwrap();
                bytes[place] ^= 0x10;
                fs::write(path, bytes).unwrap();
            }
        }
    }
}

/// What a control plane hears of the earlier life that settled it up to here: every record with its number, gone ones without body. Says
/// also which is the oldest that is kept.
fn told(spool: &Spool, settled_below: u64) -> (u64, Vec<(u64, Vec<u8>)>) {
    let mut log = spool.retained().remove(0);
    if log.must_ask() {
        log.settled_below(settled_below).unwrap();
        assert!(!spool.retained()[0].must_ask(), "asked once");
    }
    let mut next = log.acked_below();
    let (mut oldest_kept, mut heard) = (next, Vec::new());
    if let Err(error) = log.seek(next) {
        let ReadError::Gone { wanted, oldest, .. } = error else { panic!("{error}") };
        assert_eq!(wanted, next);
        heard.extend((next..oldest).map(|seq| (seq, Vec::new())));
        (next, oldest_kept) = (oldest, oldest);
        log.seek(next).unwrap();
    }
    while let Some(batch) = log.next_batch(LIMITS).unwrap() {
        assert_eq!(batch.first_seq, next, "numbers have no gap");
        next = batch.next_seq();
        heard.extend((batch.first_seq..).zip(batch.records));
    }
    (oldest_kept, heard)
}

fn request_of(body: &[u8]) -> Option<(String, Outcome)> {
    match usage::decode(body) {
        Ok(Record::Request(request)) => Some((request.request_id.to_string(), request.outcome)),
        _ => None,
    }
}

fn check(life: &Life, case: &Case) -> Result<(), TestCaseError> {
    let world = World::quick();
    let (shows, reaches) = life.put(world.folder.path(), case);
    let settled_below = case.settled_below(life);
    // a life that nobody heard of changes nothing
    let unheard = world.open(2);
    let is_damaged = unheard.0.shared.earlier.lock()[0].lost_bytes > 0;
    prop_assert!(is_damaged || !shows, "what is lost is counted");
    prop_assert!(!shows || unheard.inherited().is_empty(), "a lease of a damaged log was handed on");
    drop(unheard);
    let spool = world.open(3);
    prop_assert!(!shows || spool.inherited().is_empty(), "a lease of a damaged log was handed on to the life after");
    let (oldest_kept, heard) = told(&spool, settled_below);
    drop(spool);

    let original = |seq: u64| life.records.get(usize::try_from(seq - 1).unwrap());
    let mut settled: BTreeSet<String> =
        (1..settled_below).filter_map(original).filter_map(|body| request_of(body)).map(|(request, _)| request).collect();
    let (mut next, mut is_prefix) = (settled_below, true);
    for (seq, body) in &heard {
        let is_original = original(*seq) == Some(body);
        is_prefix &= is_original || *seq < oldest_kept;
        if *seq < settled_below {
            prop_assert!(is_original || body.is_empty(), "{seq} was settled as another record, and this one is dropped");
            continue;
        }
        prop_assert_eq!(*seq, next, "there is a gap");
        next += 1;
        prop_assert!(is_original == is_prefix || body.is_empty(), "{} is behind the damage", seq);
        let Some((request, outcome)) = request_of(body) else { continue };
        prop_assert!(is_original || outcome == Outcome::Orphaned, "{request} is invented");
        // the control plane knows an orphan that it settled, and drops it
        let is_new = settled.insert(request) || outcome == Outcome::Orphaned;
        prop_assert!(is_new, "it is charged twice");
    }
    prop_assert!(!shows || next >= reaches, "records below {reaches} are neither told nor told as gone, but for {next}");
    if matches!(case.damage, Damage::None) {
        let all = life.open.len() + life.records.len();
        prop_assert_eq!(settled.len(), all, "nothing is damaged, and something is not paid");
    }
    let again = told(&world.open(4), settled_below).1;
    prop_assert_eq!(again, heard, "the life after tells something else");
    Ok(())
}

#[tokio::test]
async fn whatever_is_damaged_no_number_is_used_twice_and_nobody_pays_twice() {
    let life = Life::lived().await;
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    let cases = (any::<u64>(), 0..40_u64, any::<bool>(), Damage::any(), CursorDamage::any());
    let cases = cases.prop_map(|(acked, unheard, lets_go, damage, cursor)| Case { acked, unheard, lets_go, damage, cursor });
    TestRunner::new(config).run(&cases, |case| check(&life, &case)).unwrap();
}

#[tokio::test]
async fn damage_to_a_life_that_is_over_changes_nothing() {
    let life = Life::lived().await;
    let world = World::quick();
    let whole = Case { acked: 0, unheard: 0, lets_go: false, damage: Damage::None, cursor: CursorDamage::None };
    life.put(world.folder.path(), &whole);
    let spool = world.open(2);
    let mut log = spool.earlier().remove(0);
    log.settled_below(1).unwrap();
    log.ended();
    let end = log.end_seq();
    drop((spool, log));
    let folder = segment::epoch_folder(world.folder.path(), Epoch(1));
    let last = segment::path_of(&folder, *segment::numbers(&SystemDisk, &folder).unwrap().last().unwrap());
    let bytes = fs::read(&last).unwrap();
    fs::write(last, &bytes[..bytes.len() / 2]).unwrap();
    for epoch in 3..5 {
        let spool = world.open(epoch);
        assert!(spool.earlier().iter().all(|log| log.epoch() != Epoch(1)), "nothing of it is told again");
        let kept = spool.retained().remove(0);
        assert_eq!((kept.end_seq(), kept.acked_below()), (end, end));
    }
}
