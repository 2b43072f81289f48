//! Users, their tokens, and who may do what with them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sluice_testkit::database::engines;

use crate::world::{PASSWORD, World, no_limits};

#[tokio::test]
async fn people_change_themselves_and_nothing_above_them() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (_, ana) = world.member(&root, "ana", "user").await;
        let changed = ana.patch("/api/users/me", json!({"display_name": "Ana B", "email": "Ana@Example.com"})).await;
        assert_eq!((&changed.body["display_name"], &changed.body["email"]), (&json!("Ana B"), &json!("ana@example.com")));
        assert_eq!(ana.patch("/api/users/me", json!({"email": null})).await.body["email"], json!(null));
        for (field, value) in
            [("role", json!("admin")), ("group", json!("vip")), ("status", json!("disabled")), ("username", json!("x"))]
        {
            assert_eq!(ana.patch("/api/users/me", json!({field: value})).await.status / 100, 4, "{field}");
        }
        assert_eq!(ana.get("/api/users/1").await.refusal(), (404, "not_found"), "somebody else is not even there");
    }
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_ends_sessions() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (_, ana) = world.member(&root, "ana", "user").await;
        let next = "another kettle violin";
        assert_eq!(ana.patch("/api/users/me", json!({"password": next})).await.fields(), [("current_password", "required")]);
        let wrong = json!({"password": next, "current_password": "not this one"});
        assert_eq!(ana.patch("/api/users/me", wrong).await.fields(), [("current_password", "wrong")]);
        let right = json!({"password": next, "current_password": PASSWORD});
        assert_eq!(ana.patch("/api/users/me", right).await.status, 200);
        assert_eq!(ana.get("/api/session").await.status, 401);
        let body = |password: &str| json!({"username": "ana", "password": password});
        assert_eq!(world.anonymous().post("/api/session", body(PASSWORD)).await.status, 401);
        assert_eq!(world.anonymous().post("/api/session", body(next)).await.status, 201);
    }
}

#[tokio::test]
async fn administrators_manage_lower_roles_only() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (_, ada) = world.member(&root, "ada", "admin").await;
        let (bob, _) = world.member(&root, "bob", "admin").await;
        let (ana, _) = world.member(&root, "ana", "user").await;
        let (bob, ana) = (format!("/api/users/{bob}"), format!("/api/users/{ana}"));
        assert_eq!(ada.get(&bob).await.status, 200);
        assert_eq!(ada.patch(&bob, json!({"display_name": "x"})).await.refusal(), (403, "above_you"));
        assert_eq!(ada.delete(&bob).await.refusal(), (403, "above_you"));
        assert_eq!(ada.patch("/api/users/1", json!({"password": PASSWORD})).await.refusal(), (403, "above_you"));
        assert_eq!(ada.patch(&ana, json!({"role": "admin"})).await.refusal(), (403, "above_you"));
        let admin = json!({"username": "eve", "role": "admin"});
        assert_eq!(ada.post("/api/users", admin.clone()).await.refusal(), (403, "above_you"));
        assert_eq!(root.post("/api/users", json!({"username": "eve", "role": "root"})).await.refusal(), (403, "above_you"));
        assert_eq!(root.post("/api/users", admin).await.status, 201);
        assert_eq!(ada.patch(&ana, json!({"group": "vip", "status": "disabled"})).await.status, 200);
    }
}

#[tokio::test]
async fn root_cannot_lock_itself_out() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        for body in [json!({"role": "user"}), json!({"role": "admin"}), json!({"status": "disabled"})] {
            assert_eq!(root.patch("/api/users/me", body.clone()).await.refusal(), (409, "protected"), "{body}");
        }
        assert_eq!(root.delete("/api/users/1").await.refusal(), (409, "protected"));
    }
}

