//! DeepL's translations: <https://developers.deepl.com/api-reference/translate>.
//!
//! What the user says last is translated; there is no conversation. The language is the end of the model's name (`deepl-de`, `deepl-pt-br`),
//! Chinese without one. DeepL tells no tokens: they are estimated, as for everybody who tells none.

use serde_json::{Value, json};

use super::settings::{Body, one, said, text};
use super::talk::{self, Images, Speaker, Takes};
use super::wishes;
use crate::codec::{AnswerError, Written};
use crate::ir::{Finish, OutputFormat, Request, Response};
use crate::loss::{Field, Losses, Unsupported};
use crate::target::Target;

const TAKES: Takes = Takes { images: Images::None, calls: false, thinking: false };
/// What it is translated into where the model's name says nothing.
const DEFAULT_LANGUAGE: &str = "ZH";

pub(super) fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    wishes::lose(request, &[], losses)?;
    if request.output != OutputFormat::Text {
        losses.reject(Field::OutputFormat)?;
    }
    let mut written = Written::default();
    let lines = talk::lines(request, TAKES, None, &mut written.names, losses)?;
    let said = lines.iter().rfind(|line| line.speaker == Speaker::User).map(|line| line.text.as_str()).unwrap_or_default();
    written.body =
        Body::from_iter([("text".to_owned(), json!([said])), ("target_lang".to_owned(), language(target.model).into())]);
    Ok(written)
}

fn language(model: &str) -> String {
    let named = model.split_once('-').map(|(_, language)| language).filter(|language| !language.is_empty());
    named.unwrap_or(DEFAULT_LANGUAGE).to_ascii_uppercase()
}

pub(super) fn read(answer: &Value) -> Result<Response, AnswerError> {
    let translations = answer.get("translations").and_then(Value::as_array).ok_or(AnswerError::Without("translations"))?;
    let words = translations.iter().map(|translation| text(translation, "/text")).collect::<Vec<_>>().join("\n");
    Ok(one("", "", said("", &words), Finish::Stop, None))
}
