//! Usage reported, settled, and told again.

use super::*;

#[tokio::test]
async fn usage_is_sent_again_until_it_is_acknowledged_and_from_where_it_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    for number in 1..=3 {
        finish(&world.spool, number);
    }
    let mut seen = world.fake.usage.heard().await;
    while seen.records.len() < 3 {
        let more = world.fake.usage.heard().await;
        assert_eq!(more.first_seq, seen.first_seq + i64::try_from(seen.records.len()).unwrap());
        seen.records.extend(more.records);
    }
    assert_eq!(
        (seen.epoch, seen.first_seq, requests(&seen)),
        (1, 1, vec!["request-1".into(), "request-2".into(), "request-3".into()])
    );
    world.fake.usage.cut().await;
    let again = world.fake.usage.heard().await;
    assert_eq!((again.first_seq, requests(&again)), (1, requests(&seen)));
    world.fake.usage.say(expected(1, 2)).await;
    let rest = world.fake.usage.heard().await;
    assert_eq!((rest.first_seq, requests(&rest)), (2, vec!["request-2".into(), "request-3".into()]));
    world.fake.usage.say(acked(1, 4)).await;
    world.until("everything is acknowledged", |world| world.spool.unacked_bytes() == 0).await;
    finish(&world.spool, 4);
    let next = world.fake.usage.heard().await;
    assert_eq!((next.first_seq, requests(&next)), (4, vec!["request-4".into()]));
    world.stop().await;
}

#[tokio::test]
async fn at_most_two_batches_are_under_way_and_a_long_backlog_needs_no_pause() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    for number in 0..3_000 {
        while world.spool.permit().is_err() {
            tokio::task::yield_now().await;
        }
        world.spool.permit().unwrap().finish(sample_record(number));
    }
    world.spool.flush().await;
    let mut settled = 0;
    while settled < 3_000 {
        let batch = world.fake.usage.heard().await;
        assert!(batch.records.len() <= 500);
        settled += batch.records.len();
        let below = batch.first_seq + i64::try_from(batch.records.len()).unwrap();
        world.fake.usage.say(acked(1, below)).await;
    }
    world.until("everything is acknowledged", |world| world.spool.unacked_bytes() == 0).await;
    world.stop().await;
}

#[tokio::test]
async fn what_an_earlier_life_left_is_settled_first_and_its_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    finish(&world.spool, 1);
    drop(world.spool.permit().unwrap().open(&sample_record(2)).unwrap());
    world.spool.flush().await;
    world.stop().await;
    let world = World::start(folder.path(), 2);
    finish(&world.spool, 3);
    let old = world.fake.usage.heard().await;
    assert_eq!((old.epoch, requests(&old), old.epoch_ended), (1, vec!["request-1".into(), "request-2".into()], false));
    world.fake.usage.say(acked(1, 3)).await;
    let end = world.fake.usage.heard().await;
    assert_eq!((end.epoch, end.first_seq, end.records.len(), end.epoch_ended), (1, 3, 0, true));
    assert!(!end.epoch_damaged);
    world.fake.usage.say(ended(1, 3)).await;
    let new = world.fake.usage.heard().await;
    assert_eq!((new.epoch, new.first_seq, requests(&new)), (2, 1, vec!["request-3".into()]));
    world.fake.usage.say(acked(2, 2)).await;
    world.until("everything is acknowledged", |world| world.spool.unacked_bytes() == 0).await;
    world.stop().await;
    let world = World::start(folder.path(), 3);
    let old = world.fake.usage.heard().await;
    assert_eq!((old.epoch, old.first_seq, old.epoch_ended), (2, 2, true), "epoch 1 is over");
    world.stop().await;
}

/// A life that wrote so many requests, which nobody heard of.
async fn life_of(folder: &std::path::Path, epoch: i64, requests: usize) {
    let world = World::start(folder, epoch);
    (1..=requests).for_each(|number| finish(&world.spool, number));
    world.spool.flush().await;
    world.stop().await;
}