#[tokio::test]
async fn names_and_addresses_are_taken_in_any_case_of_letters() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let first = root.post("/api/users", json!({"username": "Ana", "email": "ana@example.com"})).await;
        assert_eq!((first.status, &first.headers["location"]), (201, &format!("/api/users/{}", first.id()).parse().unwrap()));
        assert_eq!(root.post("/api/users", json!({"username": "aNA"})).await.refusal(), (409, "name_taken"));
        let same = json!({"username": "bob", "email": "ANA@example.com"});
        assert_eq!(root.post("/api/users", same.clone()).await.refusal(), (409, "email_taken"));
        root.delete(&format!("/api/users/{}", first.id())).await;
        assert_eq!(root.post("/api/users", json!({"username": "ana"})).await.refusal(), (409, "name_taken"), "names stay taken");
        assert_eq!(root.post("/api/users", same).await.status, 201, "addresses are free again");
    }
}

#[tokio::test]
async fn a_list_goes_from_page_to_page_without_losing_anybody() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        for name in ["d", "b", "e", "a", "c"] {
            root.post("/api/users", json!({"username": name})).await;
        }
        let mut seen = Vec::new();
        let mut path = "/api/users?sort=username&limit=2&count=exact".to_owned();
        loop {
            let page = root.get(&path).await;
            assert_eq!(page.body["total"], 6, "{}", page.text);
            seen.extend(page.body["items"].as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned()));
            let Some(cursor) = page.body["next_cursor"].as_str() else { break };
            path = format!("/api/users?sort=username&limit=2&count=exact&cursor={cursor}");
        }
        assert_eq!(seen, ["a", "b", "c", "d", "e", "root"]);
        let newest = root.get("/api/users?limit=1").await;
        assert_eq!(newest.body["items"][0]["username"], "c");
        let found = root.get("/api/users?q=ROO&role=root&status=enabled").await;
        assert_eq!(found.body["items"].as_array().unwrap().len(), 1);
        assert_eq!(root.get("/api/users?q=%25").await.body["items"], json!([]), "signs of patterns are taken literally");
    }
}

#[tokio::test]
async fn a_write_says_when_the_object_changed_since_it_was_read() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (id, _) = world.member(&root, "ana", "user").await;
        let path = format!("/api/users/{id}");
        let seen = root.get(&path).await.headers["etag"].to_str().unwrap().to_owned();
        let careful = root.clone().with("if-match", &seen);
        assert_eq!(careful.patch(&path, json!({"display_name": "one"})).await.status, 200);
        assert_eq!(careful.patch(&path, json!({"display_name": "two"})).await.refusal(), (412, "changed"));
        assert_eq!(careful.delete(&path).await.refusal(), (412, "changed"));
        assert_eq!(root.clone().with("if-match", "*").patch(&path, json!({"display_name": "two"})).await.status, 200);
    }
}

#[tokio::test]
async fn a_token_is_shown_with_its_key_once_and_again_after_a_fresh_sign_in() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (_, ana) = world.member(&root, "ana", "user").await;
        let made = ana.post("/api/tokens", json!({"name": "laptop"})).await;
        assert_eq!((made.status, &made.body["state"], &made.body["quota"]), (201, &json!("enabled"), &json!(null)));
        let key = made.body["key"].as_str().unwrap().to_owned();
        assert!(key.starts_with("sk-") && sluice_domain::key::has_checksum(&key[3..]), "{key}");
        assert_eq!(made.body["key_hint"], format!("{}…{}", &key[3..7], &key[47..]));
        let path = format!("/api/tokens/{}", made.id());
        assert!(!ana.get(&path).await.text.contains(&key) && !ana.get("/api/tokens").await.text.contains(&key));
        assert_eq!(ana.post(&format!("{path}/reveal"), json!({})).await.body["key"], key.as_str());
        assert_eq!(root.post(&format!("{path}/reveal"), json!({})).await.refusal(), (404, "not_found"), "not even for root");
        world.wait(10 * 60_000 + 1);
        assert_eq!(ana.post(&format!("{path}/reveal"), json!({})).await.refusal(), (403, "sign_in_again"));
        let ana = world.sign_in("ana").await;
        assert_eq!(ana.post(&format!("{path}/reveal"), json!({})).await.body["key"], key.as_str());
        let script = ana.token(&["read", "write"]).await;
        assert_eq!(script.post(&format!("{path}/reveal"), json!({})).await.refusal(), (403, "sign_in_again"));
        let rotated = ana.post(&format!("{path}/rotate"), json!({})).await;
        assert_ne!(rotated.body["key"], key.as_str());
        assert_eq!(ana.post(&format!("{path}/reveal"), json!({})).await.body["key"], rotated.body["key"]);
    }
}

