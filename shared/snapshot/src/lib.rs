//! What relays know: resources, diff and apply, and the table that requests are routed by.
//!
//! Resources mirror what an administrator edits, one each; children name their parent; the relay joins. The control plane keeps the
//! same [`Snapshot`] as every relay and sends the difference between two of them. Both sides hash what was sent, so a missed change
//! shows. Pure.
//!
//! Start with [`resource`], then [`snapshot`] (versions, deltas, hash), then [`table`] (what a request looks up) and [`identity`]
//! (tokens and users, which travel apart because there may be millions).

pub mod channel_settings;
pub mod hash;
pub mod identity;
pub mod request_limits;
pub mod resource;
pub mod settings;
pub mod snapshot;
pub mod table;

pub use channel_settings::{ChannelSettings, KeyMode, MediaByUrl, OnLoss, SystemPrompt, SystemPromptMode, UnreadableSettings};
pub use hash::StateHash;
pub use identity::{Token, User};
pub use request_limits::RequestLimits;
pub use resource::{Channel, ChannelKey, ChannelPolicy, CustomProvider, Group, Price, Resource, ResourceKey, Setting};
pub use settings::RelaySettings;
pub use snapshot::{Delta, Entry, Gap, Rejected, Snapshot, Upsert, Version};
pub use table::{Route, Table, Tier};
