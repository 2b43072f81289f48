use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use sluice_domain::{GroupName, ModelName, Status};
use sluice_snapshot::{ChannelSettings, KeyMode, Resource, Snapshot, Upsert, Version};

use super::*;

fn channel(id: i64, priority: i64, weight: u32) -> Channel {
    Channel {
        id: ChannelId::new(id),
        name: format!("channel {id}"),
        provider: "openai".into(),
        base_url: None,
        api_version: None,
        keys: vec![key(id * 10, Status::Enabled)],
        models: vec![ModelName::parse("m").unwrap()],
        groups: vec![GroupName::parse("default").unwrap()],
        priority,
        weight,
        status: Status::Enabled,
        model_mapping: BTreeMap::new(),
        cache_read_ratio: None,
        policy: sluice_snapshot::ChannelPolicy::default(),
        limits: sluice_domain::Limits::default(),
        settings: std::sync::Arc::default(),
        definition: None,
    }
}

fn key(id: i64, status: Status) -> ChannelKey {
    ChannelKey { id: ChannelKeyId::new(id), secret: "k".into(), status }
}

fn table(channels: Vec<Channel>) -> Table {
    let upsert = |(place, channel): (usize, Channel)| {
        let resource = Resource::Channel(channel);
        Upsert { key: resource.key(), hash: place as u128, resource: Ok(Arc::new(resource)) }
    };
    let upserts = channels.into_iter().enumerate().map(upsert).collect();
    Table::compile(&Snapshot::new(Version::default(), upserts).0).0
}

fn ask() -> Ask<'static> {
    Ask { group: "default", model: "m", pin: None, bound: None }
}

fn good(_: ChannelId, _: ChannelKeyId) -> Standing {
    Standing::Good
}

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(7)
}

fn order(plan: &mut Plan, rng: &mut SmallRng) -> Vec<i64> {
    std::iter::from_fn(|| plan.next(Next::Channel, rng)).map(|candidate| candidate.channel.id.get()).collect()
}

#[test]
fn each_retry_steps_one_tier_down_and_comes_back_for_the_rest() {
    let table = table(vec![channel(1, 10, 1), channel(2, 10, 1), channel(3, 5, 1)]);
    for seed in 0..20 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let tried = order(&mut plan(&table, ask(), good).unwrap(), &mut rng);
        assert_eq!(tried.len(), 3);
        assert!([1, 2].contains(&tried[0]), "{tried:?}");
        assert_eq!(tried[1], 3, "{tried:?}");
    }
}

