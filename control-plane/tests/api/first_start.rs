//! The first start: the set-up link, and installs without anybody at the console.

use serde_json::json;
use sluice_control_plane::auth::{FirstRunError, first_run};
use sluice_control_plane::config::FirstRunSettings;
use sluice_testkit::database::engines;

use crate::world::{PASSWORD, World, no_limits};

#[tokio::test]
async fn the_set_up_link_makes_root_once_and_is_gone_afterwards() {
    let world = World::fresh().await;
    let someone = world.anonymous();
    assert_eq!(someone.get("/api/status").await.body["data"]["setup"], false);
    let secret = world.setup_secret().await;
    let body = json!({"secret": secret, "username": "Ada", "password": PASSWORD});
    let made = someone.post("/api/setup", body.clone()).await;
    assert_eq!((made.status, &made.body["user"]["role"]), (201, &json!("root")), "{}", made.text);
    let root = someone.clone().with_cookie(&made);
    assert_eq!(root.get("/api/session").await.body["user"]["username"], "Ada");
    assert_eq!(someone.post("/api/setup", body).await.refusal(), (410, "already_set_up"));
    assert_eq!(someone.get("/api/status").await.body["data"]["setup"], true);
    assert_eq!(world.start(&FirstRunSettings::default()).await.setup_link_path, None);
}

#[tokio::test]
async fn a_restart_makes_a_new_link_and_the_one_before_useless() {
    let world = World::fresh().await;
    let old = world.setup_secret().await;
    world.wait(60_000);
    let new = world.setup_secret().await;
    let body = |secret: &str| json!({"secret": secret, "username": "root", "password": PASSWORD});
    let someone = world.anonymous();
    assert_eq!(someone.post("/api/setup", body(&old)).await.refusal(), (401, "bad_setup_secret"));
    assert_eq!(someone.post("/api/setup", body("")).await.refusal(), (401, "bad_setup_secret"));
    assert_eq!(someone.post("/api/setup", body(&new)).await.status, 201);
}

#[tokio::test]
async fn replicas_that_start_together_print_one_link_that_works() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let none = FirstRunSettings::default();
        let (one, two, three) = tokio::join!(world.start(&none), world.start(&none), world.start(&none));
        assert!(one == two && two == three, "{engine}: {one:?} {two:?} {three:?}");
        let path = one.setup_link_path.unwrap();
        let body = json!({"secret": path.rsplit('=').next().unwrap(), "username": "root", "password": PASSWORD});
        assert_eq!(world.anonymous().post("/api/setup", body).await.status, 201, "{engine}");
    }
}

#[tokio::test]
async fn replicas_that_start_together_make_one_root_of_the_settings() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let settings = FirstRunSettings {
            root_token: Some("sk-0123456789abcdefABCDEF".into()),
            root_access_token: Some("a-management-token-of-mine".into()),
            root_password: Some(PASSWORD.into()),
        };
        let (one, two) = tokio::join!(world.start(&settings), world.start(&settings));
        assert_eq!((one.setup_link_path, two.setup_link_path), (None, None), "{engine}");
        let root = world.sign_in("root").await;
        assert_eq!(root.get("/api/users?count=exact").await.body["total"], 1, "{engine}");
    }
}

#[tokio::test]
async fn a_weak_password_does_not_use_the_link_up() {
    let world = World::fresh().await;
    let secret = world.setup_secret().await;
    let body = |password: &str| json!({"secret": secret, "username": "root", "password": password});
    let someone = world.anonymous();
    for weak in ["short", "password1234", "root-and-more-words"] {
        assert_eq!(someone.post("/api/setup", body(weak)).await.fields(), [("password", "password")], "{weak}");
    }
    assert_eq!(someone.post("/api/setup", body(PASSWORD)).await.status, 201);
}