#[tokio::test]
async fn only_an_answer_to_the_end_itself_ends_an_earlier_epoch() {
    let folder = tempfile::tempdir().unwrap();
    life_of(folder.path(), 1, 2).await;
    let world = World::start(folder.path(), 2);
    assert_eq!(requests(&world.fake.usage.heard().await).len(), 2);
    world.fake.usage.say(acked(1, 3)).await;
    assert!(world.fake.usage.heard().await.epoch_ended);
    // what was sent twice is answered twice: this is to the records, although it comes after the end was told
    world.fake.usage.say(acked(1, 3)).await;
    let again = world.fake.usage.heard().await;
    assert_eq!((again.epoch, again.first_seq, again.epoch_ended), (1, 3, true));
    assert_eq!(world.spool.earlier().len(), 1, "it is not over");
    world.fake.usage.say(ended(1, 3)).await;
    world.until("it is over", |world| world.spool.earlier().is_empty()).await;
    world.stop().await;
}

#[tokio::test]
async fn an_older_control_plane_that_never_says_that_an_epoch_is_over_is_believed_where_only_the_end_was_told() {
    let folder = tempfile::tempdir().unwrap();
    life_of(folder.path(), 1, 1).await;
    let world = World::start(folder.path(), 2);
    for is_end in [false, true, true] {
        assert_eq!(world.fake.usage.heard().await.epoch_ended, is_end);
        world.fake.usage.say(acked(1, 2)).await;
    }
    world.until("it is over", |world| world.spool.earlier().is_empty()).await;
    world.stop().await;
}

#[tokio::test]
async fn an_earlier_epoch_ends_only_after_the_leases_that_go_on_were_told() {
    let folder = tempfile::tempdir().unwrap();
    life_of(folder.path(), 1, 1).await;
    let tasks = Tasks::new();
    let fake = Fake::new(&tasks);
    *fake.greets.lock() = false;
    let (dial, connections) = mpsc::channel(8);
    tasks.spawn("fake", fake.clone().serve(connections));
    let world = World::start_at(folder.path(), 2, ControlEndpoint::InMemory(dial), fake, tasks);
    world.fake.usage.heard().await;
    world.fake.usage.say(acked(1, 2)).await;
    let early = tokio::time::timeout(Duration::from_millis(300), world.fake.usage.heard()).await;
    assert!(early.is_err(), "the end was told before the leases: {early:?}");
    world.fake.leases.say(pb::LeaseDown::default()).await;
    assert!(world.fake.usage.heard().await.epoch_ended);
    world.stop().await;
}

/// Answers everything about an epoch as a control plane would that has settled its records below `next`, until its end is told.
async fn settle(world: &World, epoch: i64, mut next: i64) -> Vec<String> {
    let mut settled = Vec::new();
    loop {
        let said = world.fake.usage.heard().await;
        assert_eq!(said.epoch, epoch);
        if said.first_seq > next {
            world.fake.usage.say(expected(epoch, next)).await;
            continue;
        }
        let count = i64::try_from(said.records.len()).unwrap();
        settled.extend(requests(&said).into_iter().skip(usize::try_from(next - said.first_seq).unwrap()));
        next = next.max(said.first_seq + count);
        if said.epoch_ended {
            world.fake.usage.say(ended(epoch, next)).await;
            return settled;
        }
        world.fake.usage.say(acked(epoch, next)).await;
    }
}

#[tokio::test]
async fn a_database_that_went_back_is_told_everything_that_is_kept_even_by_a_relay_with_nothing_to_say() {
    let folder = tempfile::tempdir().unwrap();
    life_of(folder.path(), 1, 2).await;
    let world = World::start(folder.path(), 2);
    assert_eq!(settle(&world, 1, 1).await, ["request-1", "request-2"]);
    finish(&world.spool, 3);
    assert_eq!(requests(&world.fake.usage.heard().await), ["request-3"]);
    world.fake.usage.say(acked(2, 2)).await;
    world.until("everything is acknowledged", |world| world.spool.unacked_bytes() == 0).await;
    let look = world.fake.usage.heard().await;
    assert_eq!((look.epoch, look.first_seq, look.records.len()), (1, 3, 0), "from now on nobody asks about life 1");
    world.fake.usage.say(acked(1, 3)).await;
    world.fake.leases.cut().await;

    let look = world.fake.usage.heard().await;
    assert_eq!((look.epoch, look.first_seq, look.records.len(), look.epoch_ended), (2, 2, 0, false));
    assert_eq!(look.settled_in, "a");
    world.fake.usage.say(expected(2, 1)).await;
    assert_eq!(settle(&world, 1, 2).await, ["request-2"], "the first one was in the backup");
    let look = world.fake.usage.heard().await;
    assert_eq!((look.epoch, look.first_seq, look.records.len()), (2, 2, 0));
    world.fake.usage.say(expected(2, 1)).await;
    assert_eq!(requests(&world.fake.usage.heard().await), ["request-3"]);
    world.fake.usage.say(acked(2, 2)).await;
    finish(&world.spool, 4);
    assert_eq!(requests(&world.fake.usage.heard().await), ["request-4"], "and it goes on");
    assert!(world.registry.render().contains("sluice_relay_control_rollbacks_total 1\n"), "{}", world.registry.render());
    world.stop().await;
}

