//! Which interface a provider is asked at for a caller's.

use sluice_dialect::Surface;
use sluice_dialect::exchange::CountSurface;
use sluice_dialect::vendor::Vendor;

use crate::{BaseUrl, BaseUrlMeaning, Capability, Provider};

/// Surfaces of conversations, in the order they are asked for on behalf of callers of another one.
///
/// Chat first: where it is there at all, it is the provider's main interface, and has the widest choice of models. A provider without it is
/// Claude's (Messages), Gemini's (`generateContent`) or serves Responses alone (Codex).
const PREFERRED: [Surface; 4] = [Surface::ChatCompletions, Surface::Messages, Surface::GenerateContent, Surface::Responses];

/// Surfaces of vectors, in the order they are asked for on behalf of callers of another one: the one verb of Google's for any number of
/// texts stands for both.
const VECTORS: [Surface; 2] = [Surface::BatchEmbedContents, Surface::Embeddings];

impl Provider {
    /// The surface the upstream is asked at for a caller's surface, whatever the model and the channel's address; `None` when the caller
    /// cannot be served.
    ///
    /// It is the caller's own surface where the provider has it. Otherwise a conversation (chat, responses, messages, generate_content) is
    /// asked for at the first of these that the provider has: chat, messages, generate_content, responses, an interface of its own. Vectors
    /// are asked for at `batchEmbedContents` or embeddings, edits as chat. Completions, reranking and moderations are not converted.
    #[must_use]
    pub fn speaks(&self, caller: Surface) -> Option<Surface> {
        prefer(caller, |surface| {
            let capability = Capability::from(surface);
            self.endpoints.contains_key(&capability)
                || self.base_url.serves.contains(&capability)
                || self.versions.as_ref().is_some_and(|versions| versions.endpoints.contains_key(&capability))
        })
    }

    /// The same for one model at one address: endpoints that only some models or addresses have are there, and those a model lacks are
    /// not.
    #[must_use]
    pub fn speaks_for(&self, caller: Surface, base: &BaseUrl, model: &str) -> Option<Surface> {
        prefer(caller, |surface| self.reaches(surface.into(), base, model))
    }

    /// The same where some surfaces are known to be missing at the address.
    #[must_use]
    pub fn speaks_without(
        &self,
        caller: Surface,
        base: &BaseUrl,
        model: &str,
        is_missing: impl Fn(Surface) -> bool,
    ) -> Option<Surface> {
        prefer(caller, |surface| self.reaches(surface.into(), base, model) && !is_missing(surface))
    }

    /// Whether tools are better asked for elsewhere than at a surface, on behalf of a caller of another one.
    #[must_use]
    pub fn lacks_tools(&self, surface: Surface, base: &BaseUrl, model: &str) -> bool {
        self.tool_gaps.iter().any(|gap| gap.is_of(base, surface.into(), model))
    }

    /// Whether an address may lack an interface that its provider describes.
    #[must_use]
    pub fn may_lack(&self, surface: Surface) -> bool {
        self.unsure.contains(&Capability::from(surface))
    }

    /// Where the tokens of a caller's request can be counted for one model at one address: at the caller's own interface, else at that of
    /// Messages, Gemini or Responses. `None`: nowhere.
    #[must_use]
    pub fn counts_for(&self, caller: CountSurface, base: &BaseUrl, model: &str) -> Option<CountSurface> {
        let own_first = std::iter::once(caller).chain(CountSurface::ALL);
        own_first.into_iter().find(|surface| self.reaches((*surface).into(), base, model))
    }

    /// Whether there is an address for a capability, of some version.
    fn reaches(&self, capability: Capability, base: &BaseUrl, model: &str) -> bool {
        if let Some(plan) = self.plan(base) {
            return plan.endpoints.contains_key(&capability);
        }
        if self.base_url.meaning == BaseUrlMeaning::FullUrl {
            return self.base_url.serves.contains(&capability);
        }
        let unversioned = self.versions.as_ref().is_some_and(|versions| versions.endpoints.contains_key(&capability));
        self.path((base, &[]), capability, model, false).is_some() || (unversioned && !self.has_gap(base, capability, model))
    }
}

