use proptest::prelude::*;

use super::*;
use crate::resource::Setting;

fn version(seq: i64) -> Version {
    Version { lineage: "test".into(), seq }
}

fn setting(name: &str, value: &str, rev: i64) -> Upsert {
    let resource = Resource::Setting(Setting { name: name.into(), value: value.into() });
    Upsert {
        key: resource.key(),
        hash: StateHash::of_entry("setting", name, rev, value.as_bytes()),
        resource: Ok(Arc::new(resource)),
    }
}

fn snapshot(seq: i64, settings: &std::collections::BTreeMap<u8, u8>) -> Snapshot {
    let upserts = settings.iter().map(|(name, value)| setting(&name.to_string(), &value.to_string(), i64::from(*value)));
    Snapshot::new(version(seq), upserts.collect()).0
}

proptest! {
    #[test]
    fn applying_the_difference_leads_to_the_target(
        a in proptest::collection::btree_map(0_u8..20, 0_u8..4, 0..20),
        b in proptest::collection::btree_map(0_u8..20, 0_u8..4, 0..20),
    ) {
        let (mut here, target) = (snapshot(1, &a), snapshot(2, &b));
        let rejected = here.apply(here.diff(&target)).unwrap();
        prop_assert!(rejected.is_empty());
        prop_assert_eq!(here, target);
    }
}

#[test]
fn a_bad_resource_keeps_its_previous_form_and_the_rest_applies() {
    let (mut here, _) = Snapshot::new(version(1), vec![setting("a", "old", 1)]);
    let bad = Upsert { resource: Err("not a number".into()), ..setting("a", "bad", 2) };
    let delta = Delta { from: version(1), to: version(2), upserts: vec![bad.clone(), setting("b", "new", 1)], deletes: vec![] };

    let rejected = here.apply(delta).unwrap();

    assert_eq!(rejected, [Rejected { key: bad.key.clone(), reason: "not a number".into() }]);
    let kept = here.get(&bad.key).unwrap();
    assert_eq!(kept.resource.as_deref(), setting("a", "old", 1).resource.ok().as_deref());
    assert_eq!(here.resources().count(), 2);
    // the hash is over what was sent, so both sides still agree
    let (sent, _) = Snapshot::new(version(2), vec![setting("a", "bad", 2), setting("b", "new", 1)]);
    assert_eq!(here.hash(), sent.hash());
}

#[test]
fn a_delta_that_starts_elsewhere_changes_nothing() {
    let (mut here, _) = Snapshot::new(version(1), vec![setting("a", "x", 1)]);
    let before = here.clone();
    let delta = Delta { from: version(2), to: version(3), upserts: vec![], deletes: vec![setting("a", "x", 1).key] };
    assert!(here.apply(delta).is_err());
    assert_eq!(here, before);
}

#[test]
fn a_deleted_resource_is_gone_even_when_its_last_form_was_bad() {
    let bad = Upsert { resource: Err("bad".into()), ..setting("a", "x", 1) };
    let key = bad.key.clone();
    let (mut here, _) = Snapshot::new(version(1), vec![bad]);
    here.apply(Delta { from: version(1), to: version(2), upserts: vec![], deletes: vec![key] }).unwrap();
    assert_eq!(here.hash(), StateHash::default());
    assert_eq!(here.entries().count(), 0);
}
