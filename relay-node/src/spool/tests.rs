use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use sluice_domain::{
    AccountId, Attempt, ChannelId, ChannelKeyId, Dialect, GroupName, LeaseCharge, ModelName, Now, Outcome, Quota, RequestId,
    TokenId, UnixMillis, UserId,
};
use sluice_telemetry::metrics::Registry;

use super::segment::Header;
use super::*;
use crate::metrics::Metrics;

pub(super) const LIMITS: BatchLimits = BatchLimits { records: 500, bytes: 256 * 1024 };
const WAIT: Duration = Duration::from_secs(20);

pub(super) fn settings() -> SpoolSettings {
    SpoolSettings {
        segment_bytes: 64 * 1024,
        max_bytes: 1 << 20,
        sync_interval: Duration::from_millis(1),
        ..SpoolSettings::default()
    }
}

/// A folder, and a clock that stands still until it is set.
pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) millis: Arc<AtomicU64>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    fn at(folder: tempfile::TempDir) -> Self {
        Self { folder, millis: Arc::new(AtomicU64::new(1_000)) }
    }

    /// The same in memory where the system offers it: for tests that recover thousands of times.
    pub(super) fn quick() -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self::at(folder.unwrap())
    }

    pub(super) fn open_with(&self, epoch: i64, settings: SpoolSettings) -> Result<Spool, SpoolError> {
        let millis = Arc::clone(&self.millis);
        let clock = Clock::new(move || {
            let boot_millis = millis.load(Ordering::Relaxed);
            Now { wall: UnixMillis(i64::try_from(boot_millis).unwrap()), boot_millis }
        });
        Spool::open(self.folder.path(), Epoch(epoch), settings, clock, Metrics::declare(&Registry::new()).spool)
    }

    pub(super) fn open(&self, epoch: i64) -> Spool {
        self.open_with(epoch, settings()).unwrap()
    }
}

pub(super) fn record(number: usize, outcome: Outcome) -> RequestRecord {
    RequestRecord {
        request_id: RequestId::parse(&format!("request-{number}")).unwrap(),
        user_id: UserId::new(1),
        token_id: TokenId::new(2),
        charges: vec![LeaseCharge { lease_id: LeaseId::new(9), account_id: AccountId::new(1), amount: Quota::clamped(50) }],
        quota: Quota::clamped(50),
        held: Quota::clamped(100),
        config_lineage: "lineage".into(),
        config_seq: 3,
        model: ModelName::parse("gpt-4o").unwrap(),
        upstream_model: "gpt-4o".into(),
        group: GroupName::parse("default").unwrap(),
        channel_id: Some(ChannelId::new(1)),
        usage: Usage { input: 10, output: 20, ..Usage::default() },
        usage_estimated: false,
        outcome,
        error_code: String::new(),
        status: 200,
        dialect: Dialect::OpenAi,
        path: "/v1/chat/completions".into(),
        stream: true,
        started_at: UnixMillis(5),
        total_millis: 7,
        first_byte_millis: Some(3),
        attempts: vec![],
        client_ip: "192.0.2.1".into(),
        upstream_request_id: String::new(),
        output_limit: None,
    }
}

/// Takes a permit. Segments here are tiny, so the next one may have to be waited for.
pub(super) fn permit(spool: &Spool) -> Permit {
    let deadline = std::time::Instant::now() + WAIT;
    loop {
        match spool.permit() {
            Ok(permit) => return permit,
            Err(SpoolFull) => assert!(std::time::Instant::now() < deadline, "the spool stays full"),
        }
        std::thread::yield_now();
    }
}

pub(super) fn begin(spool: &Spool, number: usize) -> OpenRecord {
    permit(spool).open(&record(number, Outcome::Orphaned)).unwrap()
}

pub(super) fn done(spool: &Spool, number: usize) {
    begin(spool, number).finish(record(number, Outcome::Completed));
}

/// What a log tells, as `(request, outcome, output tokens)`; closings as the number of their lease.
fn told(bodies: &[Vec<u8>]) -> Vec<(String, &'static str, u64)> {
    let tell = |body: &Vec<u8>| match usage::decode(body).unwrap() {
        Record::Request(request) => (request.request_id.to_string(), request.outcome.as_str(), request.usage.output),
        Record::LeaseClosed(lease) => (lease.to_string(), "closed", 0),
    };
    bodies.iter().map(tell).collect()
}