#[tokio::test]
async fn a_password_from_the_settings_makes_root_without_a_link() {
    let world = World::fresh().await;
    let settings = FirstRunSettings { root_password: Some(PASSWORD.into()), ..FirstRunSettings::default() };
    assert_eq!(world.start(&settings).await.setup_link_path, None);
    let root = world.sign_in("root").await;
    assert_eq!(root.get("/api/session").await.body["user"]["role"], "root");
    let again = FirstRunSettings { root_password: Some("another harbour violin".into()), ..FirstRunSettings::default() };
    world.start(&again).await;
    world.sign_in("root").await;
}

#[tokio::test]
async fn tokens_from_the_settings_work_at_once() {
    let world = World::fresh().await;
    let key = "sk-0123456789abcdefABCDEF";
    let settings = FirstRunSettings {
        root_token: Some(key.into()),
        root_access_token: Some("a-management-token-of-mine".into()),
        root_password: None,
    };
    assert_eq!(world.start(&settings).await.setup_link_path, None);
    let root = world.anonymous().with("authorization", "Bearer a-management-token-of-mine");
    let tokens = root.get("/api/tokens").await;
    assert_eq!((&tokens.body["items"][0]["name"], &tokens.body["items"][0]["key_hint"]), (&json!("initial"), &json!("012…DEF")));
    assert_eq!(tokens.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn root_made_by_a_key_alone_is_taken_over_by_whoever_sets_up() {
    let world = World::fresh().await;
    let settings = FirstRunSettings { root_token: Some("sk-0123456789abcdefABCDEF".into()), ..FirstRunSettings::default() };
    let path = world.start(&settings).await.setup_link_path.unwrap();
    let body = json!({"secret": path.rsplit('=').next().unwrap(), "username": "ada", "password": PASSWORD});
    let made = world.anonymous().post("/api/setup", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let root = world.sign_in("ada").await;
    assert_eq!(root.get("/api/users").await.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(root.get("/api/users/me/tokens").await.body["items"][0]["name"], "initial");
}

#[tokio::test]
async fn root_made_by_a_key_alone_is_given_the_password_or_token_of_a_later_start() {
    let key = || Some("sk-0123456789abcdefABCDEF".into());
    let by_password = FirstRunSettings { root_password: Some(PASSWORD.into()), ..FirstRunSettings::default() };
    let by_token =
        FirstRunSettings { root_access_token: Some("a-management-token-of-mine".into()), ..FirstRunSettings::default() };
    for (later, is_by_token) in [(by_password, false), (by_token, true)] {
        let world = World::fresh().await;
        let first = FirstRunSettings { root_token: key(), ..FirstRunSettings::default() };
        assert!(world.start(&first).await.setup_link_path.is_some());
        assert_eq!(world.start(&FirstRunSettings { root_token: key(), ..later }).await.setup_link_path, None);
        let root = if is_by_token {
            world.anonymous().with("authorization", "Bearer a-management-token-of-mine")
        } else {
            world.sign_in("root").await
        };
        assert_eq!(root.get("/api/session").await.body["user"]["role"], "root");
        assert_eq!(root.get("/api/users?count=exact").await.body["total"], 1);
        assert_eq!(root.get("/api/tokens?count=exact").await.body["total"], 1);
    }
}

#[tokio::test]
async fn settings_that_break_a_rule_are_named() {
    let world = World::fresh().await;
    let refused = async |settings: FirstRunSettings| match first_run(&world.app, &settings).await {
        Err(FirstRunError::Setting { setting, .. }) => setting,
        other => panic!("{other:?}"),
    };
    let none = FirstRunSettings::default;
    assert_eq!(refused(FirstRunSettings { root_password: Some("password1234".into()), ..none() }).await, "INITIAL_ROOT_PASSWORD");
    assert_eq!(
        refused(FirstRunSettings { root_token: Some("sk-with-dashes-in-it".into()), ..none() }).await,
        "INITIAL_ROOT_TOKEN"
    );
    assert_eq!(
        refused(FirstRunSettings { root_access_token: Some("short".into()), ..none() }).await,
        "INITIAL_ROOT_ACCESS_TOKEN"
    );
}