#[tokio::test]
async fn somebody_elses_token_is_not_there() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (ana_id, ana) = world.member(&root, "ana", "user").await;
        let (_, bob) = world.member(&root, "bob", "user").await;
        let path = format!("/api/tokens/{}", ana.post("/api/tokens", json!({"name": "a"})).await.id());
        for reply in [bob.get(&path).await, bob.patch(&path, json!({"name": "b"})).await, bob.delete(&path).await] {
            assert_eq!(reply.refusal(), (404, "not_found"));
        }
        assert_eq!(bob.get(&format!("/api/tokens?user_id={ana_id}")).await.status, 404);
        assert_eq!(bob.post("/api/tokens", json!({"name": "b", "user_id": ana_id})).await.status, 404);
        assert_eq!(bob.get("/api/tokens").await.body["items"], json!([]));
        assert_eq!(root.get(&format!("/api/users/{ana_id}/tokens")).await.body["items"].as_array().unwrap().len(), 1);
        assert_eq!(root.patch(&path, json!({"status": "disabled"})).await.body["state"], "disabled");
    }
}

#[tokio::test]
async fn a_token_can_be_limited_in_every_way_and_freed_again() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let body = json!({
            "name": "narrow", "quota": 1000, "expires_at": "2026-09-21T14:13:21Z", "models": ["gpt-4o"],
            "ip_allow": ["10.0.0.1", "2001:db8::/32"], "group": "vip"
        });
        let made = root.post("/api/tokens", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        assert_eq!(
            (&made.body["quota"], &made.body["quota_remaining"], &made.body["quota_used"]),
            (&json!(1000), &json!(1000), &json!(0))
        );
        assert_eq!(made.body["ip_allow"], json!(["10.0.0.1/32", "2001:db8::/32"]));
        let path = format!("/api/tokens/{}", made.id());
        world.wait(1_001);
        assert_eq!(root.get(&path).await.body["state"], "expired");
        assert_eq!(root.patch(&path, json!({"status": "enabled"})).await.fields(), [("expires_at", "past")]);
        let less = root.patch(&path, json!({"quota": 400})).await;
        assert_eq!((&less.body["quota"], &less.body["quota_remaining"]), (&json!(400), &json!(400)));
        assert_eq!(root.patch(&path, json!({"quota": 0, "expires_at": null})).await.body["state"], "exhausted");
        let free = json!({"quota": null, "expires_at": null, "models": null, "ip_allow": null, "group": null});
        let freed = root.patch(&path, free).await;
        assert_eq!(freed.body["state"], "enabled", "{}", freed.text);
        for field in ["quota", "quota_remaining", "expires_at", "models", "group"] {
            assert_eq!(freed.body[field], json!(null), "{field}");
        }
    }
}

#[tokio::test]
async fn the_uses_of_a_token_are_limited_when_that_is_asked_for() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let made = root.post("/api/tokens", json!({"name": "three times", "request_limit": 3})).await;
        let figures =
            |body: &serde_json::Value| ["request_limit", "requests_remaining", "requests_used"].map(|field| body[field].as_i64());
        assert_eq!((made.status, figures(&made.body)), (201, [Some(3), Some(3), Some(0)]), "{}", made.text);
        let path = format!("/api/tokens/{}", made.id());
        assert_eq!(figures(&root.patch(&path, json!({"request_limit": 0})).await.body), [Some(0), Some(0), Some(0)]);
        assert_eq!(root.get(&path).await.body["state"], "exhausted");
        assert_eq!(root.patch(&path, json!({"request_limit": -1})).await.fields(), [("request_limit", "range")]);
        let freed = root.patch(&path, json!({"request_limit": null})).await;
        assert_eq!((figures(&freed.body), &freed.body["state"]), ([None, None, Some(0)], &json!("enabled")));
        assert_eq!(figures(&root.patch(&path, json!({"request_limit": 7})).await.body), [Some(7), Some(7), Some(0)]);
        let never = root.post("/api/tokens", json!({"name": "any number"})).await;
        assert_eq!(figures(&never.body), [None, None, None]);
    }
}

