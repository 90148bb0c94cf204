//! The control address: what happens on Strava's side between two runs.

use devstack::strava::{Options, Request};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Strava, small};

const LIST: &str = "/athlete/activities?per_page=200";

impl Strava {
    async fn control(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.simulator.control_url());
        let request = self.http.request(method, url).body(body.to_string());
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            serde_json::from_str(&response.text().await.unwrap()).unwrap(),
        )
    }
}

#[tokio::test]
async fn an_activity_is_added_edited_backdated_and_deleted() {
    let strava = Strava::start(small(20)).await;
    let before = strava.ids(LIST).await;

    let (status, added) = strava
        .control(Method::POST, "/activities", &json!({"name": "new"}))
        .await;
    assert_eq!(status, 200, "{added}");
    let old = json!({"start_date": "2020-02-29T06:00:00Z", "name": "old"});
    let (_, backdated) = strava.control(Method::POST, "/activities", &old).await;
    let mut expected = before.clone();
    expected.insert(0, added["id"].as_i64().unwrap());
    expected.push(backdated["id"].as_i64().unwrap());
    assert_eq!(strava.ids(LIST).await, expected);

    let path = format!("/activities/{}", before[3]);
    let edit = json!({"kudos_count": 99, "start_date": "2021-07-01T10:00:00Z"});
    assert_eq!(strava.control(Method::PATCH, &path, &edit).await.0, 200);
    let edited = strava.json(&path).await;
    assert_eq!(edited["kudos_count"], 99);
    let offset = edited["utc_offset"].as_f64().unwrap();
    let local: jiff::Timestamp = edited["start_date_local"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let start: jiff::Timestamp = "2021-07-01T10:00:00Z".parse().unwrap();
    assert_eq!(local.duration_since(start).as_secs_f64(), offset);

    assert_eq!(
        strava.control(Method::DELETE, &path, &Value::Null).await.0,
        200
    );
    assert_eq!(
        strava.control(Method::DELETE, &path, &Value::Null).await.0,
        404
    );
    assert_eq!(strava.get(&path).await.status(), 404);
    assert!(!strava.ids(LIST).await.contains(&before[3]));
}

#[tokio::test]
async fn an_edit_leaves_the_other_values_as_they_were() {
    let strava = Strava::start(small(2)).await;
    let control = strava.simulator.control();
    let before = control.summaries();
    let id = strava.ids(LIST).await[1];
    assert!(
        control
            .edit(id, r#"{"kudos_count":4711}"#.parse().unwrap())
            .unwrap()
    );
    let after = control.summaries();
    assert_eq!(after[0], before[0]);
    assert_ne!(after[1], before[1]);
    let kudos: Value = serde_json::from_str(&before[1]).unwrap();
    let restored = after[1].replace("4711", &kudos["kudos_count"].to_string());
    assert_eq!(restored, before[1]);
}

#[tokio::test]
async fn a_share_can_vanish_or_hide() {
    let strava = Strava::start(small(100)).await;
    let all = strava.ids(LIST).await;
    let hidden = json!({"ids": all[..10]});
    assert_eq!(strava.control(Method::PUT, "/hidden", &hidden).await.0, 200);
    assert_eq!(strava.ids(LIST).await, all[10..]);
    assert_eq!(
        strava
            .get(&format!("/activities/{}", all[0]))
            .await
            .status(),
        200
    );
    strava
        .control(Method::PUT, "/hidden", &json!({"ids": []}))
        .await;

    let (_, gone) = strava
        .control(Method::DELETE, "/activities?percent=30", &Value::Null)
        .await;
    assert_eq!(gone["ids"].as_array().unwrap().len(), 30);
    assert_eq!(strava.ids(LIST).await.len(), 70);
}

#[tokio::test]
async fn the_log_shows_method_path_and_status_without_tokens() {
    let strava = Strava::start(small(1)).await;
    strava.get("/athlete?access_token=planted-token&a=b").await;
    strava.get("/activities/1").await;
    let (_, log) = strava.control(Method::GET, "/requests", &Value::Null).await;
    let log: Vec<Request> = serde_json::from_value(log).unwrap();
    let lines: Vec<String> = log
        .iter()
        .map(|line| format!("{} {} {}", line.method, line.path, line.status.unwrap()))
        .collect();
    assert_eq!(
        lines,
        [
            "POST /oauth/token 200",
            "GET /athlete?a=b 200",
            "GET /activities/1 404"
        ]
    );
}

#[tokio::test]
async fn every_control_route_does_what_its_line_says() {
    let strava = Strava::start(small(1)).await;
    let fault = json!({"kind": "internal_error", "path": "/athlete"});
    assert_eq!(strava.control(Method::POST, "/faults", &fault).await.0, 200);
    assert_eq!(strava.get("/athlete").await.status(), 500);
    strava.control(Method::POST, "/faults", &fault).await;
    strava
        .control(Method::DELETE, "/faults", &Value::Null)
        .await;
    assert_eq!(strava.get("/athlete").await.status(), 200);

    strava
        .control(Method::POST, "/quota", &json!({"window": "quarter"}))
        .await;
    assert_eq!(strava.get("/athlete").await.status(), 429);
    let (_, moved) = strava
        .control(Method::POST, "/clock", &json!({"advance_seconds": 720}))
        .await;
    assert_eq!(moved["now"], "2026-11-24T10:15:00Z");
    assert_eq!(strava.get("/athlete").await.status(), 200);

    strava
        .control(Method::PUT, "/scope", &json!({"scope": ["read"]}))
        .await;
    assert_eq!(strava.get(LIST).await.status(), 401);
    strava
        .control(Method::PUT, "/application", &json!({"inactive": true}))
        .await;
    assert_eq!(strava.get("/athlete").await.status(), 403);
    let (_, state) = strava.control(Method::GET, "/state", &Value::Null).await;
    assert_eq!(
        (&state["inactive"], &state["scope"]),
        (&json!(true), &json!(["read"]))
    );

    strava
        .control(Method::PUT, "/application", &json!({"inactive": false}))
        .await;
    strava
        .control(Method::DELETE, "/tokens/access", &Value::Null)
        .await;
    assert_eq!(strava.get("/athlete").await.status(), 401);
    let refresh_token = strava.simulator.refresh_token();
    strava
        .control(Method::DELETE, "/tokens/refresh", &Value::Null)
        .await;
    let secret = strava.simulator.client_secret();
    assert_eq!(
        strava.try_refresh(secret, &refresh_token).await.status(),
        400
    );

    strava
        .control(Method::DELETE, "/requests", &Value::Null)
        .await;
    assert_eq!(
        strava
            .control(Method::GET, "/requests", &Value::Null)
            .await
            .1,
        json!([])
    );
    assert_eq!(
        strava
            .control(Method::POST, "/faults", &json!({"kind": "?"}))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn edits_tokens_and_usage_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let state = Some(folder.path().join("state.json"));
    let options = Options { state, ..small(20) };
    let strava = Strava::start(options.clone()).await;
    let ids = strava.ids(LIST).await;
    let control = strava.simulator.control();
    control.delete(ids[0]).unwrap();
    control
        .edit(ids[1], r#"{"name":"kept"}"#.parse().unwrap())
        .unwrap();
    let added = control
        .add(r#"{"distance":12.50}"#.parse().unwrap())
        .unwrap();
    let (summaries, refresh_token) = (control.summaries(), strava.simulator.refresh_token());
    let token = strava.token.clone();
    strava.simulator.stop().unwrap();

    let strava = Strava {
        token,
        ..Strava::start(options).await
    };
    assert_eq!(strava.simulator.control().summaries(), summaries);
    assert_eq!(strava.simulator.refresh_token(), refresh_token);
    assert_eq!(strava.ids(LIST).await[0], added);
    let (_, state) = strava.control(Method::GET, "/state", &Value::Null).await;
    assert_eq!(state["quota"]["usage"], "2,2");
}