fn read_earlier(spool: &Spool) -> Vec<(String, &'static str, u64)> {
    let mut all = Vec::new();
    for mut log in spool.earlier() {
        let mut next = log.acked_below();
        log.seek(next).unwrap();
        while let Some(batch) = log.next_batch(LIMITS).unwrap() {
            assert_eq!(batch.first_seq, next, "sequences have no gap");
            next = batch.next_seq();
            all.extend(batch.records);
        }
        assert_eq!(next, log.end_seq());
    }
    told(&all)
}

async fn read_current(spool: &Spool) -> Vec<(String, &'static str, u64)> {
    spool.flush().await;
    let mut log = spool.current();
    log.seek(log.acked_below()).unwrap();
    let mut all = Vec::new();
    while let Some(batch) = log.next_batch(LIMITS).unwrap() {
        all.extend(batch.records);
    }
    told(&all)
}

#[tokio::test]
async fn finals_and_closings_are_reported_in_order_and_intents_are_not() {
    let world = World::new();
    let spool = world.open(1);
    let mut open = begin(&spool, 1);
    open.progress(&Usage { output: 5, ..Usage::default() });
    done(&spool, 2);
    open.finish(record(1, Outcome::Completed));
    spool.close_lease(LeaseId::new(9));
    let expected =
        [("request-2".to_owned(), "completed", 20), ("request-1".to_owned(), "completed", 20), ("9".to_owned(), "closed", 0)];
    assert_eq!(read_current(&spool).await, expected);
    drop(spool);
    assert_eq!(read_earlier(&world.open(2)), expected);
}

#[test]
fn a_request_that_was_cut_off_is_settled_at_its_last_progress_and_only_once() {
    let world = World::new();
    let spool = world.open(1);
    done(&spool, 1);
    let mut open = begin(&spool, 2);
    for output in [100, 200] {
        open.progress(&Usage { output, ..Usage::default() });
    }
    let never_progressed = begin(&spool, 3);
    // as a process that is killed: nothing runs, nothing is dropped
    std::mem::forget((open, never_progressed));
    copy_and_stop(&world, spool);
    let expected =
        [("request-1".into(), "completed", 20), ("request-2".into(), "orphaned", 200), ("request-3".into(), "orphaned", 0)];
    assert_eq!(read_earlier(&world.open(2)), expected);
    assert_eq!(read_earlier(&world.open(3)), expected, "recovering again changes nothing");
}

/// Ends a spool whose open records must not be dropped. The handles they hold keep it and its lock alive, so the next life gets a copy.
pub(super) fn copy_and_stop(world: &World, spool: Spool) {
    spool.0.shared.stop();
    while !spool.0.syncing.as_ref().unwrap().is_finished() {
        std::thread::yield_now();
    }
    let copy = tempfile::tempdir().unwrap();
    copy_folder(world.folder.path(), copy.path());
    std::mem::forget(spool);
    fs::remove_dir_all(world.folder.path()).unwrap();
    copy_folder(copy.path(), world.folder.path());
}

