//! The platform's own tasks in devstack's world: what Terraform, a person and the container agent would have set up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

use super::{Config, Ecs, Program, TasksFile, secrets};

const CLUSTER: &str = "data-voyager";
const PREFIX: &str = "data-voyager";
const SECRETS_ROOT: &str = "/data-voyager/local/";
const DEFAULT_REGION: &str = "eu-central-1";
/// Loopback has no networks; these only have the right form.
const SUBNETS: &str = "subnet-0de57ac000000001";
const SECURITY_GROUPS: &str = "sg-0de57ac000000001";
/// What an image has.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Longer than any stop timeout of `iac/tasks.json` is not waited for.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The endpoint for the repository that the current folder is in.
pub struct LocalEcs {
    ecs: Ecs,
    region: String,
}

impl LocalEcs {
    /// Starts it in a world that has `variables`; its secrets are stored in that world's SSM.
    pub async fn start(variables: &[(&'static str, String)]) -> anyhow::Result<Self> {
        let variables: BTreeMap<&str, &str> = variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let root = repository()?;
        let config = config(&root, &variables)?;
        secrets::Secrets::new(&config)
            .store(secrets_of(&variables))
            .await
            .context("store the tasks' secrets in SSM")?;
        if let Some(store) = variables.get("STRAVA_TOKEN_STORE") {
            log_in(store, &variables).context("store the athlete's token")?;
        }
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("find a port for ECS")?;
        let region = config.region.clone();
        Ok(Self {
            ecs: Ecs::start(listener, config)?,
            region,
        })
    }

    pub fn address(&self) -> String {
        self.ecs.address().to_string()
    }

    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL_ECS", self.ecs.url()),
            // The SDKs name the variable by the service's id, "CloudWatch Logs".
            ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", self.ecs.url()),
            ("AWS_DEFAULT_REGION", self.region.clone()), // the name that boto3 reads
            ("ECS_CLUSTER", CLUSTER.to_owned()),
            ("ECS_SUBNETS", SUBNETS.to_owned()),
            ("ECS_SECURITY_GROUPS", SECURITY_GROUPS.to_owned()),
            (
                "DEVSTACK_ECS_CONTROL",
                format!("{}/control", self.ecs.url()),
            ),
        ]
    }

    /// Stops every task, then the endpoint.
    pub async fn stop(self) {
        self.ecs.stop(STOP_TIMEOUT).await;
    }
}

impl std::fmt::Debug for LocalEcs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("LocalEcs")
            .field(&self.ecs.address())
            .finish()
    }
}

/// The nearest folder above the current one with the tasks in it.
fn repository() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("find the current folder")?;
    let found = here
        .ancestors()
        .find(|folder| folder.join("iac/tasks.json").is_file());
    found.map(Path::to_owned).with_context(|| {
        format!(
            "no iac/tasks.json in {} or above it: ECS needs the repository",
            here.display()
        )
    })
}

fn config(root: &Path, variables: &BTreeMap<&str, &str>) -> anyhow::Result<Config> {
    let given = |name: &str| variables.get(name).copied().unwrap_or_default().to_owned();
    let region = Some(given("AWS_REGION")).filter(|region| !region.is_empty());
    let region = region.unwrap_or_else(|| DEFAULT_REGION.to_owned());
    let mut agent_environment = BTreeMap::from([
        ("AWS_EXECUTION_ENV".to_owned(), "AWS_ECS_FARGATE".to_owned()),
        ("AWS_REGION".to_owned(), region.clone()),
        ("AWS_DEFAULT_REGION".to_owned(), region.clone()),
    ]);
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ENDPOINT_URL",
    ] {
        if let Some(value) = variables.get(name) {
            agent_environment.insert(name.to_owned(), (*value).to_owned());
        }
    }
    Ok(Config {
        cluster: CLUSTER.to_owned(),
        region,
        prefix: PREFIX.to_owned(),
        secrets_root: SECRETS_ROOT.to_owned(),
        tasks: TasksFile::read(&root.join("iac/tasks.json"))?,
        fill: fill(&given),
        programs: programs(root)?,
        agent_environment,
        ssm_endpoint: variables
            .get("AWS_ENDPOINT_URL")
            .map(|url| (*url).to_owned()),
    })
}

