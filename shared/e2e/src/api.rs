//! The management API, as a script uses it.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_testkit::client::{Answer, Caller, send};

/// A caller of the management API with a management token.
#[derive(Clone)]
pub struct Api(Caller);

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
        Self(Caller::new(base_url).with_key(management_token))
    }

    /// Reads a resource. Panics unless the answer is 200.
    pub async fn get(&self, path: &str) -> Value {
        expect(&self.0.get(path).await, 200)
    }

    /// Creates something. Panics unless the answer is 201 or 200.
    pub async fn create(&self, path: &str, body: &Value) -> Value {
        let answer = self.0.post(path, body).await;
        assert!([200, 201].contains(&answer.status.as_u16()), "POST {path}: {} {}", answer.status, answer.text());
        answer.json()
    }

    /// Changes some fields. Panics unless the answer is 200.
    pub async fn patch(&self, path: &str, body: &Value) -> Value {
        expect(&send(self.0.request(Method::PATCH, path).json(body)).await.expect("the server answers"), 200)
    }

    /// Deletes a resource. Panics unless the answer is 200 or 204.
    pub async fn delete(&self, path: &str) {
        let answer = send(self.0.request(Method::DELETE, path)).await.expect("the server answers");
        assert!([200, 204].contains(&answer.status.as_u16()), "DELETE {path}: {} {}", answer.status, answer.text());
    }

    /// A channel of the generic provider to one address, for some models. Returns its id.
    pub async fn channel(&self, name: &str, base_url: &str, key: &str, models: &[&str]) -> i64 {
        let body = json!({"name": name, "provider": "openai", "base_url": base_url, "key": key, "models": models});
        self.create("/api/channels", &body).await["id"].as_i64().expect("a channel has an id")
    }

    /// A price by ratios.
    pub async fn price(&self, model: &str, model_ratio: &str, completion_ratio: &str) {
        let body = json!({"model": model, "model_ratio": model_ratio, "completion_ratio": completion_ratio});
        self.create("/api/prices", &body).await;
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
