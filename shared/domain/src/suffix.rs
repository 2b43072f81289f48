//! Ends of models' names that say how the model is asked: `gpt-5-high`, `claude-sonnet-4-5-thinking`, `gemini-2.5-flash-thinking-2048`.
//!
//! Here is which ends are taken for one, by whose model it is. What they mean is the dialects' affair, and whether a name is one as it stands
//! is that of whoever knows which names are configured: a name that is, is never split.

/// Ends that say how hard a model is to think.
const LEVELS: [&str; 7] = ["max", "xhigh", "high", "medium", "low", "minimal", "none"];
/// Before the number of tokens that may be thought.
const BUDGETED: &str = "-thinking";
/// Whose models can be told to think and not to, beside those of the three large makers: how their names begin.
const SWITCHED: [&str; 3] = ["qwen", "glm-", "deepseek"];

/// Whose models are asked by the end of their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// Claude.
    Anthropic,
    /// Gemini.
    Google,
    /// OpenAI's models that reason: `o` and a digit, `gpt-5` and later.
    OpenAi,
    /// Models that can be told to think or not to: Qwen, GLM, DeepSeek.
    Switched,
}

impl Maker {
    /// Whose model a name is, with or without what stands before a slash or a dot (`openai/gpt-5`, `us.anthropic.claude-…`). `None`: of
    /// somebody whose names say nothing at their end.
    #[must_use]
    pub fn of(model: &str) -> Option<Self> {
        let name = model.rsplit('/').next().unwrap_or(model);
        if mentions(name, "claude") {
            return Some(Self::Anthropic);
        }
        if mentions(name, "gemini") {
            return Some(Self::Google);
        }
        if reasons(name) {
            return Some(Self::OpenAi);
        }
        let begins = |start: &&str| name.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start));
        SWITCHED.iter().any(begins).then_some(Self::Switched)
    }

    fn takes(self, bare: &str, end: &str) -> bool {
        match self {
            Self::Anthropic => LEVELS.contains(&end) || matches!(end, "thinking" | "nothinking"),
            Self::Google => LEVELS.contains(&end) || matches!(end, "thinking" | "nothinking" | "search"),
            // `gpt-5.1-codex-max` is a model of its own
            Self::OpenAi => LEVELS.contains(&end) && !(end == "max" && bare.ends_with("codex")),
            Self::Switched => matches!(end, "thinking" | "nothinking"),
        }
    }
}

/// A model's name without its suffix, and the suffix without its hyphen: `("gemini-2.5-flash", "thinking-2048")`. `None` where it has none.
#[must_use]
pub fn split(model: &str) -> Option<(&str, &str)> {
    let (bare, end) = model.rsplit_once('-')?;
    if let Some(named) = bare.strip_suffix(BUDGETED)
        && !end.is_empty()
        && end.bytes().all(|byte| byte.is_ascii_digit())
    {
        let takes_budget = matches!(Maker::of(named), Some(Maker::Anthropic | Maker::Google));
        return takes_budget.then(|| (named, model.get(named.len() + 1..).unwrap_or_default()));
    }
    Maker::of(bare).filter(|maker| maker.takes(bare, end)).map(|_| (bare, end))
}

/// A model's name without its suffix; `None` where it has none.
#[must_use]
pub fn bare(model: &str) -> Option<&str> {
    split(model).map(|(bare, _)| bare)
}

fn mentions(name: &str, part: &str) -> bool {
    name.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

/// Whether an OpenAI model reasons, by its name without what stands before a slash: `o` and a digit, or `gpt-5` and later, but for chat
/// models (`gpt-5-chat-latest`).
#[must_use]
pub fn reasons(name: &str) -> bool {
    let digit = |rest: Option<&str>| rest.and_then(|rest| rest.chars().next()).filter(char::is_ascii_digit);
    let generation =
        name.strip_prefix("gpt-").map(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default());
    let is_late = generation.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| (5..35).contains(&number));
    digit(name.strip_prefix('o')).is_some() || (is_late && !name.contains("-chat"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_where_their_maker_has_such_ends() {
        for (name, parts) in [
            ("gpt-5-high", Some(("gpt-5", "high"))),
            ("gpt-5.1-none", Some(("gpt-5.1", "none"))),
            ("openai/o3-mini-low", Some(("openai/o3-mini", "low"))),
            ("gpt-5.1-codex-max", None),
            ("gpt-5.1-codex-max-high", Some(("gpt-5.1-codex-max", "high"))),
            ("gpt-5-thinking", None),
            ("gpt-5-chat-high", None),
            ("gpt-35-turbo-high", None),
            ("gpt-4o-high", None),
            ("omni-high", None),
            ("claude-opus-4-6-xhigh", Some(("claude-opus-4-6", "xhigh"))),
            ("us.anthropic.claude-opus-4-6-v1-max", Some(("us.anthropic.claude-opus-4-6-v1", "max"))),
            ("claude-3-7-sonnet-thinking", Some(("claude-3-7-sonnet", "thinking"))),
            ("claude-sonnet-4-5-thinking-2048", Some(("claude-sonnet-4-5", "thinking-2048"))),
            ("claude-sonnet-4-5-search", None),
            ("gemini-2.5-flash-thinking-2048", Some(("gemini-2.5-flash", "thinking-2048"))),
            ("gemini-2.5-flash-thinking-", None),
            ("gemini-2.5-flash-nothinking", Some(("gemini-2.5-flash", "nothinking"))),
            ("gemini-2.5-pro-search", Some(("gemini-2.5-pro", "search"))),
            ("qwen3-32b-nothinking", Some(("qwen3-32b", "nothinking"))),
            ("zai-org/GLM-4.6-thinking", Some(("zai-org/GLM-4.6", "thinking"))),
            ("qwen-max", None),
            ("deepseek-v3.1-thinking-512", None),
            ("kimi-k2-thinking", None),
            ("mistral-medium", None),
            ("mine-high", None),
            ("gpt-4-0613", None),
            ("-high", None),
            ("high", None),
            ("", None),
        ] {
            assert_eq!(split(name), parts, "{name}");
        }
    }
}
