//! Images in chat messages.

use serde_json::{Map, Value};

use super::fields::messages;

/// Cuts `data:...;base64,` off images.
pub(super) fn to_base64(body: &mut Map<String, Value>) {
    for image in images(body) {
        let url = match image {
            Value::Object(object) => object.get_mut("url"),
            other => Some(other),
        };
        if let Some(Value::String(url)) = url
            && let Some((_, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"))
        {
            *url = data.to_owned();
        }
    }
}

/// Makes an image its bare address.
pub(super) fn flatten(body: &mut Map<String, Value>) {
    for image in images(body) {
        if let Some(url) = image.get_mut("url") {
            *image = url.take();
        }
    }
}

/// What stands under `image_url` in the parts of messages.
fn images(body: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    let parts = messages(body).filter_map(|message| message.get_mut("content")?.as_array_mut()).flatten();
    parts.filter_map(|part| part.get_mut("image_url"))
}
