//! The demo channel: for the first request of somebody who has no account at a provider yet.

use std::net::{IpAddr, Ipv4Addr};

use secrecy::SecretString;
use sluice_domain::{ChannelId, Role, Status, UserId};
use sluice_sealed::Keyring;

use super::{Channel, ChannelFields, create, patch, rules, store};
use crate::app::App;
use crate::auth::Actor;
use crate::db::Tx;
use crate::http::{ApiError, Asking, Patch};
use crate::pricing::{self, PriceFields};

/// What the demo channel is called at first. It is known by its id, so an operator's own channel may have the name.
const NAME: &str = "demo";
/// The models it serves; `demo` has no price anywhere else.
const MODELS: [&str; 3] = ["demo", "gpt-4o-mini", "text-embedding-3-small"];
/// The lowest there is: whatever else serves a model comes first.
const PRIORITY: i64 = -rules::MOST_PRIORITY;
const DEMO_MODEL_RATIO: &str = "0.075";
const DEMO_COMPLETION_RATIO: &str = "4";

/// Sees to it that there is a demo channel and that it leads to the simulator's address, which differs from start to start. It serves
/// only what no other channel does: nobody pays for made-up text where the real one can be had.
///
/// # Errors
/// When the database is away or the address is none.
pub async fn offer_demo(app: &App, base_url: &str) -> Result<(), ApiError> {
    withdraw_demo(app).await?;
    let asking = by_itself(app);
    let taken: Vec<_> = store::served(app.db.read()).await?.into_iter().flat_map(|(models, _)| models).collect();
    let free = MODELS.into_iter().filter(|name| taken.iter().all(|model| model.as_str() != *name));
    let models: Vec<String> = free.map(str::to_owned).collect();
    if models.is_empty() {
        return Ok(());
    }
    let id = match store::demo_channel(app.db.read(), &app.keyring).await? {
        Some(channel) => channel.id,
        None => make(app, &asking).await?,
    };
    let fields = ChannelFields {
        base_url: Patch::Set(base_url.to_owned()),
        models: Some(models),
        priority: Some(PRIORITY),
        status: Some(Status::Enabled),
        ..ChannelFields::default()
    };
    patch(app, &asking, id, fields).await?;
    if pricing::get(app, &asking, "demo").await.is_err() {
        let figures = PriceFields {
            model_ratio: Patch::Set(DEMO_MODEL_RATIO.to_owned()),
            completion_ratio: Patch::Set(DEMO_COMPLETION_RATIO.to_owned()),
            ..PriceFields::default()
        };
        pricing::create(app, &asking, "demo", figures).await?;
    }
    Ok(())
}

/// Switches the demo channel off, if there is one: the simulator it leads to went with an earlier process.
///
/// # Errors
/// When the database is away.
pub async fn withdraw_demo(app: &App) -> Result<(), ApiError> {
    let found = store::demo_channel(app.db.read(), &app.keyring).await?;
    let Some(channel) = found.filter(|channel| channel.status.is_enabled()) else { return Ok(()) };
    let off = ChannelFields { status: Some(Status::Disabled), ..ChannelFields::default() };
    patch(app, &by_itself(app), channel.id, off).await.map(drop)
}

/// Makes the channel, switched off until it is known as the demo's.
async fn make(app: &App, asking: &Asking) -> Result<ChannelId, ApiError> {
    let fields = ChannelFields {
        name: Some(NAME.to_owned()),
        provider: Some("openai".to_owned()),
        keys: Some(vec![SecretString::from("demo-simulator-demo")]),
        models: Some(MODELS.map(str::to_owned).to_vec()),
        status: Some(Status::Disabled),
        ..ChannelFields::default()
    };
    let id = create(app, asking, fields).await?.object.id;
    let tx = app.db.begin().await?;
    store::mark_demo_channel(&tx, id).await?;
    tx.commit().await?;
    Ok(id)
}

/// Takes from the demo channel what a channel in use serves. Answers the demo channel, if that changed it.
pub(super) async fn step_aside(
    tx: &Tx,
    keyring: &Keyring,
    asking: &Asking,
    channel: &Channel,
) -> Result<Option<ChannelId>, ApiError> {
    if !channel.status.is_enabled() {
        return Ok(None);
    }
    let Some(known) = store::demo_channel(tx, keyring).await?.filter(|demo| demo.id != channel.id) else { return Ok(None) };
    let Some(demo) = store::lock(tx, keyring, known.id).await?.filter(|demo| demo.status.is_enabled()) else { return Ok(None) };
    let free: Vec<_> = demo.models.iter().filter(|model| !channel.models.contains(model)).cloned().collect();
    if free.len() == demo.models.len() {
        return Ok(None);
    }
    let (models, status) = if free.is_empty() { (demo.models, Status::Disabled) } else { (free, demo.status) };
    store::update(tx, keyring, &Channel { models, status, rev: demo.rev + 1, updated_at: asking.now, ..demo }).await?;
    Ok(Some(known.id))
}

/// Sluice acting by itself, with everything it may do.
fn by_itself(app: &App) -> Asking {
    Asking {
        actor: Actor { user_id: UserId::new(0), role: Role::Root, scopes: None },
        now: app.clock.wall(),
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        signed_in_at: None,
        token_ends_at: None,
        idempotency: None,
        if_match: None,
    }
}
