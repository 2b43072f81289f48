use super::*;

const OWN: Epoch = Epoch(3);
const OLD: Epoch = Epoch(2);

fn own(acked_below: u64) -> Standing {
    Standing { epoch: OWN, acked_below, end: None, is_damaged: false, must_ask: false }
}

fn old(acked_below: u64, end: u64) -> Standing {
    Standing { epoch: OLD, acked_below, end: Some(end), is_damaged: false, must_ask: false }
}

fn batch(first_seq: u64, records: usize) -> Batch {
    let mut batch = Batch::default();
    (batch.first_seq, batch.records) = (first_seq, vec![Vec::new(); records]);
    batch
}

fn acked(below: u64) -> Verdict {
    Verdict::Acked { below, has_ended: false }
}

const ENDED: fn(u64) -> Verdict = |below| Verdict::Acked { below, has_ended: true };

/// A course, and what it wants done and awaited.
struct Run {
    course: Course,
    now: Duration,
    deeds: Vec<Deed>,
    awaits: Await,
}

impl Run {
    fn new(own: Standing, starts_over: bool) -> Self {
        let mut course = Course::new(own, starts_over, LOOK_EVERY);
        let Step { deeds, awaits } = course.begin();
        Self { course, now: Duration::ZERO, deeds, awaits }
    }

    fn on(&mut self, event: Event) -> &mut Self {
        let Step { deeds, awaits } = self.course.on(event, self.now);
        (self.deeds, self.awaits) = (deeds, awaits);
        self
    }

    fn answer(&mut self, epoch: Epoch, verdict: Verdict) -> &mut Self {
        assert_eq!(self.awaits, Await::Answer);
        self.on(Event::Answered(epoch, verdict))
    }

    /// What is said in the last step, and that it begins anew before that.
    fn said(&self) -> (Vec<(i64, u64, &What)>, bool) {
        let said = |deed: &Deed| matches!(deed, Deed::Say(_));
        let anew = self.deeds.iter().position(|deed| *deed == Deed::BeginAnew);
        let first = self.deeds.iter().position(said);
        let is_anew = anew.is_some_and(|anew| first.is_none_or(|first| anew < first));
        let messages = self.deeds.iter().filter_map(|deed| match deed {
            Deed::Say(said) => Some((said.epoch.0, said.first_seq, &said.what)),
            _ => None,
        });
        (messages.collect(), is_anew)
    }

    fn settled(&self) -> Vec<u64> {
        let settled = |deed: &Deed| if let Deed::Settled(batch) = deed { Some(batch.first_seq) } else { None };
        self.deeds.iter().filter_map(settled).collect()
    }

    /// Up to the point where its own log is read, of a relay with no earlier epochs.
    fn reading(acked_below: u64) -> Self {
        let mut run = Self::new(own(acked_below), false);
        if acked_below > 1 {
            run.answer(OWN, acked(acked_below));
        } else {
            run.on(Event::LastEnded(None));
        }
        run.on(Event::Logs(Vec::new())).on(Event::Sought(Sought::There));
        assert_eq!(run.awaits, Await::Read);
        run
    }
}

#[test]
fn what_is_acknowledged_is_settled_and_the_rest_stays_under_way() {
    let mut run = Run::reading(1);
    run.on(Event::Read(Some(batch(1, 2))));
    assert!(matches!(run.said().0[..], [(3, 1, What::Records(_))]));
    run.on(Event::Read(Some(batch(3, 2)))).on(Event::Read(None));
    run.answer(OWN, acked(3));
    assert_eq!((run.settled(), run.awaits), (vec![1], Await::Read));
    run.on(Event::Read(None));
    assert_eq!(run.awaits, Await::Answer, "the second one is under way");
    run.answer(OWN, acked(4));
    assert_eq!(run.settled(), [] as [u64; 0], "a part of a batch settles nothing of it");
}

