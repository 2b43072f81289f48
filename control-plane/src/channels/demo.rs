//! The demo channel: for the first request of somebody who has no account at a provider yet.

use std::net::{IpAddr, Ipv4Addr};

use secrecy::SecretString;
use sluice_domain::{Role, UserId};

use super::{ChannelFields, create, patch, store};
use crate::app::App;
use crate::auth::Actor;
use crate::http::{ApiError, Asking, Patch};
use crate::pricing::{self, PriceFields};

/// The demo channel's name.
pub const DEMO_CHANNEL: &str = "demo";
/// The models it serves; `demo` has no price anywhere else.
const MODELS: [&str; 3] = ["demo", "gpt-4o-mini", "text-embedding-3-small"];
const DEMO_MODEL_RATIO: &str = "0.075";
const DEMO_COMPLETION_RATIO: &str = "4";

/// Sees to it that there is a demo channel and that it leads to the simulator's address, which differs from start to start.
///
/// # Errors
/// When the database is away or the address is none.
pub async fn offer_demo(app: &App, base_url: &str) -> Result<(), ApiError> {
    let asking = by_itself(app);
    let to_simulator = || ChannelFields { base_url: Patch::Set(base_url.to_owned()), ..ChannelFields::default() };
    if let Some(id) = store::id_by_name(app.db.read(), DEMO_CHANNEL).await? {
        patch(app, &asking, id, to_simulator()).await?;
    } else {
        let fields = ChannelFields {
            name: Some(DEMO_CHANNEL.to_owned()),
            provider: Some("openai".to_owned()),
            keys: Some(vec![SecretString::from("the simulator asks for no key")]),
            models: Some(MODELS.map(str::to_owned).to_vec()),
            ..to_simulator()
        };
        create(app, &asking, fields).await?;
    }
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

/// Sluice acting by itself, with everything it may do.
fn by_itself(app: &App) -> Asking {
    Asking {
        actor: Actor { user_id: UserId::new(0), role: Role::Root, scopes: None },
        now: app.clock.wall(),
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        signed_in_at: None,
        idempotency: None,
        if_match: None,
    }
}
