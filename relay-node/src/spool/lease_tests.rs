//! What the next life finds of the leases of earlier ones.

use std::sync::atomic::Ordering;

use sluice_domain::{AccountId, Outcome};

use super::tests::{LIMITS, World, begin, copy_and_stop, done, permit, record, settings};
use super::*;

const BOOT: BootId = [3; 16];
const LIFE: u64 = 600_000;

fn with_boot(boot_id: BootId) -> SpoolSettings {
    SpoolSettings { boot_id, ..settings() }
}

fn held(lease: i64, granted: i64, charged: i64, returned: i64) -> HeldLease {
    HeldLease {
        lease: LeaseId::new(lease),
        account: AccountId::new(1),
        granted: Quota::clamped(granted),
        free: Quota::clamped(granted - charged - returned),
        reserved: Quota::ZERO,
        charged: Quota::clamped(charged),
        returned: Quota::clamped(returned),
        expires_at: 1_000 + LIFE,
    }
}

/// A record that charges lease 9 so much.
fn charging(number: usize, amount: i64, outcome: Outcome) -> RequestRecord {
    let charges = vec![LeaseCharge { lease_id: LeaseId::new(9), account_id: AccountId::new(1), amount: Quota::clamped(amount) }];
    RequestRecord { charges, ..record(number, outcome) }
}

/// Lease, granted, returned, charged, and what is left of its life.
fn inherited(spool: &Spool) -> Vec<(i64, i64, i64, i64, u64)> {
    let tell =
        |left: &Inherited| (left.lease.get(), left.granted.get(), left.returned.get(), left.charged.get(), left.life_millis_left);
    spool.inherited().iter().map(tell).collect()
}

/// The next life goes on with what is left.
fn take_over(spool: &Spool) {
    for left in spool.inherited() {
        let rest = held(left.lease.get(), left.granted.get(), left.charged.get(), left.returned.get());
        spool.note_lease(left.owner, &HeldLease { expires_at: 1_000 + left.life_millis_left, ..rest });
    }
}

#[tokio::test]
async fn notes_of_leases_are_not_owed() {
    let world = World::new();
    let spool = world.open_with(1, with_boot(BOOT)).unwrap();
    spool.note_lease(UserId::new(7), &held(9, 1_000, 0, 0));
    assert_eq!(spool.unacked_bytes(), 0);
    permit(&spool).open(&charging(1, 100, Outcome::Orphaned)).unwrap().finish(charging(1, 70, Outcome::Completed));
    spool.note_lease(UserId::new(7), &held(9, 1_000, 70, 0));
    assert!(spool.unacked_bytes() > 0);
    spool.flush().await;
    let mut log = spool.current();
    let batch = log.next_batch(LIMITS).unwrap().unwrap();
    log.acked(&batch);
    assert_eq!(spool.unacked_bytes(), 0, "the note behind the record holds nothing up");
}

#[test]
fn what_is_left_of_a_lease_is_less_what_was_charged_given_back_and_set_aside() {
    let world = World::new();
    let spool = world.open_with(1, with_boot(BOOT)).unwrap();
    spool.note_lease(UserId::new(7), &held(9, 1_000, 0, 0));
    spool.note_lease(UserId::new(7), &held(10, 50, 0, 0));
    spool.note_lease(UserId::new(7), &held(11, 50, 0, 0));
    spool.note_lease(UserId::new(7), &held(12, 50, 50, 0));
    permit(&spool).open(&charging(1, 100, Outcome::Orphaned)).unwrap().finish(charging(1, 70, Outcome::Completed));
    spool.note_lease(UserId::new(7), &held(9, 1_000, 70, 200));
    permit(&spool).finish(charging(2, 30, Outcome::Failed));
    let cut_off = permit(&spool).open(&charging(3, 100, Outcome::Orphaned)).unwrap();
    let extended = permit(&spool).open(&charging(4, 1, Outcome::Orphaned)).unwrap();
    spool.note_hold(extended.number(), Quota::clamped(40), charging(4, 40, Outcome::Orphaned).charges);
    spool.close_lease(LeaseId::new(10));
    spool.void_lease(LeaseId::new(11));
    std::mem::forget((cut_off, extended));
    copy_and_stop(&world, spool);
    world.millis.store(1_000 + 250, Ordering::Relaxed);

    let spool = world.open_with(2, with_boot(BOOT)).unwrap();
    assert_eq!(inherited(&spool), [(9, 1_000, 200, 70 + 30 + 100 + 40, LIFE - 250)]);
    assert_eq!(spool.inherited()[0].owner, UserId::new(7));
    drop(spool);
    let spool = world.open_with(3, with_boot(BOOT)).unwrap();
    assert_eq!(inherited(&spool), [(9, 1_000, 200, 240, LIFE - 250)], "recovering again finds no more and no less");
}

#[test]
fn each_life_goes_on_from_the_one_before() {
    let world = World::new();
    let spool = world.open(1);
    spool.note_lease(UserId::new(7), &held(9, 1_000, 0, 0));
    permit(&spool).finish(charging(1, 100, Outcome::Completed));
    drop(spool);
    let spool = world.open(2);
    take_over(&spool);
    permit(&spool).finish(charging(2, 10, Outcome::Completed));
    drop(spool);
    let spool = world.open(3);
    assert_eq!(inherited(&spool)[0].3, 110);
    // what is over at the control plane is over, but for what went on in a later life
    for mut log in spool.earlier() {
        if log.epoch() == Epoch(1) {
            log.ended();
        }
    }
    drop(spool);
    let spool = world.open(4);
    assert_eq!(inherited(&spool)[0].3, 110);
    spool.earlier().into_iter().for_each(|mut log| log.ended());
    drop(spool);
    assert_eq!(inherited(&world.open(5)), []);
}

