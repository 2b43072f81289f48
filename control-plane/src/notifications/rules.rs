//! What a notification says, and when it is sent again.

use std::time::Duration;

use serde::Serialize;
use sluice_domain::{ChannelId, ChannelKeyId, Status};

/// Attempts at sending one notification.
pub const MOST_ATTEMPTS: i64 = 12;
/// The pause after the first attempt that failed; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A channel, or a key of it, was switched off by itself, or on again.
    ChannelUpdate,
}

impl Kind {
    /// The word kept in `notifications.kind` and sent as `type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChannelUpdate => "channel_update",
        }
    }
}

/// Something to tell, before it is written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What it is about.
    pub kind: Kind,
    /// The object: `channel:12`.
    pub subject: String,
    /// One line.
    pub title: String,
    /// The whole of it.
    pub content: String,
    /// What both are made of, for those who render them in another language.
    pub values: serde_json::Value,
}

/// A channel as it is after it, or one of its keys, was switched off. Also the values of its notice.
#[derive(Debug, Clone, Serialize)]
pub struct SwitchedOff<'a> {
    /// The channel.
    pub channel_id: ChannelId,
    /// What administrators call it.
    pub channel_name: &'a str,
    /// Whether it may still be used: with its other keys.
    pub status: Status,
    /// The key that was refused; `None`: the channel as a whole.
    pub key_id: Option<ChannelKeyId>,
    /// Why.
    pub reason: &'a str,
}

impl SwitchedOff<'_> {
    /// What administrators are told.
    #[must_use]
    pub fn notice(&self) -> Notice {
        let Self { channel_id, channel_name, reason, .. } = self;
        let (title, content) = match self.key_id {
            Some(key) if self.status.is_enabled() => (
                format!("A key of channel {channel_name} is switched off"),
                format!(
                    "Key {key} of channel {channel_name} ({channel_id}) was switched off automatically: {reason}. \
                     The channel goes on with its other keys."
                ),
            ),
            _ => (
                format!("Channel {channel_name} is switched off"),
                format!(
                    "Channel {channel_name} ({channel_id}) was switched off automatically: {reason}. \
                     No request is sent over it until it is switched on again."
                ),
            ),
        };
        let values = serde_json::json!(self);
        Notice { kind: Kind::ChannelUpdate, subject: format!("channel:{channel_id}"), title, content, values }
    }
}

/// A channel as it is after it, or one of its keys, was switched on again. Also the values of its notice.
#[derive(Debug, Clone, Serialize)]
pub struct SwitchedOn<'a> {
    /// The channel.
    pub channel_id: ChannelId,
    /// What administrators call it.
    pub channel_name: &'a str,
    /// Whether it may be used: yes.
    pub status: Status,
    /// The key that is used again; `None`: the channel alone was off.
    pub key_id: Option<ChannelKeyId>,
}

impl SwitchedOn<'_> {
    /// What administrators are told.
    #[must_use]
    pub fn notice(&self) -> Notice {
        let Self { channel_id, channel_name, .. } = self;
        let with = self.key_id.map_or_else(String::new, |key| format!(" with key {key}"));
        let title = format!("Channel {channel_name} is switched on again");
        let content = format!("A test of channel {channel_name} ({channel_id}){with} passed: it is used again.");
        let values = serde_json::json!(self);
        Notice { kind: Kind::ChannelUpdate, subject: format!("channel:{channel_id}"), title, content, values }
    }
}

/// The pause after so many attempts; `None`: that was the last.
pub(super) fn pause(attempts: i64) -> Option<Duration> {
    if attempts >= MOST_ATTEMPTS {
        return None;
    }
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0);
    Some(FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pauses_double_from_ten_seconds_to_an_hour_and_end_with_the_twelfth_attempt() {
        let pauses: Vec<_> = (1..=MOST_ATTEMPTS).map_while(pause).map(|pause| pause.as_secs()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600]);
        assert_eq!([pause(MOST_ATTEMPTS), pause(i64::MAX)], [None, None]);
    }

    #[test]
    fn a_notice_tells_a_key_from_its_channel_and_holds_what_it_is_made_of() {
        let key = SwitchedOff {
            channel_id: ChannelId::new(12),
            channel_name: "main",
            status: Status::Enabled,
            key_id: Some(ChannelKeyId::new(34)),
            reason: "status 401",
        };
        let told = key.notice();
        assert_eq!((told.kind.as_str(), told.subject.as_str()), ("channel_update", "channel:12"));
        assert_eq!(told.title, "A key of channel main is switched off");
        assert!(told.content.contains("Key 34") && told.content.contains("status 401"), "{}", told.content);
        let values = json!({
            "channel_id": 12, "channel_name": "main", "status": "enabled", "key_id": 34, "reason": "status 401",
        });
        assert_eq!(told.values, values);

        let last = SwitchedOff { status: Status::AutoDisabled, ..key.clone() }.notice();
        assert_eq!((last.title.as_str(), &last.values["key_id"]), ("Channel main is switched off", &json!(34)));
        let whole = SwitchedOff { status: Status::AutoDisabled, key_id: None, ..key }.notice();
        assert_eq!((whole.title.as_str(), &whole.values["key_id"]), ("Channel main is switched off", &json!(null)));
    }
}
