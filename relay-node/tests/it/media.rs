//! Media that requests name by address, by the rules of the site: whether the relay fetches them, and through what.

use std::sync::Arc;

use serde_json::{Value, json};
use sluice_snapshot::Channel;

use crate::recorder::Recorder;
use crate::relay::{World, channel};

const ANSWER: &[u8] = br#"{"id":"1","object":"chat.completion","model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"Hi."},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const DATA: &str = "data:image/png;base64,iVBORw0KGgo=";

/// Where an upstream is told that the picture at an address is, over a channel with these settings.
async fn told(site: &'static str, proxy: Option<&Recorder>, settings: Value, address: &str) -> String {
    let upstream = Recorder::start("application/json", &[ANSWER]).await;
    let settings = Arc::new(serde_json::from_value(settings).unwrap());
    let only = Channel { settings, ..channel(1, &upstream.base_url()) };
    let world = World {
        channels: vec![only],
        settings: vec![("media_by_url", site)],
        media_proxy: proxy.map(Recorder::base_url),
        adjust: |settings| settings.requests.media_from_private = true,
        ..World::with_upstream("")
    };
    let image = json!({"type": "image_url", "image_url": {"url": address}});
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": [image]}]});
    let answer = world.start().await.caller().post("/v1/chat/completions", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent: Value = serde_json::from_slice(&upstream.heard()[0].body).unwrap();
    sent["messages"][0]["content"][0]["image_url"]["url"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_site_says_how_media_reach_providers_and_a_channel_knows_better() {
    let host = Recorder::start("image/png", &[PICTURE]).await;
    let address = format!("{}/cat.png", host.base_url());
    assert_eq!(told("pass", None, json!({}), &address).await, address);
    assert_eq!(told("inline", None, json!({}), &address).await, DATA);
    assert_eq!(told("inline", None, json!({"media_by_url": "pass"}), &address).await, address);
    assert_eq!(told("pass", None, json!({"media_by_url": "inline"}), &address).await, DATA);
    assert_eq!(host.heard().len(), 2);
}

#[tokio::test]
async fn media_are_fetched_through_the_sites_proxy_unless_the_channel_has_one() {
    let (host, sites, channels) = (
        Recorder::start("image/png", &[PICTURE]).await,
        Recorder::start("image/png", &[PICTURE]).await,
        Recorder::start("image/png", &[PICTURE]).await,
    );
    let address = format!("{}/cat.png", host.base_url());
    assert_eq!(told("inline", Some(&sites), json!({}), &address).await, DATA);
    let heard = [&host, &sites, &channels].map(|recorder| recorder.heard().len());
    assert_eq!(heard, [0, 1, 0], "the media's host never sees the relay");
    assert_eq!(told("inline", Some(&sites), json!({"media_proxy": channels.base_url()}), &address).await, DATA);
    assert_eq!([&host, &sites, &channels].map(|recorder| recorder.heard().len()), [0, 1, 1]);
}