#[tokio::test]
async fn a_database_that_goes_back_before_a_life_is_first_acknowledged_is_noticed_by_the_life_before() {
    let folder = tempfile::tempdir().unwrap();
    life_of(folder.path(), 1, 2).await;
    let world = World::start(folder.path(), 2);
    assert_eq!(settle(&world, 1, 1).await, ["request-1", "request-2"]);
    finish(&world.spool, 3);
    assert_eq!(requests(&world.fake.usage.heard().await), ["request-3"]);
    world.fake.usage.say(acked(2, 2)).await;
    let look = world.fake.usage.heard().await;
    assert_eq!((look.epoch, look.first_seq, look.settled_in.as_str()), (1, 3, "a"));
    world.fake.usage.say(expected(1, 2)).await;
    assert_eq!(settle(&world, 1, 2).await, ["request-2"]);
    world.stop().await;
}

#[tokio::test]
async fn an_earlier_epoch_that_is_over_is_looked_for_when_this_one_has_said_nothing() {
    let folder = tempfile::tempdir().unwrap();
    life_of(folder.path(), 1, 1).await;
    let world = World::start(folder.path(), 2);
    settle(&world, 1, 1).await;
    world.until("it is over", |world| world.spool.earlier().is_empty()).await;
    world.stop().await;
    let world = World::start(folder.path(), 3);
    // epoch 2 wrote nothing
    assert_eq!(settle(&world, 2, 1).await, Vec::<String>::new());
    world.until("it is over", |world| world.spool.earlier().is_empty()).await;
    world.stop().await;
    let world = World::start(folder.path(), 4);
    assert_eq!(settle(&world, 3, 1).await, Vec::<String>::new());
    world.stop().await;
}

#[tokio::test]
async fn in_another_history_everything_that_is_kept_is_told_again_until_it_is_settled_there() {
    let folder = tempfile::tempdir().unwrap();
    life_of(folder.path(), 1, 2).await;
    let world = World::start(folder.path(), 2);
    settle(&world, 1, 1).await;
    world.until("it is over", |world| world.spool.earlier().is_empty()).await;
    assert_eq!(world.spool.history().as_deref(), Some("a"));
    world.stop().await;

    for epoch in [3, 4] {
        let tasks = Tasks::new();
        let fake = Fake::new(&tasks);
        *fake.lineage.lock() = "b".into();
        let (dial, connections) = mpsc::channel(8);
        tasks.spawn("fake", fake.clone().serve(connections));
        let world = World::start_at(folder.path(), epoch, ControlEndpoint::InMemory(dial), fake, tasks);
        assert_eq!(settle(&world, 1, 1).await, ["request-1", "request-2"], "life {epoch}");
        if epoch == 3 {
            // cut off on the way: it starts over
            assert_eq!(world.spool.history().as_deref(), Some("a"));
        } else {
            settle(&world, 2, 1).await;
            settle(&world, 3, 1).await;
            world.until("the history is noted", |world| world.spool.history().as_deref() == Some("b")).await;
        }
        world.stop().await;
    }
}

/// More than a segment holds.
const RECORDS: i64 = 8_000;

