use super::*;
use crate::sign::AccessToken;

const KEY: &str = include_str!("../../../tests/service_account.pem");
const NOW: i64 = 1_700_000_000;

fn account(private_key: &str) -> ServiceAccount {
    let json = json!({
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k1",
        "private_key": private_key,
        "client_email": "a@p.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    ServiceAccount::parse(&json.to_string()).unwrap()
}

#[test]
fn an_assertion_is_signed_as_openssl_signs_it() {
    let request = account(KEY).token_request(NOW).unwrap();
    assert_eq!(request.url.as_str(), "https://oauth2.googleapis.com/token");
    let body = request.body.expose_secret();
    let assertion = body
        .strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=")
        .unwrap_or_else(|| panic!("{body}"));
    let parts: Vec<&str> = assertion.split('.').collect();
    let decode = |part: &str| String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    assert_eq!(decode(parts[0]), r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#);
    assert_eq!(
        decode(parts[1]),
        r#"{"iss":"a@p.iam.gserviceaccount.com","scope":"https://www.googleapis.com/auth/cloud-platform","aud":"https://oauth2.googleapis.com/token","iat":1700000000,"exp":1700002100}"#
    );
    assert_eq!(
        parts[2],
        "bafhd8B3EUiyu-Ol9A1f46ElPNnwQ5NJuqLKZivAjQ0l7T_DDC4kasmzpBgz7gnOthsaq45362Lrlqiy323ZShYH7uDJzEz-9NUWF253nTxTPv_uITn1h4Bopk5HkIQMbtRP2pVmRoaYkWuogP2i-TuKOczNXk2eKWUdjMhXXPXrCAgCIat7xl0KOXlRHafXy33a4CfFFD2pJ9smIvrmN8FdfHvAMdfpiEPIDb5IWORiPHYdcWJW3d5ss_yyoDIOBu5lJG8m5Se0DeUbsSGDTfUbAaGNF_a0Mwm6Q1drItLgMOxTvMv7-6n9LXLz9epjxh3nceOJNe6egCir0LfeoQ"
    );
}

#[test]
fn line_ends_of_the_key_may_be_written_out() {
    let escaped = account(&KEY.replace('\n', "\\n"));
    let body = |account: &ServiceAccount| account.token_request(NOW).unwrap().body.expose_secret().to_owned();
    assert_eq!(body(&escaped), body(&account(KEY)));
}

#[test]
fn accounts_are_told_apart_and_not_shown() {
    let account = account(KEY);
    assert_eq!(account.digest().len(), 64);
    let other = ServiceAccount { private_key_id: "k2".to_owned(), ..account.clone() };
    assert_ne!(account.digest(), other.digest());
    let shown = format!("{account:?}{:?}", account.token_request(NOW).unwrap());
    assert!(!shown.contains("MII") && !shown.contains("assertion"), "{shown}");
    assert_eq!(account.project_id.as_deref(), Some("p"));
}

#[test]
fn what_is_no_account_is_refused() {
    for json in ["", "{}", "[]", r#"{"client_email":"","private_key":"k"}"#, r#"{"client_email":"a@b"}"#] {
        assert_eq!(ServiceAccount::parse(json).unwrap_err(), SignError::Key("a service account's JSON"), "{json}");
    }
    let broken = account("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assert_eq!(broken.token_request(NOW).unwrap_err(), SignError::PrivateKey);
    let elsewhere = ServiceAccount { token_uri: Some("http://evil.example/".to_owned()), ..account(KEY) };
    assert!(elsewhere.token_request(NOW).is_err());
}

#[test]
fn an_account_without_address_asks_google() {
    let account = ServiceAccount { token_uri: None, ..account(KEY) };
    assert_eq!(account.token_request(NOW).unwrap().url.as_str(), DEFAULT_TOKEN_ADDRESS);
    assert!(AccessToken::read(br#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#).is_some());
}