#[test]
fn at_most_so_many_batches_are_under_way() {
    let mut run = Run::reading(1);
    for number in 0..MAX_UNDER_WAY as u64 {
        assert_eq!(run.awaits, Await::Read);
        run.on(Event::Read(Some(batch(1 + number, 1))));
    }
    assert_eq!(run.awaits, Await::Answer);
    run.answer(OWN, acked(2));
    assert_eq!(run.awaits, Await::Read);
}

#[test]
fn an_answer_about_another_epoch_is_to_nothing() {
    let mut run = Run::reading(5);
    run.on(Event::Read(Some(batch(5, 2)))).on(Event::Read(None));
    run.answer(OLD, acked(100)).answer(OLD, Verdict::Expect(1));
    assert_eq!((run.deeds.len(), run.awaits), (0, Await::Answer));
}

#[test]
fn a_gap_is_told_from_where_it_begins_over_another_stream() {
    let mut run = Run::reading(5);
    run.on(Event::Read(Some(batch(5, 2)))).on(Event::Read(Some(batch(7, 2)))).on(Event::Read(None));
    run.answer(OWN, Verdict::Expect(5));
    assert_eq!((&run.deeds[..], run.awaits), (&[Deed::BeginAnew][..], Await::Sought(5)));
    run.on(Event::Sought(Sought::There)).on(Event::Read(Some(batch(5, 2))));
    assert!(matches!(run.said().0[..], [(3, 5, What::Records(_))]));
}

#[test]
fn records_that_are_asked_for_and_were_acknowledged_mean_that_the_database_went_back() {
    let mut run = Run::reading(5);
    run.on(Event::Read(Some(batch(5, 2)))).on(Event::Read(None));
    run.answer(OWN, Verdict::Expect(4));
    let went_back = Deed::WentBack { epoch: OWN, asked: 4, settled_below: 5 };
    assert_eq!((&run.deeds[..], run.awaits), (&[Deed::BeginAnew, went_back][..], Await::Logs { all: true }));
    run.on(Event::Logs(vec![old(4, 4)]));
    assert_eq!((&run.deeds[..], run.awaits), (&[Deed::TakeUp(OLD)][..], Await::Sought(4)));
    run.on(Event::Sought(Sought::There)).on(Event::Read(None)).on(Event::Greeted);
    run.answer(OLD, Verdict::Expect(1));
    assert_eq!(
        (&run.deeds[..], run.awaits),
        (&[Deed::BeginAnew][..], Await::Sought(1)),
        "whoever starts over is not told so twice"
    );
}

#[test]
fn an_earlier_epoch_is_told_to_its_end_which_is_told_only_after_the_greeting() {
    let mut run = Run::new(own(1), false);
    assert_eq!(run.awaits, Await::LastEnded);
    run.on(Event::LastEnded(None)).on(Event::Logs(vec![old(1, 3)])).on(Event::Sought(Sought::There));
    run.on(Event::Read(Some(batch(1, 2)))).on(Event::Read(None)).answer(OLD, acked(3)).on(Event::Read(None));
    assert_eq!((run.said().0.len(), run.awaits), (0, Await::Greeting));
    run.on(Event::Greeted);
    assert_eq!(run.said().0, [(2, 3, &What::End { is_damaged: false })]);
    run.answer(OLD, ENDED(3));
    assert_eq!((&run.deeds[..], run.awaits), (&[Deed::Ended, Deed::TakeUp(OWN)][..], Await::Sought(1)));
}

#[test]
fn the_end_is_told_once_more_where_nothing_else_is_when_the_answer_may_be_to_the_records_before() {
    let mut run = Run::new(own(1), false);
    run.on(Event::LastEnded(None)).on(Event::Logs(vec![old(3, 3)])).on(Event::Sought(Sought::There));
    run.on(Event::Read(None)).on(Event::Greeted).answer(OLD, acked(3));
    assert_eq!(run.said(), (vec![(2, 3, &What::End { is_damaged: false })], true));
    run.answer(OLD, acked(3));
    assert_eq!(run.deeds[0], Deed::Ended, "an older control plane says no more");
}

