//! The promises of a token store, over a file and over SSM alike.

use std::os::unix::fs::PermissionsExt as _;

use common::{
    credentials::{Token, TokenStore},
    task::is_refused,
};
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;

use crate::places::{token_folder, unique, variable};

macro_rules! over_both_stores {
    ($($test:ident),* $(,)?) => {
        mod over_a_file {
            $(#[tokio::test]
            async fn $test() { let (_folder, store) = super::file(); super::$test(store).await; })*
        }
        mod over_ssm {
            $(#[tokio::test]
            async fn $test() { super::$test(super::ssm()).await; })*
        }
    };
}

over_both_stores! {
    a_token_comes_back_as_it_was_stored,
    a_token_that_changed_since_it_was_read_is_an_error,
    a_removed_token_is_gone,
    a_store_for_each_athlete_needs_the_athlete,
}

fn file() -> (TempDir, TokenStore) {
    let (folder, path) = token_folder();
    (
        folder,
        format!("file://{}", path.display()).parse().unwrap(),
    )
}

fn ssm() -> TokenStore {
    variable("DEVSTACK_BUCKET");
    format!("ssm:///{}/token-{{athlete_id}}", unique("common"))
        .parse()
        .unwrap()
}

fn token(refresh: &str) -> Token {
    Token {
        access_token: SecretString::from("hush-access"),
        refresh_token: SecretString::from(refresh),
        expires_at: "2026-11-24T23:00:00Z".parse().unwrap(),
        scope: "read,activity:read_all".to_owned(),
        athlete_id: "42".to_owned(),
    }
}

async fn refresh_token(store: &TokenStore) -> String {
    store
        .read()
        .await
        .unwrap()
        .unwrap()
        .0
        .refresh_token
        .expose_secret()
        .to_owned()
}

async fn a_token_comes_back_as_it_was_stored(store: TokenStore) {
    let store = store.for_athlete("42");
    assert!(store.read().await.unwrap().is_none());
    let written = store.write(&token("one"), None).await.unwrap();
    let (read, version) = store.read().await.unwrap().unwrap();
    assert_eq!(version, written);
    assert_eq!(read.access_token.expose_secret(), "hush-access");
    assert_eq!((read.expires_at, read.scope, read.athlete_id), {
        let token = token("one");
        (token.expires_at, token.scope, token.athlete_id)
    });
    store.write(&token("two"), Some(&version)).await.unwrap();
    assert_eq!(refresh_token(&store).await, "two");
    assert!(
        store.for_athlete("7").read().await.unwrap().is_some(),
        "the address is filled in already"
    );
}

async fn a_token_that_changed_since_it_was_read_is_an_error(store: TokenStore) {
    let store = store.for_athlete("42");
    let first = store.write(&token("one"), None).await.unwrap();
    assert!(store.write(&token("other"), None).await.is_err());
    assert_eq!(refresh_token(&store).await, "one");
    store.write(&token("two"), Some(&first)).await.unwrap();
    let error = store
        .write(&token("hush-three"), Some(&first))
        .await
        .unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains("another process") && text.contains("token-42"),
        "{text}"
    );
    assert!(!format!("{text} {error:?}").contains("hush"), "{error:?}");
}

async fn a_removed_token_is_gone(store: TokenStore) {
    let store = store.for_athlete("42");
    store.write(&token("one"), None).await.unwrap();
    store.delete().await.unwrap();
    store.delete().await.unwrap();
    assert!(store.read().await.unwrap().is_none());
}

async fn a_store_for_each_athlete_needs_the_athlete(store: TokenStore) {
    assert!(store.is_per_athlete() && !store.for_athlete("42").is_per_athlete());
    let error = store.read().await.unwrap_err();
    assert!(
        is_refused(&error) && format!("{error:#}").contains("STRAVA_ATHLETE_ID"),
        "{error:#}"
    );
}

#[tokio::test]
async fn a_token_file_is_its_owners_alone() {
    let (folder, store) = file();
    let store = store.for_athlete("42");
    store.write(&token("one"), None).await.unwrap();
    let path = folder.path().join("token-42.json");
    for file in std::fs::read_dir(folder.path()).unwrap() {
        assert_eq!(
            file.unwrap().metadata().unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = store.read().await.unwrap_err();
    assert!(
        is_refused(&error) && format!("{error:#}").contains("chmod 600"),
        "{error:#}"
    );
}

#[tokio::test]
async fn of_many_processes_that_refresh_one_stores_its_token() {
    let (_folder, store) = file();
    let store = &store.for_athlete("42");
    let first = &store.write(&token("one"), None).await.unwrap();
    let writers = (0..16).map(|n| async move {
        store
            .write(&token(&format!("writer {n}")), Some(first))
            .await
    });
    let stored = futures_util::future::join_all(writers)
        .await
        .into_iter()
        .filter(Result::is_ok)
        .count();
    assert_eq!(stored, 1);
}

#[tokio::test]
async fn a_file_that_holds_no_token_is_named_without_its_content() {
    let (folder, store) = file();
    let store = store.for_athlete("42");
    let path = folder.path().join("token-42.json");
    for (text, reason) in [
        (r#"{"version":1,"access_token":"hush"}"#, "holds no token"),
        (r#"{"version":"hush"}"#, "no version"),
        (r#"{"version":2,"secret":"hush"}"#, "version 2"),
        ("hush", "no version"),
    ] {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let error = store.read().await.unwrap_err();
        let shown = format!("{error:?}");
        assert!(
            shown.contains(reason) && shown.contains("token-42") && !shown.contains("hush"),
            "{shown}"
        );
    }
}