/// What the life after would find of leases in a copy of a spool, without disturbing who writes there.
pub(super) fn left_in(folder: &Path, wall_millis: u64) -> Vec<Inherited> {
    let world = World::new();
    world.millis.store(wall_millis, Ordering::Relaxed);
    copy_folder(folder, world.folder.path());
    let spool = world.open(Spool::newest_epoch(folder).unwrap().unwrap().0 + 1);
    spool.inherited().to_vec()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_record_that_is_dropped_unfinished_is_orphaned_at_its_last_progress() {
    let world = World::new();
    let spool = world.open(1);
    let mut open = begin(&spool, 1);
    open.progress(&Usage { output: 7, ..Usage::default() });
    drop(open);
    assert_eq!(read_current(&spool).await, [("request-1".into(), "orphaned", 7)]);
}

#[test]
fn an_orphan_names_what_was_set_aside_for_it_and_no_price() {
    let world = World::new();
    let spool = world.open(1);
    drop(begin(&spool, 1));
    drop(spool);
    let spool = world.open(2);
    let mut log = spool.earlier().remove(0);
    let batch = log.next_batch(LIMITS).unwrap().unwrap();
    let Record::Request(request) = usage::decode(&batch.records[0]).unwrap() else { panic!("not a request") };
    assert_eq!(request.charges.len(), 1);
    assert_eq!(
        (request.charges[0].lease_id, request.charges[0].amount, request.quota),
        (LeaseId::new(9), Quota::clamped(50), Quota::ZERO)
    );
}

#[test]
fn a_request_stays_open_over_many_segments_and_old_ones_are_not_needed_for_it() {
    let world = World::new();
    let spool = world.open(1);
    let mut open = begin(&spool, 0);
    open.progress(&Usage { output: 11, ..Usage::default() });
    for number in 1..2_000 {
        done(&spool, number);
    }
    std::mem::forget(open);
    copy_and_stop(&world, spool);
    let folder = segment::epoch_folder(world.folder.path(), Epoch(1));
    let numbers = segment::numbers(&SystemDisk, &folder).unwrap();
    assert!(numbers.len() > 5, "{numbers:?}");
    let (last_two, others) = (&numbers[numbers.len() - 2..], &numbers[..numbers.len() - 2]);
    let first_seq = Header::of(&File::open(segment::path_of(&folder, last_two[0])).unwrap()).unwrap().unwrap().first_seq;
    cursor::CursorFile::open(&SystemDisk, &folder)
        .unwrap()
        .store(cursor::Cursor { acked_below: first_seq, ended_at: None })
        .unwrap();
    for number in others {
        fs::remove_file(segment::path_of(&folder, *number)).unwrap();
    }
    let told = read_earlier(&world.open(2));
    assert_eq!(told.last(), Some(&("request-0".into(), "orphaned", 11)));
    assert_eq!(told.iter().filter(|(_, outcome, _)| *outcome == "orphaned").count(), 1);
}

#[tokio::test]
async fn a_log_can_be_read_again_from_any_record() {
    let world = World::new();
    let spool = world.open(1);
    (0..1_000).for_each(|number| done(&spool, number));
    spool.flush().await;
    let mut log = spool.current();
    for seq in [700, 1, 999, 350, 1_000, 2] {
        log.seek(seq).unwrap();
        let batch = log.next_batch(BatchLimits { records: 1, bytes: 1 }).unwrap().unwrap();
        assert_eq!((batch.first_seq, batch.records.len()), (seq, 1));
        assert_eq!(told(&batch.records)[0].0, format!("request-{}", seq - 1));
    }
    log.seek(1_001).unwrap();
    assert_eq!(log.next_batch(LIMITS).unwrap(), None);
}

#[tokio::test]
async fn unreported_records_fill_the_spool_and_an_acknowledgement_makes_room() {
    let world = World::new();
    let spool = world.open_with(1, SpoolSettings { max_bytes: 256 * 1024, ..settings() }).unwrap();
    let mut count = 0;
    while let Ok(permit) = spool.permit() {
        permit.finish(record(count, Outcome::Failed));
        count += 1;
        if count % 100 == 0 {
            spool.flush().await;
        }
    }
    assert!((300..1_500).contains(&count), "{count} records until full");
    assert!(spool.is_writable());
    spool.flush().await;
    let mut log = spool.current();
    while let Some(batch) = log.next_batch(LIMITS).unwrap() {
        log.acked(&batch);
    }
    assert!(log.is_settled());
    assert_eq!(spool.unacked_bytes(), 0);
    assert!(spool.permit().is_ok());
}

#[tokio::test]
async fn what_was_admitted_fits_when_nothing_else_is_admitted_any_more() {
    let world = World::new();
    let spool = world.open(1);
    let mut open = Vec::new();
    while let Ok(permit) = spool.permit() {
        open.push(permit.open(&record(open.len(), Outcome::Orphaned)).unwrap());
    }
    assert!(open.len() > 10, "{} at once", open.len());
    let count = open.len();
    for (number, open) in open.into_iter().enumerate() {
        open.finish(record(number, Outcome::Completed));
    }
    assert!(spool.is_writable());
    assert_eq!(read_current(&spool).await.len(), count);
    assert!(spool.permit().is_ok());
}

#[tokio::test]
async fn settled_segments_go_when_their_space_is_needed() {
    let world = World::new();
    let spool = world.open_with(1, SpoolSettings { max_bytes: 512 * 1024, ..settings() }).unwrap();
    let mut log = spool.current();
    for number in 0..4_000 {
        done(&spool, number);
        if number % 20 == 0 {
            spool.flush().await;
            while let Some(batch) = log.next_batch(LIMITS).unwrap() {
                log.acked(&batch);
            }
        }
    }
    let folder = segment::epoch_folder(world.folder.path(), Epoch(1));
    let most = 512 / 64 + 2;
    until("old segments are gone", || segment::numbers(&SystemDisk, &folder).unwrap().len() <= most).await;
    assert!(matches!(log.seek(1), Err(ReadError::Gone { .. })));
    log.seek(3_999).unwrap();
}

/// Waits for a state, with a deadline.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(WAIT, waiting).await.is_ok(), "{what}");
}