#[test]
fn a_lease_outlives_the_segments_it_was_noted_in() {
    let world = World::new();
    let spool = world.open(1);
    spool.note_lease(UserId::new(7), &held(9, 1_000_000, 0, 0));
    let mut open = permit(&spool).open(&charging(0, 5, Outcome::Orphaned)).unwrap();
    spool.note_hold(open.number(), Quota::clamped(500), charging(0, 500, Outcome::Orphaned).charges);
    open.progress(&Usage { output: 11, ..Usage::default() });
    for number in 1..2_000 {
        permit(&spool).finish(charging(number, 3, Outcome::Completed));
    }
    std::mem::forget(open);
    copy_and_stop(&world, spool);
    let folder = segment::epoch_folder(world.folder.path(), Epoch(1));
    let numbers = segment::numbers(&SystemDisk, &folder).unwrap();
    let (last_two, others) = (&numbers[numbers.len() - 2..], &numbers[..numbers.len() - 2]);
    let header = segment::Header::of(&File::open(segment::path_of(&folder, last_two[0])).unwrap()).unwrap().unwrap();
    let cursor = cursor::Cursor { acked_below: header.first_seq, ended_at: None };
    cursor::CursorFile::open(&SystemDisk, &folder).unwrap().store(cursor).unwrap();
    for number in others {
        fs::remove_file(segment::path_of(&folder, *number)).unwrap();
    }
    assert_eq!(inherited(&world.open(2))[0].3, 3 * 1_999 + 500);
}

#[test]
fn nobody_goes_on_with_leases_that_lost_records_may_have_charged() {
    let world = World::new();
    let spool = world.open(1);
    spool.note_lease(UserId::new(7), &held(9, 1_000, 0, 0));
    permit(&spool).finish(charging(1, 100, Outcome::Completed));
    permit(&spool).finish(charging(2, 100, Outcome::Completed));
    drop(spool);
    let path = segment::path_of(&segment::epoch_folder(world.folder.path(), Epoch(1)), 1);
    let whole = fs::read(&path).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for place in (segment::HEADER_BYTES..used).step_by(7) {
        let world = World::quick();
        let folder = segment::epoch_folder(world.folder.path(), Epoch(1));
        fs::create_dir_all(&folder).unwrap();
        let mut damaged = whole.clone();
        damaged[place] ^= 0x55;
        fs::write(segment::path_of(&folder, 1), &damaged).unwrap();
        assert_eq!(inherited(&world.open(2)), [], "damaged at {place}");
    }
    // the same when the end is missing without a trace, and only the cursor knows
    let folder = segment::epoch_folder(world.folder.path(), Epoch(1));
    fs::write(&path, &whole[..used - 200]).unwrap();
    let cursor = cursor::Cursor { acked_below: 3, ended_at: None };
    cursor::CursorFile::open(&SystemDisk, &folder).unwrap().store(cursor).unwrap();
    assert_eq!(inherited(&world.open(2)), []);
}

#[test]
fn notes_take_a_bounded_part_of_a_segment() {
    let world = World::new();
    let spool = world.open(1);
    for lease in 101..=2_100 {
        spool.note_lease(UserId::new(7), &held(lease, 10, 0, 0));
    }
    for number in 0..1_000 {
        done(&spool, number);
    }
    drop(spool);
    let kept = world.open(2).inherited().len() as u64;
    assert_eq!(kept, settings().segment_bytes / 8 / leases::NOTE_FRAME_BYTES, "the rest goes back when its epoch ends");
}

#[test]
fn a_crash_is_billed_by_the_rule() {
    for (rule, output, quota) in [(CrashBilling::Progress, 11, 0), (CrashBilling::Free, 0, 0), (CrashBilling::Reserve, 11, 90)] {
        let world = World::new();
        let spool = world.open(1);
        let mut open = begin(&spool, 1);
        let part = |lease, amount| LeaseCharge {
            lease_id: LeaseId::new(lease),
            account_id: AccountId::new(1),
            amount: Quota::clamped(amount),
        };
        spool.note_hold(open.number(), Quota::clamped(90), vec![part(9, 60), part(10, 30)]);
        open.progress(&Usage { output: 11, ..Usage::default() });
        std::mem::forget(open);
        copy_and_stop(&world, spool);
        let spool = world.open_with(2, SpoolSettings { crash_billing: rule, ..settings() }).unwrap();
        let batch = spool.earlier().remove(0).next_batch(LIMITS).unwrap().unwrap();
        let Record::Request(orphan) = usage::decode(&batch.records[0]).unwrap() else { panic!("not a request") };
        assert_eq!((orphan.usage.output, orphan.quota.get(), orphan.held.get()), (output, quota, 90), "{rule}");
        assert_eq!(orphan.charges, [part(9, 60), part(10, 30)], "{rule}");
    }
}