#[test]
fn what_goes_on_from_somewhere_is_served_there_with_that_key_or_not_at_all() {
    let mut kept = channel(3, 5, 0);
    kept.keys = vec![key(30, Status::Enabled), key(31, Status::Enabled), key(32, Status::AutoDisabled)];
    let table = table(vec![channel(1, 10, 1), kept, channel(4, 5, 9)]);
    let bound = |channel, key| Ask { bound: Some((ChannelId::new(channel), ChannelKeyId::new(key))), ..ask() };
    for standing in [Standing::Good, Standing::Suspect, Standing::Ejected] {
        let mut plan = plan(&table, bound(3, 31), |_, _| standing).unwrap();
        let first = plan.next(Next::Channel, &mut rng()).unwrap();
        assert_eq!(first.id(), (ChannelId::new(3), ChannelKeyId::new(31)), "whatever its weight, priority and standing");
        assert!(
            plan.next(Next::KeyOf(ChannelId::new(3)), &mut rng()).is_none() && plan.next(Next::Channel, &mut rng()).is_none()
        );
    }
    let reasons = |ask| match plan(&table, ask, good) {
        Err(NoPlan::NoneUsable(left_out)) => {
            left_out.iter().map(|out| (out.channel.get(), out.reason)).collect::<HashMap<_, _>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(reasons(bound(3, 32))[&3], Reason::NoKey, "a key that is switched off");
    assert_eq!(reasons(bound(3, 40))[&3], Reason::NoKey, "a key that is gone");
    assert_eq!(reasons(bound(9, 90)), HashMap::from([1, 3, 4].map(|id| (id, Reason::NotBound))));
}

#[test]
fn shares_follow_the_weights() {
    let table = table(vec![channel(1, 0, 30), channel(2, 0, 10), channel(3, 0, 0)]);
    let mut rng = rng();
    let mut counts: HashMap<i64, u32> = HashMap::new();
    for _ in 0..4_000 {
        let first = plan(&table, ask(), good).unwrap().next(Next::Channel, &mut rng).unwrap();
        *counts.entry(first.channel.id.get()).or_default() += 1;
    }
    assert!((2_800..=3_200).contains(&counts[&1]), "{counts:?}");
    assert!(!counts.contains_key(&3), "a channel without a share was picked");
}

#[test]
fn without_any_weights_every_channel_has_the_same_share() {
    let table = table(vec![channel(1, 0, 0), channel(2, 0, 0)]);
    let mut rng = rng();
    let first = |rng: &mut SmallRng| plan(&table, ask(), good).unwrap().next(Next::Channel, rng).unwrap().channel.id.get();
    let ones = (0..1_000).filter(|_| first(&mut rng) == 1).count();
    assert!((400..=600).contains(&ones), "{ones}");
}

#[test]
fn every_channel_left_out_has_its_reason() {
    let off = Channel { status: Status::Disabled, ..channel(1, 0, 1) };
    let auto = Channel { status: Status::AutoDisabled, ..channel(2, 0, 1) };
    let keyless = Channel { keys: vec![key(1, Status::AutoDisabled)], ..channel(3, 0, 1) };
    let table = table(vec![off, auto, keyless, channel(4, 0, 1), channel(5, 0, 1), channel(6, 0, 0)]);
    let plan = plan(&table, ask(), |id, _| if id.get() == 4 { Standing::Ejected } else { Standing::Good }).unwrap();
    let reasons: HashMap<i64, Reason> = plan.left_out().iter().map(|left| (left.channel.get(), left.reason)).collect();
    let expected =
        [(1, Reason::Disabled), (2, Reason::AutoDisabled), (3, Reason::NoKey), (4, Reason::Ejected), (6, Reason::ZeroWeight)];
    assert_eq!(reasons, expected.into());
    assert_eq!(plan.channels().map(|channel| channel.id.get()).collect::<Vec<_>>(), [5]);
}

#[test]
fn one_that_is_left_out_gives_its_turn_to_the_next_of_its_tier() {
    let mut second = channel(2, 10, 1);
    second.keys.push(key(21, Status::Enabled));
    let table = table(vec![channel(1, 10, 0), second, channel(3, 5, 1), channel(4, 10, 1)]);
    for seed in 0..20 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut plan = plan(&table, ask(), good).unwrap();
        let first = plan.next(Next::Channel, &mut rng).unwrap();
        plan.leave_out(first.id(), Reason::Limited);
        let rest = order(&mut plan, &mut rng);
        assert!(rest[0] != 3 && !rest.contains(&first.channel.id.get()), "{} and then {rest:?}", first.channel.id);
        assert!(plan.left_out().contains(&LeftOut { channel: first.channel.id, reason: Reason::Limited }));
    }
}

#[test]
fn the_last_candidates_are_never_ejected() {
    let table = table(vec![channel(1, 1, 1), channel(2, 0, 1)]);
    assert_eq!(order(&mut plan(&table, ask(), |_, _| Standing::Ejected).unwrap(), &mut rng()), [1, 2]);
}

#[test]
fn a_failed_key_is_followed_by_another_key_of_the_same_channel() {
    let two_keys = Channel { keys: vec![key(1, Status::Enabled), key(2, Status::Enabled)], ..channel(1, 0, 1) };
    let table = table(vec![two_keys, channel(2, 0, 0)]);
    let (mut plan, mut rng) = (plan(&table, ask(), good).unwrap(), rng());
    let first = plan.next(Next::Channel, &mut rng).unwrap();
    let second = plan.next(Next::KeyOf(first.channel.id), &mut rng).unwrap();
    assert_eq!(second.channel.id, first.channel.id);
    assert_ne!(second.key.id, first.key.id);
    assert!(plan.next(Next::KeyOf(first.channel.id), &mut rng).is_none());
}

#[test]
fn an_ejected_key_is_left_out_and_its_channel_goes_on_with_the_others() {
    let two_keys = Channel { keys: vec![key(1, Status::Enabled), key(2, Status::Enabled)], ..channel(1, 0, 1) };
    let table = table(vec![two_keys]);
    let standing = |_, key: ChannelKeyId| if key.get() == 1 { Standing::Ejected } else { Standing::Good };
    let (mut plan, mut rng) = (plan(&table, ask(), standing).unwrap(), rng());
    assert_eq!(plan.left_out(), []);
    let keys: Vec<i64> = std::iter::from_fn(|| plan.next(Next::Channel, &mut rng)).map(|found| found.key.id.get()).collect();
    assert_eq!(keys, [2]);
}

#[test]
fn keys_that_an_upstream_refused_are_tried_last() {
    let two_keys = |id, first| Channel {
        keys: vec![key(first, Status::Enabled), key(first + 1, Status::Enabled)],
        ..channel(id, 10 - id, 1)
    };
    let table = table(vec![two_keys(1, 10), two_keys(2, 20)]);
    let standing = |_, key: ChannelKeyId| if [10, 11, 20].contains(&key.get()) { Standing::Suspect } else { Standing::Good };
    for seed in 0..20 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut plan = plan(&table, ask(), standing).unwrap();
        let keys: Vec<i64> = std::iter::from_fn(|| plan.next(Next::Channel, &mut rng)).map(|found| found.key.id.get()).collect();
        assert_eq!((keys.len(), keys[0]), (4, 21), "{keys:?}");
    }
}

