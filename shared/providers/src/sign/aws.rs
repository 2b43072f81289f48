//! AWS: keys of Bedrock, and Signature Version 4.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningParams, SigningSettings};
use aws_sigv4::sign::v4;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Method, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{SignError, parts};
use crate::endpoint::is_region;

/// A key of Bedrock.
#[derive(Debug, Clone)]
pub enum AwsKey {
    /// A pair that signs requests.
    Pair {
        /// The access key id.
        id: String,
        /// The secret access key.
        secret: SecretString,
        /// The region it is used in.
        region: String,
    },
    /// A key that is sent as it is.
    Bearer {
        /// The key.
        secret: SecretString,
        /// The region it is used in.
        region: String,
    },
}

impl AwsKey {
    /// Reads `AccessKey|SecretKey|Region` or `APIKey|Region`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(key: &str) -> Result<Self, SignError> {
        if let Some([id, secret, region]) = parts(key).filter(|[_, _, region]| is_region(region)) {
            return Ok(Self::Pair { id: id.to_owned(), secret: secret.into(), region: region.to_owned() });
        }
        if let Some([secret, region]) = parts(key).filter(|[_, region]| is_region(region)) {
            return Ok(Self::Bearer { secret: secret.into(), region: region.to_owned() });
        }
        Err(SignError::Key("AccessKey|SecretKey|Region or APIKey|Region"))
    }

    /// The region it is used in.
    #[must_use]
    pub fn region(&self) -> &str {
        match self {
            Self::Pair { region, .. } | Self::Bearer { region, .. } => region,
        }
    }

    /// Proves the key: signs the request, or sends the key, without its region. The address, the headers so far and the body are sent as
    /// they are given here.
    ///
    /// # Errors
    /// When the request cannot be signed.
    pub fn sign(
        &self,
        (method, url): (&Method, &Url),
        headers: &mut HeaderMap,
        body: &[u8],
        service: &str,
        now_secs: i64,
    ) -> Result<(), SignError> {
        let (id, secret, region) = match self {
            Self::Pair { id, secret, region } => (id, secret, region),
            Self::Bearer { secret, .. } => {
                let value = format!("Bearer {}", secret.expose_secret());
                headers.insert(AUTHORIZATION, sensitive(&value)?);
                return Ok(());
            }
        };
        let time = Timestamp::from_second(now_secs).map_err(|_| SignError::Time)?;
        let identity = Credentials::new(id, secret.expose_secret(), None, None, "sluice").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time(time.into())
            .settings(SigningSettings::default())
            .build();
        let params = SigningParams::from(params.map_err(|_| SignError::Request)?);
        let given = signed_headers(headers);
        let pairs = given.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SignableRequest::new(method.as_str(), url.as_str(), pairs, SignableBody::Bytes(body));
        let request = request.map_err(|_| SignError::Request)?;
        let signed = aws_sigv4::http_request::sign(request, &params).map_err(|_| SignError::Request)?;
        let (proof, _) = signed.into_parts();
        for (name, value) in proof.headers() {
            let name = HeaderName::try_from(name).map_err(|_| SignError::Request)?;
            headers.insert(name, sensitive(value)?);
        }
        Ok(())
    }
}

/// The headers that are signed: the type of the body, and Amazon's own. Others may be changed by proxies on the way.
fn signed_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let is_signed = |name: &HeaderName| *name == header::CONTENT_TYPE || name.as_str().starts_with("x-amz");
    let signed = headers.iter().filter(|(name, _)| is_signed(name));
    signed.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))).collect()
}

fn sensitive(text: &str) -> Result<HeaderValue, SignError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| SignError::Request)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: &str = "AKIDEXAMPLE|wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY|us-east-1";
    /// 2015-08-30T12:36:00Z
    const NOW: i64 = 1_440_938_160;

    #[test]
    fn a_request_is_signed_as_in_amazons_example() {
        let url = Url::parse("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"));
        AwsKey::parse(PAIR).unwrap().sign((&Method::GET, &url), &mut headers, b"", "iam", NOW).unwrap();
        assert_eq!(
            headers[AUTHORIZATION],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
        assert_eq!(headers["x-amz-date"], "20150830T123600Z");
        assert!(headers[AUTHORIZATION].is_sensitive());
    }

    #[test]
    fn a_models_name_is_escaped_once_more_where_it_is_signed() {
        let url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-sonnet-4-20250514-v1%3A0/invoke";
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let key = AwsKey::parse(PAIR).unwrap();
        key.sign((&Method::POST, &Url::parse(url).unwrap()), &mut headers, br#"{"max_tokens":16}"#, "bedrock", NOW).unwrap();
        assert_eq!(
            headers[AUTHORIZATION],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=4b2e3f923c2dc36cf4bf4956009e964172dc780d0b5f6b959b75f86213a20e8b"
        );
    }

    #[test]
    fn a_single_key_is_sent_without_its_region() {
        let key = AwsKey::parse("ABSK123 | eu-west-1").unwrap();
        assert_eq!(key.region(), "eu-west-1");
        let mut headers = HeaderMap::new();
        let url = Url::parse("https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/converse").unwrap();
        key.sign((&Method::POST, &url), &mut headers, b"{}", "bedrock", NOW).unwrap();
        assert_eq!(headers[AUTHORIZATION], "Bearer ABSK123");
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn keys_of_other_forms_are_refused() {
        for key in ["AK", "AK|SK|us-east-1|x", "AK|SK|", "key|evil.example/", "AK|SK|US EAST"] {
            assert!(AwsKey::parse(key).is_err(), "{key}");
        }
        assert!(!format!("{:?}", AwsKey::parse(PAIR).unwrap()).contains("wJalr"));
    }
}