fn prefer(caller: Surface, has: impl Fn(Surface) -> bool) -> Option<Surface> {
    let own = caller.asked_as();
    if has(own) {
        return Some(own);
    }
    if own.converses() {
        let vendors = Vendor::ALL.map(Surface::Vendor);
        return PREFERRED.into_iter().chain(vendors).find(|surface| has(*surface));
    }
    let others: &[Surface] = if own.embeds() { &VECTORS } else { &[] };
    others.iter().copied().find(|surface| has(*surface))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalog;

    const CONVERSATIONS: [Surface; 4] =
        [Surface::ChatCompletions, Surface::Responses, Surface::Messages, Surface::GenerateContent];

    #[test]
    fn callers_are_served_in_their_own_form_where_it_is_there_and_else_by_conversion() {
        use Surface::{ChatCompletions as Chat, GenerateContent, Messages, Responses};
        let catalog = Catalog::shipped().unwrap();
        for (slug, expected) in [
            ("openai", [Chat, Responses, Chat, Chat]),
            ("azure-openai", [Chat, Responses, Chat, Chat]),
            ("openai-compatible", [Chat, Responses, Chat, Chat]),
            ("custom", [Chat, Chat, Chat, Chat]),
            ("deepseek", [Chat, Chat, Messages, Chat]),
            ("moonshot", [Chat, Chat, Messages, Chat]),
            ("zhipu-v4", [Chat, Chat, Messages, Chat]),
            ("minimax", [Chat, Chat, Messages, Chat]),
            ("mistral", [Chat, Chat, Chat, Chat]),
            ("anthropic", [Messages, Messages, Messages, Messages]),
            ("aws-bedrock", [Messages, Messages, Messages, Messages]),
            ("openai-codex", [Responses, Responses, Responses, Responses]),
            ("google-gemini", [GenerateContent, GenerateContent, GenerateContent, GenerateContent]),
            ("ollama", [Surface::Vendor(Vendor::Ollama); 4]),
            ("cohere", [Surface::Vendor(Vendor::Cohere); 4]),
            ("dify", [Surface::Vendor(Vendor::Dify); 4]),
        ] {
            let provider = catalog.get(slug).unwrap();
            assert_eq!(CONVERSATIONS.map(|caller| provider.speaks(caller)), expected.map(Some), "{slug}");
        }
    }

    #[test]
    fn what_an_address_lacks_is_asked_for_in_another_form() {
        let catalog = Catalog::shipped().unwrap();
        let provider = catalog.get("openai-compatible").unwrap();
        let base = provider.parse_base_url("https://x.example/v1").unwrap();
        let without = |missing: Surface| provider.speaks_without(Surface::Responses, &base, "m", |surface| surface == missing);
        assert!(provider.may_lack(Surface::Responses) && !provider.may_lack(Surface::ChatCompletions));
        assert_eq!(without(Surface::Messages), Some(Surface::Responses));
        assert_eq!(without(Surface::Responses), Some(Surface::ChatCompletions));
    }

    #[test]
    fn tools_of_models_that_reason_are_asked_for_at_responses() {
        let catalog = Catalog::shipped().unwrap();
        let lacks = |slug: &str, base: &str, surface, model: &str| {
            let provider = catalog.get(slug).unwrap();
            provider.lacks_tools(surface, &provider.parse_base_url(base).unwrap(), model)
        };
        for (slug, base) in [("openai", ""), ("azure-openai", "https://r.openai.azure.com")] {
            for model in ["gpt-5.6", "gpt-5", "o3"] {
                assert!(lacks(slug, base, Surface::ChatCompletions, model), "{slug} {model}");
                assert!(!lacks(slug, base, Surface::Responses, model), "{slug} {model}");
                assert!(!lacks(slug, "https://proxy.example", Surface::ChatCompletions, model), "{slug} {model}");
            }
            assert!(
                !lacks(slug, base, Surface::ChatCompletions, "gpt-4o")
                    && !lacks(slug, base, Surface::ChatCompletions, "gpt-5-chat-latest")
            );
        }
    }

    #[test]
    fn vectors_are_asked_for_in_either_form_and_completions_and_reranking_in_their_own() {
        use Surface::{BatchEmbedContents, EmbedContent, Embeddings};
        let catalog = Catalog::shipped().unwrap();
        let vectors = |slug: &str| {
            let provider = catalog.get(slug).unwrap();
            [Embeddings, EmbedContent, BatchEmbedContents].map(|caller| provider.speaks(caller))
        };
        assert_eq!(vectors("openai"), [Some(Embeddings); 3]);
        assert_eq!(vectors("jina"), [Some(Embeddings); 3]);
        assert_eq!(vectors("google-gemini"), [BatchEmbedContents, EmbedContent, BatchEmbedContents].map(Some));
        assert_eq!(vectors("anthropic"), [None; 3]);
        for (slug, completions, rerank) in [("openai", true, true), ("google-gemini", false, false), ("jina", false, true)] {
            let provider = catalog.get(slug).unwrap();
            assert_eq!(provider.speaks(Surface::Completions).is_some(), completions, "{slug}");
            assert_eq!(provider.speaks(Surface::Rerank).is_some(), rerank, "{slug}");
        }
        assert_eq!(catalog.get("jina").unwrap().speaks(Surface::ChatCompletions), None);
        assert_eq!(catalog.get("mistral").unwrap().speaks(Surface::Edits), Some(Surface::ChatCompletions));
        assert_eq!(catalog.get("anthropic").unwrap().speaks(Surface::Edits), Some(Surface::Messages));
    }

    #[test]
    fn tokens_are_counted_where_a_provider_counts_them() {
        let catalog = Catalog::shipped().unwrap();
        let counts = |slug: &str, caller| {
            let provider = catalog.get(slug).unwrap();
            let base = provider.base_url.default.as_deref().unwrap_or("https://x.example");
            provider.counts_for(caller, &provider.parse_base_url(base).unwrap(), "m")
        };
        for caller in CountSurface::ALL {
            assert_eq!(counts("anthropic", caller), Some(CountSurface::Messages));
            assert_eq!(counts("google-gemini", caller), Some(CountSurface::Gemini));
            assert_eq!(counts("openai", caller), Some(CountSurface::Responses));
            assert_eq!(counts("mistral", caller), None);
        }
    }

    #[test]
    fn every_vendors_protocol_has_a_provider_and_is_never_a_callers() {
        let catalog = Catalog::shipped().unwrap();
        for vendor in Vendor::ALL {
            let surface = Surface::Vendor(vendor);
            let speaks = |provider: &&std::sync::Arc<Provider>| provider.speaks(Surface::Messages) == Some(surface);
            assert_eq!(catalog.iter().filter(speaks).count(), 1, "{vendor:?}");
            assert!(!CONVERSATIONS.contains(&surface));
        }
    }

    #[test]
    fn one_model_at_one_address_may_have_more_or_less() {
        let catalog = Catalog::shipped().unwrap();
        let speaks = |slug: &str, base: &str, caller, model: &str| {
            let provider = catalog.get(slug).unwrap();
            provider.speaks_for(caller, &provider.parse_base_url(base).unwrap(), model)
        };
        let chat = Some(Surface::ChatCompletions);
        assert_eq!(speaks("ali-dashscope", "", Surface::Messages, "qwen3-max"), Some(Surface::Messages));
        assert_eq!(speaks("ali-dashscope", "", Surface::Messages, "deepseek-v3"), chat);
        assert_eq!(speaks("volcengine-ark", "", Surface::Messages, "m"), chat);
        assert_eq!(speaks("volcengine-ark", "doubao-coding-plan", Surface::Messages, "m"), Some(Surface::Messages));
        assert_eq!(speaks("volcengine-ark", "doubao-coding-plan", Surface::Responses, "m"), chat);
        assert_eq!(speaks("openai", "", Surface::ChatCompletions, "o3-pro"), Some(Surface::Responses));
        assert_eq!(speaks("openai", "", Surface::ChatCompletions, "o3"), chat);
        let azure = "https://r.openai.azure.com";
        for model in [
            "o1-pro",
            "gpt-5-pro",
            "gpt-5.2-pro-2025-12-11",
            "gpt-5-codex",
            "gpt-5.1-codex-max",
            "codex-mini-latest",
            "o4-mini-deep-research",
        ] {
            assert_eq!(speaks("openai", "", Surface::ChatCompletions, model), Some(Surface::Responses), "{model}");
            assert_eq!(speaks("openai", "", Surface::Messages, model), Some(Surface::Responses), "{model}");
            assert_eq!(speaks("openai", "https://proxy.example", Surface::ChatCompletions, model), chat, "{model}");
            assert_eq!(speaks("azure-openai", azure, Surface::GenerateContent, model), Some(Surface::Responses), "{model}");
        }
        for model in ["gpt-5", "gpt-5.6", "o3-mini", "ft:gpt-4o-mini:acme-pro::1", "gpt-4o"] {
            assert_eq!(speaks("openai", "", Surface::Messages, model), chat, "{model}");
            assert_eq!(speaks("azure-openai", azure, Surface::ChatCompletions, model), chat, "{model}");
        }
        assert_eq!(speaks("openai", "https://proxy.example", Surface::ChatCompletions, "o3-pro"), chat);
        assert_eq!(speaks("custom", "https://x.example", Surface::Messages, "m"), chat);
        assert_eq!(speaks("google-vertex", "", Surface::ChatCompletions, "claude-opus-4-6"), Some(Surface::Messages));
        assert_eq!(speaks("google-vertex", "", Surface::Messages, "gemini-2.5-pro"), Some(Surface::GenerateContent));
        assert_eq!(speaks("google-vertex", "", Surface::GenerateContent, "meta/llama-maas"), chat);
        assert_eq!(speaks("aws-bedrock", "", Surface::ChatCompletions, "amazon.nova-pro-v1:0"), None);
    }
}
