//! How a channel calls the model of a request, and what the end of the name asks for (conversions.md §7.2).
//!
//! A name that is configured is that of a model: one that a channel lists is sent as it is. One that no channel lists is split; so is the name
//! that a channel maps another one to, which is how an administrator gives a model a name that asks for more of it.

use sluice_dialect::capabilities::Table;
use sluice_dialect::exchange::Request;
use sluice_dialect::reasoning::{Suffix, suffix};
use sluice_dialect::target::Capabilities;
use sluice_snapshot::{Channel, RelaySettings};

use super::engine::Parts;

/// A model as an upstream is asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'n> {
    /// Its name there.
    pub model: &'n str,
    /// What the end of the caller's name, or of the channel's, asked for.
    pub suffix: Option<Suffix>,
}

impl Parts {
    /// What a channel's upstream is asked for.
    #[must_use]
    pub fn named<'n>(&self, channel: &'n Channel, request: &'n Request, settings: &RelaySettings) -> Named<'n> {
        let asked = request.plain_model();
        if !request.surface().asked_as().converses() {
            return Named { model: channel.upstream_model(asked), suffix: None };
        }
        Named::at(channel, asked, (&self.takes.table(&settings.model_capabilities), settings))
    }
}

impl<'n> Named<'n> {
    fn at(channel: &'n Channel, asked: &'n str, (table, settings): (&Table, &RelaySettings)) -> Self {
        let parts = |name: &'n str| {
            if settings.keeps_suffix(name) {
                return None;
            }
            suffix(name, |name| Capabilities::of(table, name, sluice_domain::Dialect::OpenAi))
        };
        let is_listed = |name: &str| channel.models.iter().any(|listed| listed.as_str() == name);
        if channel.model_mapping.contains_key(asked) {
            let mapped = channel.upstream_model(asked);
            let split = parts(mapped).filter(|_| mapped == asked || !is_listed(mapped));
            return split.map_or(Self { model: mapped, suffix: None }, |(model, suffix)| Self { model, suffix: Some(suffix) });
        }
        let Some((bare, suffix)) = parts(asked).filter(|_| !is_listed(asked)) else {
            return Self { model: asked, suffix: None };
        };
        let mapped = channel.upstream_model(bare);
        // what the caller asks for goes before what the channel does
        let model = parts(mapped).filter(|_| mapped != bare && !is_listed(mapped)).map_or(mapped, |(model, _)| model);
        Self { model, suffix: Some(suffix) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sluice_dialect::ir::Effort;
    use sluice_domain::{ChannelId, Limits, ModelName, Status};
    use sluice_snapshot::{ChannelPolicy, Setting};

    use super::*;

    fn channel(models: &[&str], mapping: &[(&str, &str)]) -> Channel {
        Channel {
            id: ChannelId::new(1),
            name: "one".into(),
            provider: "openai".into(),
            base_url: None,
            api_version: None,
            keys: vec![],
            models: models.iter().map(|model| ModelName::parse(model).unwrap()).collect(),
            groups: vec![],
            priority: 0,
            weight: 1,
            status: Status::Enabled,
            model_mapping: mapping.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect(),
            cache_read_ratio: None,
            policy: ChannelPolicy::default(),
            limits: Limits::default(),
            settings: Arc::default(),
            definition: None,
        }
    }

    fn named<'n>(channel: &'n Channel, asked: &'n str) -> (&'n str, Option<Suffix>) {
        let named = Named::at(channel, asked, (&Table::default(), &RelaySettings::default()));
        (named.model, named.suffix)
    }

    #[test]
    fn a_name_that_is_listed_is_sent_as_it_is_and_another_is_split() {
        let channel = channel(&["claude-opus-4-6", "gpt-5-high", "kimi-k2-thinking"], &[]);
        for (asked, model, suffix) in [
            ("claude-opus-4-6", "claude-opus-4-6", None),
            ("claude-opus-4-6-thinking", "claude-opus-4-6", Some(Suffix::Thinking)),
            ("gpt-5-high", "gpt-5-high", None),
            ("gpt-5-low", "gpt-5", Some(Suffix::Effort(Effort::Low))),
            ("kimi-k2-thinking", "kimi-k2-thinking", None),
            ("mistral-medium", "mistral-medium", None),
        ] {
            assert_eq!(named(&channel, asked), (model, suffix), "{asked}");
        }
    }

    #[test]
    fn the_name_that_a_channel_maps_to_may_ask_for_something_and_the_callers_comes_first() {
        let mapping = [
            ("fast", "gpt-5-minimal"),
            ("mine", "gpt-5-high"),
            ("claude-opus-4-6", "claude-opus-4-6-low"),
            ("claude-sonnet-4-5-thinking", "claude-sonnet-4-5-thinking"),
        ];
        let channel = channel(&["fast", "mine", "gpt-5-high", "claude-opus-4-6", "claude-sonnet-4-5-thinking"], &mapping);
        for (asked, model, suffix) in [
            ("fast", "gpt-5", Some(Suffix::Effort(Effort::Minimal))),
            ("mine", "gpt-5-high", None),
            ("claude-opus-4-6", "claude-opus-4-6", Some(Suffix::Effort(Effort::Low))),
            ("claude-opus-4-6-max", "claude-opus-4-6", Some(Suffix::Effort(Effort::Max))),
            ("claude-sonnet-4-5-thinking", "claude-sonnet-4-5", Some(Suffix::Thinking)),
        ] {
            assert_eq!(named(&channel, asked), (model, suffix), "{asked}");
        }
    }

    #[test]
    fn names_that_the_site_keeps_are_not_split() {
        let mut settings = RelaySettings::default();
        let channel = channel(&["gemini-2.5-pro"], &[]);
        let named =
            |settings: &RelaySettings| Named::at(&channel, "gemini-2.5-pro-thinking", (&Table::default(), settings)).suffix;
        assert_eq!(named(&settings), Some(Suffix::Thinking), "they work out of the box");
        settings.set(&Setting { name: "thinking_model_blacklist".into(), value: "x\n*gemini*".into() }).unwrap();
        assert_eq!(named(&settings), None);
    }
}
