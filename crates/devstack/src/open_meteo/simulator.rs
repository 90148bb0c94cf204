//! The three hosts of the service on loopback: started in process by tests, and by devstack for everybody else.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::api;
use super::clock::Clock;
use super::control::{self, Control, Request};
use super::faults::Faults;
use super::limits::{Limiter, Limits};

/// A host of the service; each has an address of its own, as paths do not tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    Forecast,
    Archive,
    HistoricalForecast,
}

/// How a simulator starts; the default is the free service on the system's clock.
#[derive(Debug, Clone)]
pub struct Options {
    pub limits: Limits,
    pub clock: Clock,
    /// A customer's host: the key is asked for, and there are no windows.
    pub api_key: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            clock: Clock::system(),
            api_key: None,
        }
    }
}

/// A running simulator; it stops when dropped.
#[derive(Debug)]
pub struct Simulator {
    forecast: SocketAddr,
    archive: SocketAddr,
    historical_forecast: SocketAddr,
    control: Control,
    _stop: DropGuard,
}

/// What all requests share: one count for the three hosts, as the terms speak of calls a day and not a host.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) api_key: Option<String>,
    pub(super) at_once: AtomicUsize,
    pub(super) turn: tokio::sync::Mutex<()>,
    world: Mutex<World>,
}

/// What requests change.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) limiter: Limiter,
    pub(super) faults: Faults,
    pub(super) requests: Vec<Request>,
    pub(super) revision: u32,
    pub(super) lacking: Vec<String>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Simulator {
    /// Binds three free ports on loopback and answers until dropped.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            clock: options.clock,
            limits: options.limits,
            api_key: options.api_key,
            at_once: AtomicUsize::new(0),
            turn: tokio::sync::Mutex::default(),
            world: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let host = |host| serve(Arc::clone(&shared), host, stop.clone());
        let (forecast, archive, historical_forecast) = tokio::try_join!(
            host(Host::Forecast),
            host(Host::Archive),
            host(Host::HistoricalForecast)
        )
        .context("bind the Open-Meteo simulator")?;
        let control = Control::new(shared);
        Ok(Self {
            forecast,
            archive,
            historical_forecast,
            control,
            _stop: stop.drop_guard(),
        })
    }

    /// Of the host of forecasts.
    pub fn address(&self) -> SocketAddr {
        self.forecast
    }

    /// For `OPEN_METEO_URL`.
    pub fn forecast_url(&self) -> String {
        format!("http://{}", self.forecast)
    }

    /// For `OPEN_METEO_ARCHIVE_URL`.
    pub fn archive_url(&self) -> String {
        format!("http://{}", self.archive)
    }

    /// For `OPEN_METEO_HISTORICAL_FORECAST_URL`.
    pub fn historical_forecast_url(&self) -> String {
        format!("http://{}", self.historical_forecast)
    }

    /// For `DEVSTACK_OPEN_METEO_CONTROL`; the routes are in `control.rs`.
    pub fn control_url(&self) -> String {
        format!("http://{}/control", self.forecast)
    }

    /// Everything that the control address can do, in process.
    pub fn control(&self) -> &Control {
        &self.control
    }
}

async fn serve(
    shared: Arc<Shared>,
    host: Host,
    stop: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let weather = || get(api::weather).post(api::weather);
    let paths: &[&str] = match host {
        Host::Archive => &["/v1/archive", "/v1/era5"],
        Host::Forecast | Host::HistoricalForecast => &["/v1/forecast"],
    };
    let hosts = paths
        .iter()
        .fold(Router::new(), |router, path| router.route(path, weather()));
    let app = hosts
        .with_state((Arc::clone(&shared), host))
        .nest("/control", control::routes().with_state(shared))
        .fallback(api::unknown);
    let server = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned());
    tokio::spawn(server.into_future());
    Ok(address)
}