#[test]
fn a_pinned_channel_is_the_only_candidate_whatever_its_group() {
    let elsewhere = Channel { groups: vec![GroupName::parse("vip").unwrap()], ..channel(7, 0, 0) };
    let table = table(vec![channel(1, 0, 1), elsewhere]);
    let pinned = Ask { pin: Some(ChannelId::new(7)), ..ask() };
    assert_eq!(order(&mut plan(&table, pinned, good).unwrap(), &mut rng()), [7]);
    let unknown = Ask { pin: Some(ChannelId::new(9)), ..ask() };
    assert_eq!(plan(&table, unknown, good).unwrap_err(), NoPlan::UnknownPin);
}

#[test]
fn nothing_configured_and_nothing_usable_are_told_apart() {
    let table = table(vec![Channel { status: Status::Disabled, ..channel(1, 0, 1) }]);
    let other = Ask { model: "other", ..ask() };
    assert_eq!(plan(&table, other, good).unwrap_err(), NoPlan::UnknownModel);
    let left_out = vec![LeftOut { channel: ChannelId::new(1), reason: Reason::Disabled }];
    assert_eq!(plan(&table, ask(), good).unwrap_err(), NoPlan::NoneUsable(left_out));
}

proptest! {
    #[test]
    fn no_channel_and_key_is_ever_tried_twice_and_all_are_reached(
        shape in proptest::collection::vec((0_i64..3, 1_u32..5, 1_i64..4), 1..8),
        seed in any::<u64>(),
    ) {
        let build = |(place, (priority, weight, keys)): (usize, (i64, u32, i64))| Channel {
            keys: (0..keys).map(|k| key(k, Status::Enabled)).collect(),
            ..channel(i64::try_from(place).unwrap(), priority, weight)
        };
        let total: i64 = shape.iter().map(|(_, _, keys)| keys).sum();
        let table = table(shape.into_iter().enumerate().map(build).collect());
        let (mut plan, mut rng) = (plan(&table, ask(), good).unwrap(), SmallRng::seed_from_u64(seed));
        let tried: Vec<_> = std::iter::from_fn(|| plan.next(Next::Channel, &mut rng)).map(|c| c.id()).collect();
        prop_assert_eq!(tried.len(), usize::try_from(total).unwrap());
        prop_assert_eq!(tried.iter().collect::<HashSet<_>>().len(), tried.len());
    }
}

#[test]
fn keys_of_a_channel_that_wants_it_are_taken_in_turn_over_requests_and_retries() {
    let polling = ChannelSettings { key_mode: KeyMode::Polling, ..ChannelSettings::default() };
    let keys = vec![key(1, Status::Enabled), key(2, Status::Disabled), key(3, Status::Enabled), key(4, Status::Enabled)];
    let table = table(vec![Channel { keys, settings: Arc::new(polling), ..channel(1, 0, 1) }]);
    let (turns, mut rng) = (Turns::default(), rng());
    let mut ask_once = |retries: usize| -> Vec<i64> {
        let mut plan = plan(&table, ask(), good).unwrap().with_turns(&turns);
        let next = |_| plan.next(Next::KeyOf(ChannelId::new(1)), &mut rng).unwrap().key.id.get();
        (0..=retries).map(next).collect()
    };
    assert_eq!([ask_once(0), ask_once(0), ask_once(0), ask_once(0)].concat(), [1, 3, 4, 1]);
    assert_eq!(ask_once(2), [3, 4, 1], "a retry takes the next one, and no key twice");
    assert_eq!(ask_once(0), [3]);
}
