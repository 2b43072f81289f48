//! Images in chat messages.

use bytes::Bytes;
use sluice_dialect::json::{self, Fields, Shape};

/// Cuts `data:...;base64,` off images.
pub(super) fn to_base64(body: &mut Fields) {
    each(body, |image| match Shape::of(image) {
        Shape::Object => {
            let mut object = Fields::parse(image.clone()).ok()?;
            let data = bare(object.get("url")?)?;
            object.set("url", data);
            Some(object.finish())
        }
        _ => bare(image),
    });
}

/// Makes an image its bare address.
pub(super) fn flatten(body: &mut Fields) {
    each(body, |image| match Shape::of(image) {
        Shape::Object => Fields::parse(image.clone()).ok()?.get("url").cloned(),
        _ => None,
    });
}

/// The data of an address that holds them.
fn bare(url: &Bytes) -> Option<Bytes> {
    let url: String = serde_json::from_slice(url).ok()?;
    let (_, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    Some(json::quoted(data).into())
}

/// What stands under `image_url` in the parts of messages.
fn each(body: &mut Fields, mut change: impl FnMut(&Bytes) -> Option<Bytes>) {
    body.each_object("messages", |message| {
        message.each_object("content", |part| {
            if let Some(changed) = part.get("image_url").and_then(&mut change) {
                part.set("image_url", changed);
            }
        });
    });
}
