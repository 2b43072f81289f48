//! Tencent Cloud's TC3-HMAC-SHA256, for Hunyuan.
//!
//! <https://www.tencentcloud.com/document/api/845/32206>

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::{SignError, hmac_sha256, parts, sha256_hex, time};

/// The service's own host: it is signed whatever address the channel has, unless that is Tencent's too.
pub const HOST: &str = "hunyuan.tencentcloudapi.com";
const SERVICE: &str = "hunyuan";
const VERSION: &str = "2023-09-01";
const ALGORITHM: &str = "TC3-HMAC-SHA256";
const SIGNED_HEADERS: &str = "content-type;host;x-tc-action";

/// Puts the headers of a signed request: what is asked for, when, and the signature. `key` is `AppId|SecretId|SecretKey`; `body` is sent as
/// it is given here.
///
/// # Errors
/// When the key does not have its parts.
pub fn sign(
    headers: &mut HeaderMap,
    key: &str,
    action: &'static str,
    host: &str,
    body: &[u8],
    now_secs: i64,
) -> Result<(), SignError> {
    let [_app, id, secret] = parts(key).ok_or(SignError::Key("AppId|SecretId|SecretKey"))?;
    let host = if host.ends_with(".tencentcloudapi.com") { host } else { HOST };
    let scope = format!("{}/{SERVICE}/tc3_request", time(now_secs, "%Y-%m-%d")?);
    let signature = signature(secret, &scope, now_secs, &sha256_hex(canonical(action, host, body).as_bytes()));
    let authorization = format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={SIGNED_HEADERS}, Signature={signature}");
    let mut authorization = HeaderValue::try_from(authorization).map_err(|_| SignError::Request)?;
    authorization.set_sensitive(true);
    headers.insert(AUTHORIZATION, authorization);
    // signed, so it is not the caller's
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HeaderName::from_static("x-tc-action"), HeaderValue::from_static(action));
    headers.insert(HeaderName::from_static("x-tc-version"), HeaderValue::from_static(VERSION));
    headers.insert(HeaderName::from_static("x-tc-timestamp"), HeaderValue::from(now_secs));
    Ok(())
}

fn canonical(action: &str, host: &str, body: &[u8]) -> String {
    let action = action.to_ascii_lowercase();
    let body = sha256_hex(body);
    format!("POST\n/\n\ncontent-type:application/json\nhost:{host}\nx-tc-action:{action}\n\n{SIGNED_HEADERS}\n{body}")
}

fn signature(secret: &str, scope: &str, now_secs: i64, canonical_hash: &str) -> String {
    let text = format!("{ALGORITHM}\n{now_secs}\n{scope}\n{canonical_hash}");
    let mut key = hmac_sha256(format!("TC3{secret}").as_bytes(), scope.split('/').next().unwrap_or_default().as_bytes());
    for step in [SERVICE, "tc3_request"] {
        key = hmac_sha256(&key, step.as_bytes());
    }
    hex::encode(hmac_sha256(&key, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"Model":"hunyuan-lite","Messages":[{"Role":"user","Content":"hi"}],"Stream":false}"#;
    const NOW: i64 = 1_700_000_000;

    #[test]
    fn each_step_is_that_of_the_vector() {
        assert_eq!(sha256_hex(BODY), "c371332eb9f59f25b54b547b7e22c0729884f1924477e3ab60706930918936c5");
        let canonical = sha256_hex(canonical("ChatCompletions", HOST, BODY).as_bytes());
        assert_eq!(canonical, "9942add5d3d2484393f8cf16a110b9b1890ac9fd3dc42f9ee1ef7bbe941182a3");
    }

    #[test]
    fn a_request_is_signed_as_in_the_vector() {
        let mut headers = HeaderMap::new();
        sign(&mut headers, "125|AKID|sk", "ChatCompletions", "proxy.example", BODY, NOW).unwrap();
        let authorization = &headers[AUTHORIZATION];
        assert_eq!(
            authorization,
            "TC3-HMAC-SHA256 Credential=AKID/2023-11-14/hunyuan/tc3_request, SignedHeaders=content-type;host;x-tc-action, \
             Signature=464ca5c8629a23b66f56c3faf65b08f6eb74209c1609fc17c68fb8a68b980ba9"
        );
        assert!(authorization.is_sensitive());
        assert_eq!(headers["x-tc-action"], "ChatCompletions");
        assert_eq!(headers["x-tc-timestamp"], "1700000000");
        assert_eq!(headers["x-tc-version"], "2023-09-01");
    }

    #[test]
    fn tencents_other_hosts_are_signed_as_themselves() {
        let signed = |host: &str| {
            let mut headers = HeaderMap::new();
            sign(&mut headers, "1|a|b", "ChatCompletions", host, BODY, NOW).unwrap();
            headers.remove(AUTHORIZATION)
        };
        assert_eq!(signed("proxy.example"), signed(HOST));
        assert_ne!(signed("hunyuan.ap-singapore.tencentcloudapi.com"), signed(HOST));
    }

    #[test]
    fn a_key_without_its_parts_is_refused() {
        let error = sign(&mut HeaderMap::new(), "AKID|sk", "ChatCompletions", HOST, BODY, NOW).unwrap_err();
        assert_eq!(error.to_string(), "the key must be AppId|SecretId|SecretKey");
    }
}