#[test]
fn an_end_that_leaves_a_gap_is_no_end() {
    for verdict in [Verdict::Expect(2), acked(2)] {
        let mut run = Run::new(own(1), false);
        run.on(Event::LastEnded(None)).on(Event::Logs(vec![old(2, 3)])).on(Event::Sought(Sought::There));
        run.on(Event::Read(None)).on(Event::Greeted).answer(OLD, verdict);
        if verdict == acked(2) {
            run.answer(OLD, verdict);
        }
        assert_eq!((&run.deeds[..], run.awaits), (&[Deed::BeginAnew][..], Await::Sought(2)));
    }
}

#[test]
fn a_connection_begins_with_what_was_acknowledged_last() {
    let run = Run::new(own(5), false);
    assert_eq!((run.said().0, run.awaits), (vec![(3, 5, &What::SettledBelow)], Await::Answer));
    let mut run = Run::new(own(1), false);
    run.on(Event::LastEnded(Some((OLD, 9))));
    assert_eq!(run.said().0, [(2, 9, &What::SettledBelow)]);
    run.answer(OLD, Verdict::Expect(3));
    let went_back = Deed::WentBack { epoch: OLD, asked: 3, settled_below: 9 };
    assert_eq!((&run.deeds[..], run.awaits), (&[Deed::BeginAnew, went_back][..], Await::Logs { all: true }));
    let mut run = Run::new(own(1), false);
    run.on(Event::LastEnded(Some((OLD, 9)))).answer(OLD, Verdict::Expect(9));
    assert_eq!(run.awaits, Await::Logs { all: false }, "a database that is away asks for what is told");
}

#[test]
fn the_life_before_is_asked_about_once_more_when_this_one_is_first_acknowledged() {
    let mut run = Run::reading(1);
    run.on(Event::Read(Some(batch(1, 1)))).on(Event::Read(None)).answer(OWN, acked(2)).on(Event::Read(None));
    assert_eq!(run.awaits, Await::LastEnded);
    run.on(Event::LastEnded(Some((OLD, 9)))).answer(OLD, acked(9));
    assert_eq!(run.awaits, Await::WhetherOver);
    run.on(Event::Over(false)).on(Event::More).on(Event::Rested);
    run.on(Event::Read(Some(batch(2, 1)))).on(Event::Read(None)).answer(OWN, acked(3)).on(Event::Read(None));
    assert_eq!(run.awaits, Await::WhetherOver, "and only then");
}

#[test]
fn who_has_nothing_to_tell_asks_now_and_then_and_whoever_has_waits_for_company() {
    let mut run = Run::reading(5);
    run.on(Event::Read(None)).on(Event::Over(false));
    assert_eq!(run.awaits, Await::More { at_most: LOOK_EVERY });
    run.on(Event::Quiet);
    assert_eq!(run.said().0, [(3, 5, &What::SettledBelow)]);
    run.now = Duration::from_mins(1);
    run.answer(OWN, acked(5));
    assert_eq!(run.awaits, Await::Company { until: BATCH_INTERVAL }, "it was long ago");
    run.on(Event::Rested).on(Event::Read(None)).on(Event::Over(false)).on(Event::More);
    assert_eq!(run.awaits, Await::Company { until: run.now + BATCH_INTERVAL });
}

#[test]
fn the_end_of_this_epoch_is_told_once_everything_is_settled() {
    let mut run = Run::reading(5);
    run.on(Event::Read(None)).on(Event::Over(true));
    assert_eq!(run.said().0, [(3, 5, &What::End { is_damaged: false })]);
    run.answer(OWN, ENDED(5));
    assert_eq!((&run.deeds[..], run.awaits), (&[Deed::Ended][..], Await::Nothing));
    run.on(Event::Quiet);
    assert_eq!((run.deeds.len(), run.awaits), (0, Await::Nothing), "for ever");
}

