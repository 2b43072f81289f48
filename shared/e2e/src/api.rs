//! The management API, as a script uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use sluice_testkit::client::{Answer, Caller, send};

/// A caller of the management API with a management token.
#[derive(Clone)]
pub struct Api {
    caller: Caller,
    /// The highest config sequence a write was answered with.
    written: Arc<AtomicI64>,
}

/// A token made for a test.
#[derive(Debug, Clone)]
pub struct MadeToken {
    /// Its id.
    pub id: i64,
    /// The key, as a client sends it.
    pub key: String,
}

impl Api {
    /// Speaks to the control plane at `base_url`, with root's management token.
    #[must_use]
    pub fn new(base_url: &str, management_token: &str) -> Self {
        Self { caller: Caller::new(base_url).with_key(management_token), written: Arc::default() }
    }

    /// Reads a resource. Panics unless the answer is 200.
    pub async fn get(&self, path: &str) -> Value {
        expect(&self.caller.get(path).await, 200)
    }

    /// Creates something. Panics unless the answer is 201 or 200.
    pub async fn create(&self, path: &str, body: &Value) -> Value {
        let answer = self.caller.post(path, body).await;
        assert!([200, 201].contains(&answer.status.as_u16()), "POST {path}: {} {}", answer.status, answer.text());
        self.note(answer.json())
    }

    /// The highest config sequence a write was answered with: what relays have to apply to know everything done here.
    #[must_use]
    pub fn written(&self) -> i64 {
        self.written.load(Ordering::Relaxed)
    }

    fn note(&self, answer: Value) -> Value {
        self.written.fetch_max(answer["config_seq"].as_i64().unwrap_or_default(), Ordering::Relaxed);
        answer
    }

    /// Changes some fields. Panics unless the answer is 200.
    pub async fn patch(&self, path: &str, body: &Value) -> Value {
        let answer = send(self.caller.request(Method::PATCH, path).json(body)).await.expect("the server answers");
        self.note(expect(&answer, 200))
    }

    /// Deletes a resource. Panics unless the answer is 200 or 204.
    pub async fn delete(&self, path: &str) {
        let answer = send(self.caller.request(Method::DELETE, path)).await.expect("the server answers");
        assert!([200, 204].contains(&answer.status.as_u16()), "DELETE {path}: {} {}", answer.status, answer.text());
    }

    /// A channel of the generic provider to one address, for some models. Returns its id.
    pub async fn channel(&self, name: &str, base_url: &str, key: &str, models: &[&str]) -> i64 {
        let body = json!({"name": name, "provider": "openai", "base_url": base_url, "key": key, "models": models});
        self.create("/api/channels", &body).await["id"].as_i64().expect("a channel has an id")
    }

    /// A price by ratios, whether the model has one or not.
    pub async fn price(&self, model: &str, model_ratio: &str, completion_ratio: &str) {
        let ratios = json!({"model_ratio": model_ratio, "completion_ratio": completion_ratio});
        let path = format!("/api/prices/{model}");
        if self.caller.get(&path).await.status.is_success() {
            self.patch(&path, &ratios).await;
            return;
        }
        let mut price = ratios;
        price["model"] = model.into();
        self.create("/api/prices", &price).await;
    }

    /// A user with some money. Returns the id.
    pub async fn user(&self, username: &str, quota: i64) -> i64 {
        let user = self.create("/api/users", &json!({"username": username, "password": "correct horse battery"})).await;
        let id = user["id"].as_i64().expect("a user has an id");
        if quota != 0 {
            self.adjust(id, quota).await;
        }
        id
    }

    /// Moves money to (or from) a user.
    pub async fn adjust(&self, user: i64, amount: i64) {
        self.create(&format!("/api/users/{user}/adjustments"), &json!({"amount": amount, "reason": "test"})).await;
    }

    /// An unlimited token of a user.
    pub async fn token(&self, user: i64, name: &str) -> MadeToken {
        self.token_with(json!({"user_id": user, "name": name})).await
    }

    /// A token as the body says.
    pub async fn token_with(&self, body: Value) -> MadeToken {
        let token = self.create("/api/tokens", &body).await;
        let key = token["key"].as_str().expect("creation answers with the key").to_owned();
        MadeToken { id: token["id"].as_i64().expect("a token has an id"), key }
    }

    /// What a user owns in all: available, held and in doubt.
    pub async fn total(&self, user: i64) -> i64 {
        let user = self.get(&format!("/api/users/{user}")).await;
        ["quota_available", "quota_held", "quota_in_doubt"]
            .iter()
            .map(|field| user[*field].as_i64().expect("money is a number"))
            .sum()
    }

    /// Every item of a list, page by page.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        let joint = if path.contains('?') { '&' } else { '?' };
        loop {
            let page = self.get(&format!("{path}{joint}limit=100{cursor}")).await;
            items.extend(page["items"].as_array().expect("a list has items").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }
}

fn expect(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    answer.json()
}