#[tokio::test]
async fn a_token_is_only_used_in_a_group_its_owner_may_use() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (_, ana) = world.member(&root, "ana", "user").await;
        let in_group = |group: &str| json!({"name": "t", "group": group});
        assert_eq!(ana.post("/api/tokens", in_group("vip")).await.status, 201);
        assert_eq!(ana.post("/api/tokens", in_group("svip")).await.fields(), [("group", "not_usable")]);
        assert_eq!(ana.post("/api/tokens", in_group("nowhere")).await.fields(), [("group", "unknown_group")]);
        let names = |reply: &crate::world::Reply| {
            let items = reply.body["items"].as_array().unwrap().iter();
            items.map(|group| group["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&ana.get("/api/groups").await), ["default", "vip"]);
        assert_eq!(names(&root.get("/api/groups").await), ["default", "svip", "vip"]);
        assert_eq!(ana.get("/api/groups/svip").await.status, 404);
    }
}

#[tokio::test]
async fn tokens_have_a_most() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        assert_eq!(root.patch("/api/settings/max_user_tokens", json!({"value": 1})).await.status, 200);
        assert_eq!(root.post("/api/tokens", json!({"name": "one"})).await.status, 201);
        assert_eq!(root.post("/api/tokens", json!({"name": "two"})).await.refusal(), (409, "too_many"));
    }
}

#[tokio::test]
async fn deleting_a_user_ends_everything_of_theirs_at_once() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let (id, ana) = world.member(&root, "ana", "user").await;
        let token = ana.post("/api/tokens", json!({"name": "t"})).await.id();
        let before = world.head().await;
        let gone = root.delete(&format!("/api/users/{id}")).await;
        assert_eq!(gone.status, 204, "{}", gone.text);
        let seq: i64 = gone.headers["x-sluice-config-seq"].to_str().unwrap().parse().unwrap();
        assert_eq!(seq, before + 1, "user and tokens in one transaction");
        assert_eq!(ana.get("/api/session").await.status, 401);
        assert_eq!(root.get(&format!("/api/users/{id}")).await.status, 404);
        assert_eq!(root.get(&format!("/api/tokens/{token}")).await.status, 404);
    }
}

