//! Token estimates for images, audio, video and files in a prompt, before the provider has said what they cost.

use crate::naming::mentions;
use crate::tokenizer::Vocabulary;

/// Tokens of one audio part.
pub const AUDIO_TOKENS: u64 = 256;
/// Tokens of one video part.
pub const VIDEO_TOKENS: u64 = 8192;
/// Tokens of one file, or of a part of unknown kind.
pub const FILE_TOKENS: u64 = 4096;
/// Tokens of one image for a model whose rule is not known.
const OTHER_IMAGE_TOKENS: u64 = 520;

/// How closely the model is asked to look at an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// A thumbnail.
    Low,
    /// `high`, `auto` or not said.
    High,
}

/// Width and height of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// How a model turns an image into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// A base and so much for each 512-pixel tile.
    Tiles { base: u64, tile: u64 },
    /// So many hundredths of a token for each 32-pixel patch.
    Patches { hundredths: u64 },
    /// The same for every image.
    Fixed(u64),
}

const MAX_PATCHES: u64 = 1536;
/// What stands for the base where a patch model has none.
const PATCH_BASE: u64 = 85;

/// The rules by name; the first whose part is in the name applies. Other models of OpenAI are tile models of 85 and 170.
const LOOKS: [(&str, Look); 11] = [
    ("glm-4", Look::Fixed(1047)),
    ("gpt-4.1-nano", Look::Patches { hundredths: 246 }),
    ("gpt-5-nano", Look::Patches { hundredths: 246 }),
    ("gpt-4.1-mini", Look::Patches { hundredths: 162 }),
    ("gpt-5-mini", Look::Patches { hundredths: 162 }),
    ("o4-mini", Look::Patches { hundredths: 172 }),
    ("gpt-4o-mini", Look::Tiles { base: 2833, tile: 5667 }),
    ("gpt-5", Look::Tiles { base: 70, tile: 140 }),
    ("o1", Look::Tiles { base: 75, tile: 150 }),
    ("o3", Look::Tiles { base: 75, tile: 150 }),
    ("computer-use-preview", Look::Tiles { base: 65, tile: 129 }),
];

fn look_of(model: &str) -> Look {
    let known = LOOKS.iter().find(|(part, _)| mentions(model, part)).map(|(_, look)| *look);
    known.unwrap_or_else(|| match Vocabulary::of(model) {
        Some(_) => Look::Tiles { base: 85, tile: 170 },
        None => Look::Fixed(OTHER_IMAGE_TOKENS),
    })
}

/// Tokens of one image in a prompt. Without a size (it is not looked at, or not known) three times the model's base.
#[must_use]
pub fn image_tokens(model: &str, detail: Detail, size: Option<Size>) -> u64 {
    match (look_of(model), detail, size) {
        (Look::Fixed(tokens), _, _) => tokens,
        (Look::Tiles { base, .. }, Detail::Low, _) => base,
        (Look::Tiles { base, .. }, Detail::High, None) => 3 * base,
        (Look::Tiles { base, tile }, Detail::High, Some(size)) => base + tiles(size) * tile,
        (Look::Patches { .. }, _, None) => 3 * PATCH_BASE,
        (Look::Patches { hundredths }, _, Some(size)) => (patches(size) * hundredths + 50) / 100,
    }
}

/// 512-pixel tiles of an image whose shorter side is scaled to 768 pixels and whose longer one is held to 2048.
fn tiles(size: Size) -> u64 {
    let (short, long) = sides(size);
    let along = (3 * long).div_ceil(2 * short).min(4);
    2 * along
}

/// 32-pixel patches of an image shrunk, if need be, so that whole patches of it number at most 1536. In integers throughout.
fn patches(size: Size) -> u64 {
    let (width, height) = (u64::from(size.width.max(1)), u64::from(size.height.max(1)));
    let plain = width.div_ceil(32) * height.div_ceil(32);
    if plain <= MAX_PATCHES {
        return plain;
    }
    let (short, long) = sides(size);
    // shrunk to the area of 1536 patches, the sides have √(1536·long/short) and √(1536·short/long) patches
    let along = (MAX_PATCHES * long / short).isqrt();
    let across = (MAX_PATCHES * short / long).isqrt().max(1);
    // then shrunk a little more, until the side that loses less by it has whole patches
    let whole = if across * long <= along * short {
        across * (across * long).div_ceil(short)
    } else {
        along * (along * short).div_ceil(long)
    };
    whole.min(MAX_PATCHES)
}

fn sides(size: Size) -> (u64, u64) {
    let (width, height) = (u64::from(size.width.max(1)), u64::from(size.height.max(1)));
    (width.min(height), width.max(height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn px(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn the_examples_of_the_specification_hold() {
        let sizes = [px(1024, 1024), px(512, 512), px(2048, 4096), px(1920, 1080)];
        for (model, tokens) in [
            ("gpt-4o", [765, 765, 1105, 1105]),
            ("gpt-4.1", [765, 765, 1105, 1105]),
            ("gpt-4.5-preview", [765, 765, 1105, 1105]),
            ("o1", [675, 675, 975, 975]),
            ("o3-pro", [675, 675, 975, 975]),
            ("gpt-5", [630, 630, 910, 910]),
            ("gpt-5-chat-latest", [630, 630, 910, 910]),
            ("gpt-4o-mini", [25501, 25501, 36835, 36835]),
            ("computer-use-preview", [581, 581, 839, 839]),
            ("gpt-4.1-mini", [1659, 415, 2362, 2443]),
            ("gpt-5-mini", [1659, 415, 2362, 2443]),
            ("o4-mini", [1761, 440, 2508, 2594]),
            ("gpt-4.1-nano", [2519, 630, 3587, 3710]),
            ("gpt-5-nano", [2519, 630, 3587, 3710]),
            ("glm-4v", [1047; 4]),
            ("claude-sonnet-4-5", [520; 4]),
        ] {
            assert_eq!(sizes.map(|size| image_tokens(model, Detail::High, Some(size))), tokens, "{model}");
        }
    }

    #[test]
    fn low_detail_costs_the_base_of_tile_models_only() {
        assert_eq!(image_tokens("gpt-4o", Detail::Low, Some(px(1024, 1024))), 85);
        assert_eq!(image_tokens("o4-mini", Detail::Low, Some(px(1024, 1024))), 1761);
    }

    #[test]
    fn an_image_that_is_not_looked_at_costs_three_bases() {
        assert_eq!(image_tokens("gpt-4o", Detail::High, None), 255);
        assert_eq!(image_tokens("o4-mini", Detail::High, None), 255);
        assert_eq!(image_tokens("gemini-2.5-pro", Detail::High, None), 520);
    }

    proptest! {
        #[test]
        fn no_image_however_odd_costs_more_than_the_largest(width: u32, height: u32) {
            prop_assert!(image_tokens("gpt-4o", Detail::High, Some(px(width, height))) <= 85 + 8 * 170);
            prop_assert!(patches(px(width, height)) <= MAX_PATCHES);
            prop_assert_eq!(patches(px(width, height)), patches(px(height, width)));
        }
    }
}