/// What Terraform fills in; a part of the world that does not run gives nothing.
fn fill(given: &impl Fn(&str) -> String) -> BTreeMap<String, String> {
    let mut values: BTreeMap<String, String> =
        BTreeMap::from(["registry", "tag"].map(|name| (name.to_owned(), "local".to_owned())));
    for name in [
        "HOME_TIMEZONE",
        "KAFKA_BOOTSTRAP_SERVERS",
        "KAFKA_SASL_MECHANISM",
        "KAFKA_SECURITY_PROTOCOL",
        "LANDING_URL",
        "OPEN_METEO_ARCHIVE_URL",
        "OPEN_METEO_HISTORICAL_FORECAST_URL",
        "OPEN_METEO_URL",
        "REPORT_URL",
        "STRAVA_API_URL",
        "STRAVA_OAUTH_URL",
        "STRAVA_TOKEN_STORE",
        "WEATHER_LOCATIONS",
        "WEATHER_TOPIC",
    ] {
        values.insert(name.to_lowercase(), given(name));
    }
    values
}

/// The programs that lie beside devstack, dbt in the repository's Python environment, and a shell.
fn programs(root: &Path) -> anyhow::Result<BTreeMap<String, Program>> {
    let own = std::env::current_exe().context("find devstack itself")?;
    let beside = own.parent().context("find devstack's folder")?;
    let environment = BTreeMap::from([
        ("PATH".to_owned(), PATH.to_owned()),
        ("HOME".to_owned(), "/tmp".to_owned()),
    ]);
    let program = |entry_point: Vec<PathBuf>| Program {
        entry_point: entry_point
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect(),
        directory: root.to_owned(),
        environment: environment.clone(),
    };
    let mut programs: BTreeMap<String, Program> =
        ["strava-extract", "strava-load", "weather-producer"]
            .map(|name| (name.to_owned(), program(vec![beside.join(name)])))
            .into();
    // For definitions that tests register: `["-c", "echo hello"]`.
    programs.insert(
        "busybox".to_owned(),
        program(vec![PathBuf::from("/bin/sh")]),
    );
    let dbt = vec![root.join(".venv/bin/python"), root.join("dbt/run.py")];
    programs.insert("dbt".to_owned(), program(dbt));
    Ok(programs)
}

/// The secrets that a person stores, as far as this world has them.
fn secrets_of(variables: &BTreeMap<&str, &str>) -> Vec<(String, String)> {
    [
        ("strava/client-id", "STRAVA_CLIENT_ID"),
        ("strava/client-secret", "STRAVA_CLIENT_SECRET"),
        ("database/loader-url", "DATABASE_URL"),
        ("database/dbt-url", "DATABASE_URL"),
    ]
    .into_iter()
    .filter_map(|(path, variable)| {
        let value = variables.get(variable)?;
        Some((format!("{SECRETS_ROOT}{path}"), (*value).to_owned()))
    })
    .collect()
}

/// What `strava-extract auth login` leaves behind: a token store with the refresh token in it.
fn log_in(store: &str, variables: &BTreeMap<&str, &str>) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let athlete = variables
        .get("STRAVA_ATHLETE_ID")
        .copied()
        .unwrap_or_default();
    let address = store.replace("{athlete_id}", athlete);
    let (Some(path), Some(refresh)) = (
        address.strip_prefix("file://"),
        variables.get("STRAVA_REFRESH_TOKEN"),
    ) else {
        return Ok(());
    };
    let token = serde_json::json!({
        "version": 1,
        "access_token": "",
        "refresh_token": refresh,
        "expires_at": 0,
        "scope": "read,activity:read_all,profile:read_all",
        "athlete_id": athlete,
    });
    let mut options = std::fs::OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => file
            .write_all(token.to_string().as_bytes())
            .with_context(|| format!("write {path}")),
        // Of an earlier run: the token has rotated since.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).with_context(|| format!("create {path}")),
    }
}
