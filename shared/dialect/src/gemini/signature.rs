//! `thoughtSignature`: bytes in base64. Google's own go as they are; envelopes of other families' state are put into base64 once
//! more, because clients decode the field and encode it again in the other alphabet.

use crate::ir::{Family, Signature};
use crate::media;
use crate::signature::Sealer;
use crate::target::Target;

/// How an envelope begins, decoded.
const ENVELOPE: &[u8] = b"slc1.";

/// What a caller sent back; `None` for a broken envelope.
pub(super) fn read(wire: &str, sealer: &Sealer) -> Option<Signature> {
    let envelope = media::decode(wire).filter(|bytes| bytes.starts_with(ENVELOPE));
    match envelope.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()) {
        Some(envelope) => sealer.read(envelope, Family::Google),
        None => sealer.read(wire, Family::Google),
    }
}

/// What a caller gets.
pub(super) fn write(signature: &Signature, sealer: &Sealer) -> String {
    let wire = sealer.wire(signature, Family::Google);
    if signature.family == Family::Google { wire } else { media::encode(wire.as_bytes()) }
}

/// What the upstream gets: its own state, of the same account.
pub(super) fn for_upstream<'s>(signature: &'s Signature, target: &Target<'_>) -> Option<&'s str> {
    let is_own = signature.family == target.family && (signature.account.is_none() || signature.account == target.account);
    is_own.then_some(signature.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_survives_a_client_that_encodes_it_anew() {
        let sealer = Sealer::new(&[3; 32]);
        let claude = Signature { family: Family::Anthropic, account: Some(1), item: None, value: "EqQB~~~".to_owned() };
        let wire = write(&claude, &sealer);
        let url_safe = wire.trim_end_matches('=').replace('+', "-").replace('/', "_");
        assert_eq!(read(&wire, &sealer), Some(claude.clone()));
        assert_eq!(read(&url_safe, &sealer), Some(claude.clone()));
        assert_eq!(read(&sealer.seal(&claude), &sealer), Some(claude), "an envelope as it is");
        assert_eq!(read(&media::encode(b"slc1.broken"), &sealer), None);
    }

    #[test]
    fn googles_own_goes_as_it_came() {
        let sealer = Sealer::new(&[3; 32]);
        let own = Signature { family: Family::Google, account: None, item: None, value: "CpQB-_8=".to_owned() };
        assert_eq!(write(&own, &sealer), "CpQB-_8=");
        assert_eq!(read("CpQB-_8=", &sealer), Some(own));
    }
}
