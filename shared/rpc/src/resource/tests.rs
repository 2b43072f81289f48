use super::*;

fn limits(of: Counted) -> Limits {
    let window_secs = if of.has_window() { 60 } else { 0 };
    Limits::new(vec![Limit { of, count: 5, window_secs, is_shadow: true }]).unwrap()
}

fn channel() -> Channel {
    Channel {
        id: ChannelId::new(5),
        name: "main".into(),
        provider: "openai".into(),
        base_url: Some("http://127.0.0.1:9".into()),
        api_version: None,
        keys: vec![ChannelKey { id: ChannelKeyId::new(1), secret: "sk-up".into(), status: Status::Enabled }],
        models: vec![ModelName::parse("gpt-4o").unwrap()],
        groups: vec![GroupName::parse("default").unwrap()],
        priority: -3,
        weight: 7,
        status: Status::AutoDisabled,
        model_mapping: [("gpt-4o".to_owned(), "gpt-4o-2024".to_owned())].into(),
        cache_read_ratio: Some("0.25".parse().unwrap()),
        policy: ChannelPolicy { first_output: Some(Duration::from_secs(90)), keeps_empty: true, drains: true },
        limits: limits(Counted::Concurrency),
        settings: Arc::new(
            ChannelSettings::from_text(r#"{"proxy":"socks5://h:1","param_override":{"z":null,"a":{"b":1}}}"#).unwrap(),
        ),
        definition: None,
    }
}

fn all() -> Vec<Resource> {
    let ratio = |text: &str| -> Option<Ratio> { Some(text.parse().unwrap()) };
    vec![
        Resource::Channel(channel()),
        Resource::Group(Group {
            name: GroupName::parse("vip").unwrap(),
            ratio: "0.8".parse().unwrap(),
            usable: vec![GroupName::parse("default").unwrap()],
            limits: limits(Counted::Requests),
        }),
        Resource::Price(Price {
            model: ModelName::parse("gpt-4o").unwrap(),
            price: ModelPrice {
                model_ratio: ratio("1.25"),
                completion_ratio: ratio("4"),
                max_output_tokens: Some(16_384),
                hold_policy: Some(HoldPolicy::Windowed),
                ..ModelPrice::default()
            },
            limits: limits(Counted::Tokens),
        }),
        Resource::Setting(Setting { name: "retry_times".into(), value: "2".into() }),
        Resource::Provider(CustomProvider { slug: "our-own".into(), definition: r#"{"slug":"our-own"}"#.into() }),
    ]
}

#[test]
fn every_kind_reads_back_as_it_was() {
    for resource in all() {
        let upsert = decode(&encode(&resource, 3)).unwrap();
        assert_eq!(upsert.key, resource.key());
        assert_eq!(upsert.resource.as_deref(), Ok(&resource));
    }
}

#[test]
fn a_body_that_does_not_decode_is_refused_by_name() {
    let garbage = pb::Resource { body: vec![0xff; 7].into(), ..encode(&Resource::Channel(channel()), 1) };
    let upsert = decode(&garbage).unwrap();
    assert_eq!(upsert.key, ResourceKey::Channel(ChannelId::new(5)));
    assert!(upsert.resource.is_err());
}

#[test]
fn a_body_under_another_name_is_refused() {
    let moved = pb::Resource { key: "6".into(), ..encode(&Resource::Channel(channel()), 1) };
    assert!(decode(&moved).unwrap().resource.unwrap_err().contains("key"));
}

#[test]
fn unknown_kinds_and_statuses_are_errors_not_defaults() {
    let unknown = pb::Resource { kind: 99, ..encode(&Resource::Channel(channel()), 1) };
    assert_eq!(decode(&unknown).unwrap_err().field, "kind");
    let body = pb::Channel { status: 9, ..channel_to_pb(&channel()) }.encode_to_vec();
    let unknown = pb::Resource { body: body.into(), ..encode(&Resource::Channel(channel()), 1) };
    assert!(decode(&unknown).unwrap().resource.unwrap_err().starts_with("status"));
}

#[test]
fn a_channel_with_settings_of_a_later_version_is_refused_by_name_and_keeps_its_form() {
    let later = |text: &str| {
        let body = pb::Channel { settings: text.into(), ..channel_to_pb(&channel()) }.encode_to_vec();
        decode(&pb::Resource { body: body.into(), ..encode(&Resource::Channel(channel()), 2) }).unwrap()
    };
    let version = |seq| Version { lineage: "l".into(), seq };
    let known = decode(&encode(&Resource::Channel(channel()), 1)).unwrap();
    for text in [r#"{"hedge":"sk-up"}"#, r#"{"key_mode":"sk-up"}"#, r#"{"losses":{"seed":"sk-up"}}"#, "sk-up"] {
        let (mut snapshot, _) = sluice_snapshot::Snapshot::new(version(1), vec![known.clone()]);
        let delta = Delta { from: version(1), to: version(2), upserts: vec![later(text)], deletes: vec![] };
        let rejected = snapshot.apply(delta).unwrap();
        assert_eq!(rejected[0].key, ResourceKey::Channel(ChannelId::new(5)));
        assert!(rejected[0].reason.starts_with("settings") && !rejected[0].reason.contains("sk-up"), "{:?}", rejected[0]);
        assert_eq!(snapshot.get(&rejected[0].key).unwrap().resource, known.resource.clone().ok(), "its earlier form stays");
    }
    let none = later("").resource.unwrap();
    assert!(matches!(&*none, Resource::Channel(channel) if channel.settings.is_default()));
}

#[test]
fn refusals_never_show_a_provider_key() {
    let body = pb::Channel { models: vec!["sk-up,".into()], ..channel_to_pb(&channel()) }.encode_to_vec();
    let bad = pb::Resource { body: body.into(), ..encode(&Resource::Channel(channel()), 1) };
    assert!(!decode(&bad).unwrap().resource.unwrap_err().contains("sk-up"));
}
