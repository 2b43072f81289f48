//! Names of models as clouds call them, where they stand in addresses.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Digits of a date at the end of a name.
const DATE_DIGITS: usize = 8;
/// The one name whose version is between name and date.
const SECOND_SONNET: (&str, &str) = ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet-v2@20241022");

/// Ids of models at AWS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BedrockIds {
    /// Names and their ids. Other names are ids themselves.
    pub ids: Vec<(String, String)>,
    /// Groups of regions: before the id of a model that is served by all of a group stands the group's word.
    pub groups: Vec<RegionGroup>,
}

/// A group of regions that serve some models together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionGroup {
    /// The name of its region, or how the names of its regions begin, up to a hyphen; `*`: all there are.
    pub regions: String,
    /// What stands before the id, without the dot.
    pub prefix: String,
    /// Names of models.
    pub models: Vec<String>,
}

impl BedrockIds {
    pub(super) fn id<'m>(&self, model: &'m str, region: &str) -> Cow<'m, str> {
        let Some((_, id)) = self.ids.iter().find(|(name, _)| name == model) else { return Cow::Borrowed(model) };
        let is_in = |group: &RegionGroup| {
            let rest = region.strip_prefix(group.regions.as_str());
            group.regions == "*" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let serves = |group: &RegionGroup| group.models.iter().any(|served| served == model);
        match self.groups.iter().find(|group| is_in(group) && serves(group)) {
            Some(group) => Cow::Owned(format!("{}.{id}", group.prefix)),
            None => Cow::Owned(id.clone()),
        }
    }
}

/// Vertex writes the date of a Claude after `@`.
pub(super) fn claude_at_vertex(model: &str) -> Cow<'_, str> {
    if model == SECOND_SONNET.0 {
        return Cow::Borrowed(SECOND_SONNET.1);
    }
    match model.rsplit_once('-') {
        Some((name, date)) if model.starts_with("claude") && is_date(date) && !name.contains('@') => {
            Cow::Owned(format!("{name}@{date}"))
        }
        _ => Cow::Borrowed(model),
    }
}

/// The word of a table, or the name in small letters.
pub(super) fn in_path<'m>(names: &[(String, String)], model: &'m str) -> Cow<'m, str> {
    match names.iter().find(|(name, _)| name.eq_ignore_ascii_case(model)) {
        Some((_, word)) => Cow::Owned(word.clone()),
        None => Cow::Owned(model.to_ascii_lowercase()),
    }
}

fn is_date(text: &str) -> bool {
    text.len() == DATE_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::Catalog;

    #[rstest]
    #[case("claude-sonnet-4-20250514", "us-east-1", "us.anthropic.claude-sonnet-4-20250514-v1:0")]
    #[case("claude-sonnet-4-20250514", "ap-northeast-1", "apac.anthropic.claude-sonnet-4-20250514-v1:0")]
    #[case("claude-opus-4-20250514", "us-west-2", "us.anthropic.claude-opus-4-20250514-v1:0")]
    #[case("claude-opus-4-20250514", "eu-west-1", "anthropic.claude-opus-4-20250514-v1:0")]
    #[case("claude-3-5-sonnet-20241022", "eu-west-1", "anthropic.claude-3-5-sonnet-20241022-v2:0")]
    #[case("claude-opus-4-6", "sa-east-1", "global.anthropic.claude-opus-4-6-v1")]
    #[case("claude-sonnet-4-5-20250929", "ap-northeast-1", "jp.anthropic.claude-sonnet-4-5-20250929-v1:0")]
    #[case("claude-haiku-4-5-20251001", "ap-southeast-2", "au.anthropic.claude-haiku-4-5-20251001-v1:0")]
    #[case("claude-opus-4-6", "ap-southeast-2", "global.anthropic.claude-opus-4-6-v1")]
    #[case("claude-sonnet-4-5-20250929", "ap-south-1", "global.anthropic.claude-sonnet-4-5-20250929-v1:0")]
    #[case("claude-sonnet-4-5-20250929", "apx-south-1", "global.anthropic.claude-sonnet-4-5-20250929-v1:0")]
    #[case("global.anthropic.claude-x-v1:0", "us-east-1", "global.anthropic.claude-x-v1:0")]
    #[case("arn:aws:bedrock:us-east-1:1:x/claude", "us-east-1", "arn:aws:bedrock:us-east-1:1:x/claude")]
    fn bedrock_has_ids_and_groups_of_regions(#[case] model: &str, #[case] region: &str, #[case] id: &str) {
        assert_eq!(Catalog::shipped().unwrap().get("aws-bedrock").unwrap().name_for(model, region), id);
    }

    #[rstest]
    #[case("claude-sonnet-4-5-20250929", "claude-sonnet-4-5@20250929")]
    #[case("claude-3-5-sonnet-20241022", "claude-3-5-sonnet-v2@20241022")]
    #[case("claude-opus-4-6", "claude-opus-4-6")]
    #[case("claude-sonnet-4@20250514", "claude-sonnet-4@20250514")]
    #[case("gemini-2.5-pro-20250101", "gemini-2.5-pro-20250101")]
    fn vertex_has_the_date_after_an_at(#[case] model: &str, #[case] name: &str) {
        assert_eq!(Catalog::shipped().unwrap().get("google-vertex").unwrap().name_for(model, ""), name);
    }
}