#[test]
fn what_is_not_kept_any_more_is_told_as_gone_in_batches_that_are_taken() {
    let mut run = Run::reading(5);
    run.on(Event::Read(Some(batch(5, 1)))).on(Event::Read(None)).answer(OWN, Verdict::Expect(1));
    run.on(Event::Logs(Vec::new()));
    run.on(Event::Sought(Sought::There)).answer(OWN, Verdict::Expect(1));
    let oldest = 2 + MAX_BATCH_RECORDS as u64;
    run.on(Event::Sought(Sought::Gone { oldest }));
    assert_eq!(run.deeds[0], Deed::Gone { epoch: OWN, count: oldest - 1 });
    assert_eq!(run.said().0, [(3, 1, &What::Gone(MAX_BATCH_RECORDS))]);
    run.answer(OWN, acked(oldest - 1));
    assert_eq!(run.said().0, [(3, oldest - 1, &What::Gone(1))]);
    run.answer(OWN, acked(oldest));
    assert_eq!((&run.deeds[..], run.awaits), (&[Deed::BeginAnew][..], Await::Sought(oldest)));
    run.on(Event::Sought(Sought::There));
    assert_eq!(run.awaits, Await::Read);
}

#[test]
fn a_control_plane_that_does_not_take_what_is_gone_is_left_for_another_connection() {
    let mut run = Run::new(own(1), true);
    run.on(Event::Logs(vec![old(1, 9)])).on(Event::Sought(Sought::Gone { oldest: 4 })).answer(OLD, Verdict::Expect(1));
    assert_eq!(run.awaits, Await::Break);
}

#[test]
fn a_log_of_which_it_is_not_known_what_was_settled_is_asked_about_first() {
    let mut run = Run::new(own(1), false);
    run.on(Event::LastEnded(None)).on(Event::Logs(vec![Standing { must_ask: true, ..old(1, 3) }]));
    assert_eq!(run.said().0, [(2, 1, &What::Nothing)]);
    run.answer(OLD, Verdict::Expect(1));
    assert_eq!(run.awaits, Await::Rest(BATCH_INTERVAL));
    run.on(Event::Rested).answer(OLD, acked(2));
    assert_eq!(run.awaits, Await::Mended { below: 2 });
    run.on(Event::Mended(Standing { is_damaged: true, ..old(2, 4) }));
    assert_eq!(run.awaits, Await::Sought(2));
    run.on(Event::Sought(Sought::There)).on(Event::Read(None)).on(Event::Greeted);
    assert_eq!(run.said().0, [(2, 4, &What::End { is_damaged: true })]);
}

#[test]
fn an_earlier_log_that_cannot_be_read_stays_open_and_this_epochs_is_tried_again() {
    let mut run = Run::new(own(1), false);
    run.on(Event::LastEnded(None)).on(Event::Logs(vec![old(1, 3)])).on(Event::Unreadable);
    assert_eq!((&run.deeds[..], run.awaits), (&[Deed::Left, Deed::TakeUp(OWN)][..], Await::Sought(1)));
    run.on(Event::Sought(Sought::There)).on(Event::Unreadable);
    assert_eq!((&run.deeds[..], run.awaits), (&[Deed::LeftAlone][..], Await::Rest(TROUBLE_PAUSE)));
    run.on(Event::Rested);
    assert_eq!((&run.deeds[..], run.awaits), (&[Deed::BeginAnew][..], Await::Logs { all: false }));
}

#[test]
fn who_started_over_asks_where_its_own_log_goes_on_and_notes_the_history_once_all_is_settled() {
    let mut run = Run::new(own(5), true);
    assert_eq!((run.deeds.len(), run.awaits), (0, Await::Logs { all: true }));
    run.on(Event::Logs(Vec::new())).on(Event::Sought(Sought::There));
    assert_eq!(run.said().0, [(3, 5, &What::SettledBelow)]);
    run.answer(OWN, Verdict::Expect(2)).on(Event::Sought(Sought::There)).on(Event::Read(Some(batch(2, 3))));
    run.on(Event::Read(None)).answer(OWN, acked(5)).on(Event::Read(None));
    assert_eq!((&run.deeds[..], run.awaits), (&[Deed::CaughtUp][..], Await::WhetherOver));
    assert!(!run.course.starts_over());
}