#[tokio::test]
async fn what_is_not_kept_any_more_is_told_as_gone_and_the_rest_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    for number in 1..=RECORDS {
        while world.spool.permit().is_err() {
            tokio::task::yield_now().await;
        }
        world.spool.permit().unwrap().finish(sample_record(usize::try_from(number).unwrap()));
    }
    world.spool.flush().await;
    let mut next = 1;
    while next <= RECORDS {
        let batch = world.fake.usage.heard().await;
        next = batch.first_seq + i64::try_from(batch.records.len()).unwrap();
        world.fake.usage.say(acked(1, next)).await;
    }
    world.until("everything is acknowledged", |world| world.spool.unacked_bytes() == 0).await;
    let segment = |number| folder.path().join(format!("spool/epoch-00000000000000000001/{number:010}.seg"));
    std::fs::remove_file(segment(1)).unwrap();
    let header = std::fs::read(segment(2)).unwrap();
    let oldest = i64::from_le_bytes(*header[24..].first_chunk().unwrap());
    world.fake.leases.cut().await;

    let mut settled: i64 = 1;
    let (mut gone, mut kept) = (0, 0);
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while settled <= RECORDS {
        assert!(tokio::time::Instant::now() < deadline, "it goes in circles, {gone} are gone, {kept} are settled");
        let said = world.fake.usage.heard().await;
        if said.first_seq > settled {
            world.fake.usage.say(expected(1, settled)).await;
            continue;
        }
        for record in &said.records {
            let is_gone = matches!(record.record, Some(pb::usage_record::Record::Gone(_)));
            assert!(is_gone || gone > 0, "the oldest are gone");
            (gone, kept) = (gone + i64::from(is_gone), kept + i64::from(!is_gone));
        }
        settled = said.first_seq + i64::try_from(said.records.len()).unwrap();
        world.fake.usage.say(acked(1, settled)).await;
    }
    assert!(gone > 1_000, "{gone} are gone");
    assert_eq!((gone, kept), (oldest - 1, RECORDS - gone), "what is gone and what is settled");
    assert!(world.registry.render().contains(&format!("sluice_relay_usage_records_gone_total {gone}\n")));
    world.stop().await;
}

/// A life whose two requests were reported, and whose disk lost the end of the second one.
async fn damaged_life(folder: &std::path::Path) {
    let world = World::start(folder, 1);
    (1..=2).for_each(|number| finish(&world.spool, number));
    assert_eq!(requests(&world.fake.usage.heard().await).len(), 2);
    world.stop().await;
    let segment = folder.join("spool/epoch-00000000000000000001/0000000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes[used - 10..].fill(0);
    std::fs::write(segment, bytes).unwrap();
}

#[tokio::test]
async fn the_number_of_a_settled_record_that_is_lost_goes_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    damaged_life(folder.path()).await;
    let world = World::start(folder.path(), 2);
    let asks = world.fake.usage.heard().await;
    assert_eq!((asks.epoch, asks.first_seq, asks.records.len(), asks.epoch_ended), (1, 1, 0, false));
    assert_eq!(asks.settled_in, "", "nothing is said of what was settled");
    // its database is away; then it knows both, and the answer had been lost
    world.fake.usage.say(expected(1, 1)).await;
    assert_eq!(world.fake.usage.heard().await.records.len(), 0);
    world.fake.usage.say(acked(1, 3)).await;
    let rest = world.fake.usage.heard().await;
    // it is settled already, as 2: the control plane knows it
    assert_eq!((rest.first_seq, requests(&rest)), (3, vec!["request-2".into()]));
    world.fake.usage.say(acked(1, 4)).await;
    let end = world.fake.usage.heard().await;
    assert_eq!((end.epoch_ended, end.epoch_damaged), (true, true), "what its leases paid is not known");
    world.stop().await;
    // it was asked; now the end is told again
    let world = World::start(folder.path(), 3);
    let end = world.fake.usage.heard().await;
    assert_eq!((end.epoch, end.first_seq, end.epoch_ended, end.epoch_damaged), (1, 4, true, true));
    world.stop().await;
}

#[tokio::test]
async fn a_request_whose_end_is_lost_and_was_not_settled_is_settled_at_its_progress() {
    let folder = tempfile::tempdir().unwrap();
    damaged_life(folder.path()).await;
    let world = World::start(folder.path(), 2);
    assert_eq!(world.fake.usage.heard().await.records.len(), 0);
    world.fake.usage.say(acked(1, 2)).await;
    let rest = world.fake.usage.heard().await;
    assert_eq!((rest.first_seq, requests(&rest)), (2, vec!["request-2".into()]));
    world.stop().await;
}

#[tokio::test]
async fn on_the_way_down_everything_is_reported_and_the_epoch_ends() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    finish(&world.spool, 1);
    world.spool.flush().await;
    world.end.begin();
    let batch = world.fake.usage.heard().await;
    assert_eq!(requests(&batch), ["request-1"]);
    world.fake.usage.say(acked(1, 2)).await;
    let end = world.fake.usage.heard().await;
    assert_eq!((end.first_seq, end.epoch_ended), (2, true));
    world.fake.usage.say(ended(1, 2)).await;
    tokio::time::timeout(DEADLINE, world.spool.ended()).await.expect("the epoch ended");
    world.stop().await;
    let world = World::start(folder.path(), 2);
    assert!(world.spool.earlier().is_empty());
    world.stop().await;
}