#[tokio::test]
async fn a_disk_that_refuses_closes_the_door_and_loses_nothing() {
    let world = World::new();
    let spool = world.open(1);
    let folder = segment::epoch_folder(world.folder.path(), Epoch(1));
    let away = world.folder.path().join("away");
    let open: Vec<_> = (0..10).map(|number| begin(&spool, number)).collect();
    fs::rename(&folder, &away).unwrap();
    // the segment at hand fills up, and the next one cannot be made
    let mut number = 10;
    while spool.is_writable() {
        spool.0.shared.finish(0, encode(Cow::Owned(record(number, Outcome::Completed))), writer::Charges::new());
        number += 1;
    }
    assert_eq!(spool.permit().unwrap_err(), SpoolFull);
    for (done, open) in open.into_iter().enumerate() {
        open.finish(record(done, Outcome::Completed));
    }
    fs::rename(&away, &folder).unwrap();
    until("the spool can be written again", || spool.is_writable() && spool.permit().is_ok()).await;
    let told = read_current(&spool).await;
    let expected: Vec<String> = (10..number).chain(0..10).map(|number| format!("request-{number}")).collect();
    assert_eq!(told.into_iter().map(|(request, ..)| request).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn on_a_full_disk_notes_leave_the_room_of_final_records_alone() {
    let world = World::new();
    let spool = world.open(1);
    let folder = segment::epoch_folder(world.folder.path(), Epoch(1));
    until("there is a spare", || spool.0.shared.bench.lock().writer.has_spare()).await;
    // no further segment can be made: folders stand where their files would be
    let blocks = [segment::DRAFT_NAME, segment::SPARE_NAME].map(|name| folder.join(name));
    fs::create_dir(&blocks[0]).unwrap();
    let mut number = 10;
    while spool.0.shared.bench.lock().writer.has_spare() {
        spool.0.shared.finish(0, encode(Cow::Owned(record(number, Outcome::Completed))), writer::Charges::new());
        number += 1;
    }
    fs::create_dir(&blocks[1]).unwrap();
    let mut open: Vec<_> = (0..10).map(|number| begin(&spool, number)).collect();
    for output in 0..1_000 {
        for open in &mut open {
            open.progress(&Usage { output, ..Usage::default() });
        }
    }
    for (done, open) in open.into_iter().enumerate() {
        open.finish(record(done, Outcome::Completed));
    }
    assert!(spool.is_writable(), "every final record found its room");
    for block in &blocks {
        fs::remove_dir(block).unwrap();
    }
    let told = read_current(&spool).await;
    assert_eq!(told.len(), number, "{told:?}");
}

#[test]
fn a_folder_has_one_spool_and_a_bad_folder_is_named() {
    let world = World::new();
    let _spool = world.open(1);
    assert!(matches!(world.open_with(2, settings()), Err(SpoolError::InUse { .. })));
    let file = world.folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let clock = Clock::new(|| Now { wall: UnixMillis(0), boot_millis: 0 });
    let metrics = Metrics::declare(&Registry::new()).spool;
    let error = Spool::open(&file, Epoch(1), settings(), clock, metrics).unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[test]
fn an_epoch_that_ended_is_not_reported_again_and_goes_after_a_day() {
    let world = World::new();
    let spool = world.open(1);
    done(&spool, 1);
    let folder = segment::epoch_folder(world.folder.path(), Epoch(1));
    drop(spool);
    let spool = world.open(2);
    let mut log = spool.earlier().remove(0);
    log.ended();
    assert!(spool.earlier().is_empty());
    assert!(folder.exists());
    drop((spool, log));
    world.millis.fetch_add(24 * 3_600_000, Ordering::Relaxed);
    let spool = world.open(3);
    assert!(!folder.exists());
    assert_eq!(spool.earlier().len(), 1, "epoch 2 was not ended");
}

#[tokio::test]
async fn of_an_earlier_epoch_only_what_is_not_acknowledged_fills_the_spool() {
    let world = World::new();
    let spool = world.open(1);
    (0..1_000).for_each(|number| done(&spool, number));
    drop(spool);
    let spool = world.open(2);
    let all = spool.unacked_bytes();
    let mut log = spool.earlier().remove(0);
    for _ in 0..2 {
        let batch = log.next_batch(BatchLimits { records: 250, bytes: usize::MAX }).unwrap().unwrap();
        log.acked(&batch);
    }
    let half = spool.unacked_bytes();
    assert!((all * 4 / 10..all * 6 / 10).contains(&half), "{half} of {all}");
    drop((spool, log));
    let spool = world.open(3);
    assert!((half..half + 2 * settings().segment_bytes).contains(&spool.unacked_bytes()), "{} of {half}", spool.unacked_bytes());
    let mut log = spool.earlier().remove(0);
    log.ended();
    assert!(log.has_ended());
    assert_eq!(spool.unacked_bytes(), 0);
}

#[tokio::test]
async fn settled_epochs_go_when_their_room_is_needed() {
    let world = World::new();
    let folders: Vec<PathBuf> = (1..=3).map(|epoch| segment::epoch_folder(world.folder.path(), Epoch(epoch))).collect();
    let spool = world.open(1);
    (0..800).for_each(|number| done(&spool, number));
    drop(spool);
    let spool = world.open(2);
    spool.earlier().remove(0).ended();
    (0..800).for_each(|number| done(&spool, number));
    drop(spool);
    let spool = world.open_with(3, SpoolSettings { max_bytes: 768 * 1024, ..settings() }).unwrap();
    assert_eq!(spool.retained().len(), 2);
    let mut log = spool.current();
    for number in 0..800 {
        done(&spool, number);
        if number % 20 == 0 {
            spool.flush().await;
            while let Some(batch) = log.next_batch(LIMITS).unwrap() {
                log.acked(&batch);
            }
        }
    }
    until("the settled one is gone", || !folders[0].exists()).await;
    assert!(folders[1].exists(), "what is not settled stays, whatever room it takes");
    assert_eq!(spool.retained().len(), 1);
}

#[test]
fn the_history_is_kept_over_lives() {
    let world = World::new();
    let spool = world.open(1);
    assert_eq!(spool.history(), None);
    spool.note_history("first").unwrap();
    assert_eq!(spool.history().as_deref(), Some("first"));
    drop(spool);
    assert_eq!(world.open(2).history().as_deref(), Some("first"));
}

#[test]
fn an_absurdly_long_record_loses_detail_and_no_figures() {
    let mut long = record(1, Outcome::Failed);
    long.path = "é".repeat(100_000);
    long.attempts = vec![
        Attempt {
            channel_id: ChannelId::new(1),
            channel_key_id: ChannelKeyId::new(1),
            status: 500,
            error: "x".repeat(5_000),
            millis: 1
        };
        500
    ];
    let body = encode(Cow::Borrowed(&long));
    assert!(body.len() < frame::MAX_BODY_BYTES);
    let Record::Request(short) = usage::decode(&body).unwrap() else { panic!("not a request") };
    assert_eq!((short.quota, &short.charges, short.usage), (long.quota, &long.charges, long.usage));
}

/// What a short life writes, in order: the reported ones with their sequence, and the intents.
fn short_life(world: &World) -> (Vec<String>, Vec<u8>, PathBuf) {
    let spool = world.open(1);
    let mut open = Vec::new();
    for number in 0..5 {
        let mut begun = begin(&spool, number);
        begun.progress(&Usage { output: 3, ..Usage::default() });
        if number % 2 == 0 {
            begun.finish(record(number, Outcome::Completed));
        } else {
            open.push(begun);
        }
        if number % 3 == 0 {
            spool.close_lease(LeaseId::new(i64::try_from(number).unwrap()));
        }
    }
    std::mem::forget(open);
    copy_and_stop(world, spool);
    let path = segment::path_of(&segment::epoch_folder(world.folder.path(), Epoch(1)), 1);
    let bytes = fs::read(&path).unwrap();
    let world = World::new();
    let folder = segment::epoch_folder(world.folder.path(), Epoch(1));
    fs::create_dir_all(&folder).unwrap();
    fs::write(segment::path_of(&folder, 1), &bytes).unwrap();
    let written = read_earlier(&world.open(2)).into_iter().map(|(what, outcome, _)| format!("{what} {outcome}")).collect();
    (written, bytes, path)
}

fn recover_first(world: &World) -> recover::Left {
    let mut leases = leases::LeftLeases::default();
    recover::recover(&SystemDisk, world.folder.path(), Epoch(1), CrashBilling::Progress, &mut leases).unwrap()
}

/// Recovers a damaged segment and checks: what was finished comes back as a prefix, everything else as an orphan, nothing twice,
/// nothing that was never written.
fn check_recovery(damaged: &[u8], written: &[String], twice: bool) -> Result<(), TestCaseError> {
    let world = World::quick();
    let folder = segment::epoch_folder(world.folder.path(), Epoch(1));
    fs::create_dir_all(&folder).unwrap();
    fs::write(segment::path_of(&folder, 1), damaged).unwrap();
    let left = recover_first(&world);
    if twice {
        let again = recover_first(&world);
        prop_assert_eq!(left.end, again.end, "recovering again changes nothing");
    }
    let mut reader = reader::Reader::new(SystemDisk, folder);
    let mut bodies = Vec::new();
    while let Some(batch) = reader.next_batch(left.end, LIMITS).unwrap() {
        bodies.extend(batch.records);
    }
    let recovered: Vec<String> = told(&bodies).into_iter().map(|(what, outcome, _)| format!("{what} {outcome}")).collect();
    let finished: Vec<&String> = written.iter().filter(|line| !line.ends_with("orphaned")).collect();
    let kept = recovered.iter().zip(&finished).take_while(|(one, other)| one == *other).count();
    for orphan in &recovered[kept..] {
        let request = orphan.strip_suffix(" orphaned");
        prop_assert!(request.is_some(), "{orphan} is out of order");
        let was_written = written.iter().any(|line| line.split(' ').next() == request);
        prop_assert!(was_written, "{orphan} was invented");
    }
    let mut requests: Vec<&str> = recovered.iter().filter_map(|line| line.split(' ').next()).collect();
    let count = requests.len();
    requests.sort_unstable();
    requests.dedup();
    prop_assert_eq!(requests.len(), count, "something came twice");
    Ok(())
}

#[test]
fn a_spool_cut_at_any_byte_recovers_a_prefix() {
    let world = World::new();
    let (written, bytes, _) = short_life(&world);
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // every byte of the last records, where a crash cuts, and a third of the rest
    for cut in (0..used).filter(|cut| used - cut < 700 || cut % 3 == 0) {
        check_recovery(&bytes[..cut], &written, cut % 16 == 0).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        if cut % 35 == 0 {
            let zeroed = [&bytes[..cut], &vec![0; used - cut]].concat();
            check_recovery(&zeroed, &written, false).unwrap_or_else(|error| panic!("zeros from {cut}: {error}"));
        }
    }
}

#[test]
fn a_spool_with_flipped_bits_recovers_a_prefix() {
    let world = World::new();
    let (written, bytes, _) = short_life(&world);
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let config = ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let flips = proptest::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 1..4);
    let outcome = runner.run(&flips, |flips| {
        let mut damaged = bytes[..used + 100].to_vec();
        for (place, bit) in flips {
            damaged[place.index(used)] ^= 1 << bit;
        }
        check_recovery(&damaged, &written, true)
    });
    outcome.unwrap();
}
