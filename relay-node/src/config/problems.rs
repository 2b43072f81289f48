//! Reading settings one by one and gathering what is wrong with them.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use http::Uri;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};

use crate::link::endpoint;

/// Bytes beyond which a settings file is refused.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// How every certificate in a PEM file begins.
const BEGIN_CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Everything that is wrong with the settings, one line each. Values are never quoted: they may be secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    /// The lines.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.0
    }

    /// Adds a problem.
    pub fn add(&mut self, setting: &str, rule: impl Display) {
        self.0.push(format!("{setting} {rule}"));
    }

    pub(super) fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    /// A whole number within bounds; the default when it is not given or empty.
    pub(super) fn number<N>(&mut self, setting: &str, text: Option<&str>, default: N, least: N, most: N) -> N
    where
        N: FromStr + PartialOrd + Copy + Display,
    {
        let Some(text) = given(text) else { return default };
        match text.parse::<N>() {
            Ok(number) if (least..=most).contains(&number) => number,
            // Kubernetes sets <SERVICE>_PORT=tcp://… for every service it knows: not meant for us
            _ if text.contains("://") => default,
            _ => {
                self.add(setting, format_args!("must be a whole number from {least} to {most}"));
                default
            }
        }
    }

    pub(super) fn parsed<T, E: Display>(
        &mut self,
        setting: &str,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        parse(given(text)?).map_err(|rule| self.add(setting, rule)).ok()
    }

    /// Addresses of the control plane; `plaintext` says whether provider keys may travel to them in clear text.
    pub(super) fn control_urls(&mut self, text: Option<&str>, plaintext: Option<&str>) -> Vec<Uri> {
        let setting = "SLUICE_CONTROL_URL";
        let is_plaintext_allowed = self.flag("SLUICE_CONTROL_PLAINTEXT", plaintext);
        let Some(text) = given(text) else {
            self.add(setting, "must be set: the control plane's gRPC address, for example http://control:3001");
            return Vec::new();
        };
        let is_usable = |uri: &Uri| {
            let is_place = uri.authority().is_some_and(|place| !place.as_str().contains('@'));
            matches!(uri.scheme_str(), Some("http" | "https")) && is_place && uri.path() == "/" && uri.query().is_none()
        };
        let mut urls = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.parse::<Uri>() {
                Ok(uri) if is_usable(&uri) => urls.push(uri),
                _ => self.add(setting, "must be http or https addresses without user and path, separated by commas"),
            }
        }
        if !is_plaintext_allowed && urls.iter().any(endpoint::is_unprotected) {
            self.add(
                setting,
                "must be https beyond this machine, because provider keys travel on it; on a private network, set \
                 SLUICE_CONTROL_PLAINTEXT=true to allow http",
            );
        }
        urls
    }

    pub(super) fn flag(&mut self, setting: &str, text: Option<&str>) -> bool {
        let rule = |text: &str| text.parse::<bool>().map_err(|_| "must be true or false");
        self.parsed(setting, text, rule).unwrap_or_default()
    }

    /// A file of certificates in PEM form.
    pub(super) fn certificates(&mut self, setting: &str, path: &Path) -> Option<Vec<u8>> {
        let bytes = self.file(setting, path)?;
        let is_pem = bytes.windows(BEGIN_CERTIFICATE.len()).any(|window| window == BEGIN_CERTIFICATE);
        if !is_pem {
            self.add(setting, format_args!("names {}, which holds no certificate in PEM form", path.display()));
        }
        is_pem.then_some(bytes)
    }

    pub(super) fn nets(&mut self, setting: &str, text: Option<&str>) -> Vec<IpNet> {
        let text = given(text).unwrap_or("127.0.0.0/8,::1/128");
        let mut nets = Vec::new();
        for part in text.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty()) {
            let net = part.parse::<IpNet>().or_else(|_| part.parse::<std::net::IpAddr>().map(IpNet::from));
            match net {
                Ok(net) => nets.push(net),
                Err(_) => self.add(setting, "must be addresses or CIDR blocks, separated by commas"),
            }
        }
        nets
    }

    /// A secret given as text or as the path of a file, never both.
    pub(super) fn secret(&mut self, setting: &str, text: Option<&SecretString>, file: Option<&Path>) -> Option<SecretString> {
        match (given(text.map(SecretString::expose_secret)), file) {
            (Some(_), Some(_)) => {
                self.add(setting, format_args!("and {setting}_FILE must not both be set"));
                None
            }
            (Some(text), None) => Some(text.into()),
            (None, Some(path)) => {
                let setting = format!("{setting}_FILE");
                let bytes = self.file(&setting, path)?;
                let secret = String::from_utf8(bytes).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
                if secret.is_none() {
                    self.add(&setting, format_args!("names {}, which holds no text", path.display()));
                }
                secret.map(SecretString::from)
            }
            (None, None) => None,
        }
    }

    pub(super) fn file(&mut self, setting: &str, path: &Path) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
        match read {
            Ok(length) if u64::try_from(length).is_ok_and(|length| length <= MAX_FILE_BYTES) => Some(bytes),
            Ok(_) => {
                self.add(setting, format_args!("names {}, which is larger than 64 KiB", path.display()));
                None
            }
            Err(error) => {
                self.add(setting, format_args!("names {}, which cannot be read: {error}", path.display()));
                None
            }
        }
    }
}

/// A variable that is set to nothing is not set: compose files write them so.
fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

impl Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}
