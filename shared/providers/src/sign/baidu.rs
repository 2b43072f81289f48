//! Baidu's tokens for its first interface: a key `APIKey|SecretKey` is exchanged for one that stands in addresses.

use url::Url;

use super::{SignError, parts, sha256_hex};

/// Where tokens are fetched.
const TOKEN_ADDRESS: &str = "https://aip.baidubce.com/oauth/2.0/token";
/// A token with less than this left is fetched anew, in seconds.
pub const REFRESH_BEFORE_SECS: u64 = 60 * 60;
/// What answers say of a token that is good no longer: it is thrown away, and the request sent once more.
const STALE: [i64; 2] = [110, 111];

/// The address that a token is fetched from, by POST without body. It holds the key. [`super::AccessToken::read`] reads the answer.
///
/// # Errors
/// When the key does not have its parts.
pub fn token_address(key: &str) -> Result<Url, SignError> {
    let [id, secret] = parts(key).ok_or(SignError::Key("APIKey|SecretKey"))?;
    let mut url = Url::parse(TOKEN_ADDRESS).map_err(|_| SignError::Request)?;
    url.query_pairs_mut()
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", id)
        .append_pair("client_secret", secret);
    Ok(url)
}

/// Tells a key from others without showing it: tokens are kept under it.
///
/// # Errors
/// When the key does not have its parts.
pub fn digest(key: &str) -> Result<String, SignError> {
    let [id, secret] = parts(key).ok_or(SignError::Key("APIKey|SecretKey"))?;
    Ok(sha256_hex(format!("{id}|{secret}").as_bytes()))
}

/// Puts a token into an address.
pub fn put(url: &mut Url, token: &str) {
    url.query_pairs_mut().append_pair("access_token", token);
}

/// Whether an answer's `error_code` says that the token is good no longer.
#[must_use]
pub fn is_stale(error_code: i64) -> bool {
    STALE.contains(&error_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_with_the_keys_parts() {
        let url = token_address("a k|s&k").unwrap();
        assert_eq!(
            url.as_str(),
            "https://aip.baidubce.com/oauth/2.0/token?grant_type=client_credentials&client_id=a+k&client_secret=s%26k"
        );
        assert_eq!(token_address("ak").unwrap_err(), SignError::Key("APIKey|SecretKey"));
    }

    #[test]
    fn a_token_stands_in_the_address() {
        let mut url = Url::parse("https://aip.baidubce.com/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/completions").unwrap();
        put(&mut url, "24.a/b");
        assert!(url.as_str().ends_with("/chat/completions?access_token=24.a%2Fb"));
    }

    #[test]
    fn two_codes_ask_for_another_token() {
        assert!(is_stale(110) && is_stale(111) && !is_stale(17));
    }
}
