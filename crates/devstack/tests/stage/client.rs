//! A plain HTTP client of the simulator, with a token.

use devstack::strava::{Athlete, Generated, Options, Simulator};
use reqwest::{Client, Response};
use serde_json::Value;

pub(crate) struct Strava {
    pub(crate) simulator: Simulator,
    pub(crate) http: Client,
    pub(crate) token: String,
}

/// A small made-up athlete on a clock that stands still.
pub(crate) fn small(activities: usize) -> Options {
    Options {
        athlete: Athlete::Generated(Generated {
            seed: 3,
            today: Some("2026-11-24".parse().unwrap()),
            activities: Some(activities),
            ..Generated::default()
        }),
        clock: Some("2026-11-24T10:03:00Z".parse().unwrap()),
        ..Options::default()
    }
}

impl Strava {
    pub(crate) async fn start(options: Options) -> Self {
        let simulator = Simulator::start(options).await.unwrap();
        let http = Client::builder().no_proxy().build().unwrap();
        let mut strava = Self {
            simulator,
            http,
            token: String::new(),
        };
        let refresh_token = strava.simulator.refresh_token();
        strava.token = strava.refresh(&refresh_token).await["access_token"]
            .as_str()
            .unwrap()
            .into();
        strava
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.try_get(path).await.unwrap()
    }

    pub(crate) async fn try_get(&self, path: &str) -> reqwest::Result<Response> {
        let url = format!("{}{path}", self.simulator.api_url());
        self.http.get(url).bearer_auth(&self.token).send().await
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }

    /// The ids of a list.
    pub(crate) async fn ids(&self, path: &str) -> Vec<i64> {
        let page = self.json(path).await;
        page.as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_i64().unwrap())
            .collect()
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Value {
        let response = self
            .try_refresh(self.simulator.client_secret(), refresh_token)
            .await;
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }

    pub(crate) async fn try_refresh(&self, secret: &str, refresh_token: &str) -> Response {
        let form = [
            ("client_id", self.simulator.client_id()),
            ("client_secret", secret),
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ];
        let url = format!("{}/token", self.simulator.oauth_url());
        self.http.post(url).form(&form).send().await.unwrap()
    }
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}
