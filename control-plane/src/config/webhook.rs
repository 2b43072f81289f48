//! Where notifications are sent.

use clap::Args;

use super::reader::{Reader, filled};
use crate::notifications::{Address, Webhook};

const URL: &str = "SLUICE_NOTIFY_WEBHOOK_URL";
const SECRET: &str = "SLUICE_NOTIFY_WEBHOOK_SECRET";
const SECRET_FILE: &str = "SLUICE_NOTIFY_WEBHOOK_SECRET_FILE";

/// The webhook of notifications, as text.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Notifications")]
pub struct WebhookOptions {
    /// Where notifications are sent as signed JSON, such as https://example.com/hook: that a channel was switched off. Default: none,
    /// they are only listed
    #[arg(id = "notify_webhook_url", long = "notify-webhook-url", env = URL, value_name = "URL", hide_env_values = true)]
    pub url: Option<String>,
    /// Secret that signs them: X-Webhook-Signature is the HMAC-SHA256 of X-Webhook-Timestamp, a dot and the body, in hex
    #[arg(id = "notify_webhook_secret", long = "notify-webhook-secret", env = SECRET, value_name = "SECRET", hide_env_values = true)]
    pub secret: Option<String>,
    /// File that holds SLUICE_NOTIFY_WEBHOOK_SECRET
    #[arg(id = "notify_webhook_secret_file", long = "notify-webhook-secret-file", env = SECRET_FILE, value_name = "FILE")]
    pub secret_file: Option<String>,
}

impl WebhookOptions {
    pub(super) fn read(&self, reader: &mut Reader) -> Option<Webhook> {
        let before = reader.problems.len();
        let secret = reader.secret(SECRET, self.secret.as_ref(), SECRET_FILE, self.secret_file.as_ref());
        let is_secret_wrong = reader.problems.len() > before;
        let text = filled(self.url.as_ref())?;
        let address = Address::parse(text).map_err(|rule| reader.refuse(URL, rule)).ok();
        if secret.is_none() && !is_secret_wrong {
            reader.refuse(SECRET, format!("must be set beside {URL}: by it receivers know that a message is ours"));
        }
        Some(Webhook { address: address?, secret: secret? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, secret: &str, file: &str) -> (Option<Webhook>, Vec<&'static str>) {
        let mut reader = Reader::default();
        let given = |text: &str| Some(text.to_owned());
        let webhook = WebhookOptions { url: given(url), secret: given(secret), secret_file: given(file) }.read(&mut reader);
        (webhook, reader.problems.iter().map(|problem| problem.setting).collect())
    }

    #[test]
    fn there_is_a_webhook_when_its_address_and_its_secret_are_given() {
        let (webhook, problems) = read("https://ana:hunter2@example.com/hook", "hunter2", "");
        assert!(webhook.is_some() && problems.is_empty());
        assert!(!format!("{webhook:?}").contains("hunter2"), "{webhook:?}");
        assert!(matches!(read("", "hunter2", ""), (None, problems) if problems.is_empty()));
        assert!(matches!(read("", "", ""), (None, problems) if problems.is_empty()));
    }

    #[test]
    fn whatever_is_wrong_with_it_is_told_at_once() {
        for (url, secret, file, expected) in [
            ("https://example.com", "", "", vec![SECRET]),
            ("ftp://example.com", "", "", vec![URL, SECRET]),
            ("example.com", "hunter2", "", vec![URL]),
            ("https://example.com", "", "/nowhere/at/all", vec![SECRET_FILE]),
            ("https://example.com", "hunter2", "/nowhere/at/all", vec![SECRET_FILE]),
        ] {
            let (webhook, problems) = read(url, secret, file);
            assert!(webhook.is_none() && problems == expected, "{url} {problems:?}");
        }
    }
}