#[tokio::test]
async fn a_cursor_that_was_not_made_here_is_refused_and_breaks_nothing() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let cursor = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for (path, forged) in [
            ("/api/users?sort=username", r#"{"sort":"username","value":7,"id":1}"#),
            ("/api/users?sort=username", r#"{"sort":"username","value":"a\u0000","id":1}"#),
            ("/api/users?sort=-id", r#"{"sort":"-id","value":"x","id":"x"}"#),
            ("/api/users/me/ledger?limit=1", r#"{"sort":"-id","value":"x","id":"x"}"#),
            ("/api/prices?sort=model", r#"{"sort":"model","value":1,"id":1}"#),
        ] {
            let told = root.get(&format!("{path}&cursor={}", cursor(forged))).await;
            assert_eq!((told.status, told.fields()), (422, vec![("cursor", "unreadable")]), "{engine}: {path} {forged}");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_used_up_is_switched_on_again_with_more_only() {
    let (_world, root) = World::set_up().await;
    let path = format!("/api/tokens/{}", root.post("/api/tokens", json!({"name": "t", "quota": 0})).await.id());
    assert_eq!(root.patch(&path, json!({"status": "disabled"})).await.status, 200);
    assert_eq!(root.patch(&path, json!({"status": "enabled"})).await.fields(), [("quota", "used_up")]);
    assert_eq!(root.patch(&path, json!({"status": "enabled", "quota": 0})).await.fields(), [("quota", "used_up")]);
    assert_eq!(root.patch(&path, json!({"name": "other"})).await.status, 200, "the rest of it can be changed");
    assert_eq!(root.patch(&path, json!({"status": "enabled", "quota": 10})).await.body["state"], "enabled");
    assert_eq!(root.patch(&path, json!({"status": "disabled", "quota": 0})).await.status, 200);
    assert_eq!(root.patch(&path, json!({"status": "enabled", "quota": null})).await.body["state"], "enabled");
}

#[tokio::test]
async fn a_token_has_a_longest_name_and_longest_lists() {
    let (_world, root) = World::set_up().await;
    assert_eq!(root.post("/api/tokens", json!({"name": "n".repeat(51)})).await.fields(), [("name", "length")]);
    let models = |count: usize| (0..count).map(|number| format!("{number:0>100}")).collect::<Vec<_>>();
    let made = root.post("/api/tokens", json!({"name": "n".repeat(50), "models": models(160)})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(root.post("/api/tokens", json!({"name": "t", "models": models(164)})).await.fields(), [("models", "length")]);
    let addresses: Vec<_> = (0..30).map(|number| format!("10.100.100.{number}")).collect();
    let both = root.patch(&format!("/api/tokens/{}", made.id()), json!({"ip_allow": addresses})).await;
    assert_eq!(both.fields(), [("models", "length")], "both lists count");
}

#[tokio::test]
async fn writes_that_answer_money_show_it_in_dollars_when_asked() {
    let (world, root) = World::set_up().await;
    let (id, _) = world.member(&root, "ana", "user").await;
    let made = root.post("/api/tokens?currency=usd", json!({"name": "t", "quota": 500_000})).await;
    assert_eq!((made.status, &made.body["quota_usd"]), (201, &json!("1.000000")), "{}", made.text);
    let changed = root.patch(&format!("/api/tokens/{}?currency=usd", made.id()), json!({"quota": 250_000})).await;
    assert_eq!(changed.body["quota_remaining_usd"], "0.500000", "{}", changed.text);
    let moved = root.post(&format!("/api/users/{id}/adjustments?currency=usd"), json!({"amount": 500_000, "reason": "r"})).await;
    assert_eq!((&moved.body["amount_usd"], &moved.body["balance_after_usd"]), (&json!("1.000000"), &json!("1.000000")));
    let user = root.patch(&format!("/api/users/{id}?currency=usd"), json!({"display_name": "Ana"})).await;
    assert_eq!(user.body["quota_available_usd"], "1.000000", "{}", user.text);
    let bob = root.post("/api/users?currency=usd", json!({"username": "bob"})).await;
    assert_eq!((bob.status, &bob.body["quota_used_usd"]), (201, &json!("0.000000")));
    let plain = root.post("/api/tokens", json!({"name": "t"})).await;
    assert!(plain.body.get("quota_used_usd").is_none(), "only when asked");
}

#[tokio::test]
async fn lists_are_narrowed_to_what_was_made_in_a_span() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let make = async |name: &str| {
            root.post("/api/users", json!({"username": name})).await;
            root.post("/api/tokens", json!({"name": name})).await;
            root.post("/api/channels", json!({"name": name, "provider": "openai", "key": "k", "models": ["m"]})).await;
        };
        make("early").await;
        world.wait(60_000);
        make("late").await;
        let count = async |path: &str| root.get(path).await.body["items"].as_array().map(Vec::len);
        let (border, end) = ("2026-09-21T14:14:20Z", "2026-09-21T14:14:21Z");
        for list in ["users", "tokens", "channels"] {
            let path = format!("/api/{list}?created_at.gte={border}&created_at.lt={end}");
            assert_eq!(count(&path).await, Some(1), "{engine}: {list}");
            let early = count(&format!("/api/{list}?created_at.lt={border}")).await;
            assert_eq!(early, Some(if list == "users" { 2 } else { 1 }), "{engine}: {list}");
        }
        assert_eq!(count(&format!("/api/audit?at.gte={border}&action=users.create")).await, Some(1), "{engine}");
    }
}
