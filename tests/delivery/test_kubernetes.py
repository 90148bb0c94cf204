"""The manifests, rendered by kustomize and judged by a real kube-apiserver's dry run with strict validation."""

import copy
import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from conftest import BINARIES, ROOT, helper, run, succeed, tool

KUBERNETES = ROOT / "iac/kubernetes"
OVERLAYS = ("local", "eks")
# Kinds of operators whose definitions are in no package registry: the API server here does not know them.
UNKNOWN_KINDS = {"ExternalSecret", "PodMonitor", "PrometheusRule", "SecretStore"}
WORKLOADS = ("Deployment", "StatefulSet")
OUTPUTS = {
    "registry": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/data-voyager-staging",
    "landing_url": "s3://data-voyager-staging-landing",
    "weather_locations": "s3://data-voyager-staging-landing/configuration/weather-locations.csv",
    "kafka": {"cluster_arn": "arn:aws:kafka:eu-west-1:111122223333:cluster/x", "bootstrap_servers": "b-1.example:9098"},
}


def rendered(overlay: str) -> list[dict]:
    return list(yaml.safe_load_all(succeed(tool("kubectl"), "kustomize", KUBERNETES / "overlays" / overlay)))


def workloads(overlay: str) -> dict[str, dict]:
    return {it["metadata"]["name"]: it for it in rendered(overlay) if it["kind"] in WORKLOADS}


def container(workload: dict) -> dict:
    return workload["spec"]["template"]["spec"]["containers"][0]


class ApiServer:
    """A running kube-apiserver in which the platform's namespace exists."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubectl = (tool("kubectl"), f"--kubeconfig={kubeconfig}")
        namespace = next(it for it in rendered("local") if it["kind"] == "Namespace")
        succeed(*self._kubectl, "apply", "--filename=-", input=yaml.safe_dump(namespace))

    def judge(self, *manifests: dict) -> subprocess.CompletedProcess:
        """The API server's word on the manifests, with nothing stored."""
        command = ("create", "--dry-run=server", "--validate=strict", "--filename=-")
        known = [it for it in manifests if it["kind"] != "Namespace"]
        return run(*self._kubectl, *command, input=yaml.safe_dump_all(known))


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    server, etcd, up = tool("kube-apiserver"), tool("etcd"), helper("kube_apiserver_up.sh")
    tool("kubectl")
    state = tmp_path_factory.mktemp("kubernetes")
    try:
        succeed(up, state, server, etcd)
        yield ApiServer(state / "kubeconfig")
    finally:
        for file in state.glob("*.pid"):
            run("kill", file.read_text().strip())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_real_api_server_accepts_every_manifest_strictly(api, overlay):
    manifests = rendered(overlay)
    skipped = sorted({it["kind"] for it in manifests} & UNKNOWN_KINDS)
    print(f"{overlay}: skipped, since their definitions are not to be had: {', '.join(skipped)}")
    done = api.judge(*(it for it in manifests if it["kind"] not in UNKNOWN_KINDS))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (lambda it: it["spec"]["selector"]["matchLabels"].update({"app.kubernetes.io/name": "other"}), "selector"),
        (lambda it: container(it)["securityContext"].update(readOnlyRootFileSystem=True), "unknown field"),
        (lambda it: container(it)["resources"]["requests"].update(cpu="lots"), "quantities must match"),
    ],
)
def test_a_planted_mistake_is_found(api, break_it, complaint):
    consumer = copy.deepcopy(workloads("eks")["weather-consumer"])
    break_it(consumer)
    done = api.judge(consumer)
    assert done.returncode != 0
    assert complaint in done.stderr


def pods(overlay: str) -> list[dict]:
    """What the workloads would start, as bare pods: only pods are measured against the restricted profile."""
    named = workloads(overlay).items()
    made = []
    for name, workload in named:
        pod = copy.deepcopy(workload["spec"]["template"])
        pod["metadata"] |= {"name": name, "namespace": "data-voyager"}
        pod["spec"].pop("serviceAccountName", None)  # it is not there in a dry run
        volumes = pod["spec"].setdefault("volumes", [])
        for claim in workload["spec"].get("volumeClaimTemplates", []):
            volumes.append({"name": claim["metadata"]["name"], "emptyDir": {}})
        made.append({"apiVersion": "v1", "kind": "Pod", **pod})
    return made


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_fits_the_restricted_profile(api, overlay):
    done = api.judge(*pods(overlay))
    assert done.returncode == 0, done.stderr


def test_a_pod_that_asks_for_more_is_refused(api):
    pod = pods("eks")[0]
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    done = api.judge(pod)
    assert done.returncode != 0
    assert 'violates PodSecurity "restricted' in done.stderr


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_grace_period_is_longer_than_the_drain(overlay):
    found = workloads(overlay)
    for name, option in (("weather-consumer", "--drain-timeout"), ("weather-producer", "--delivery-timeout")):
        given = next(it for it in container(found[name])["args"] if it.startswith(option))
        number, unit = re.fullmatch(rf"{option}=(\d+)([sm])", given).groups()
        grace = found[name]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert grace >= int(number) * {"s": 1, "m": 60}[unit] + 10, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_there_is_one_producer_and_a_consumer_keeps_its_name(overlay):
    found = workloads(overlay)
    producer, consumer = found["weather-producer"], found["weather-consumer"]
    assert producer["kind"] == "Deployment"
    assert producer["spec"]["replicas"] == 1
    assert producer["spec"]["strategy"]["type"] == "Recreate"
    assert consumer["kind"] == "StatefulSet"
    instance = next(it for it in container(consumer)["env"] if it["name"] == "KAFKA_GROUP_INSTANCE_ID")
    assert instance["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", ["weather-producer", "weather-consumer"])
def test_the_programs_know_the_arguments_that_they_are_given(overlay, name):
    if not (BINARIES / name).exists():
        pytest.skip(f"{name} is not built")
    succeed(BINARIES / name, *container(workloads(overlay)[name])["args"], "--help")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def status(url: str, process: subprocess.Popen) -> int:
    """The HTTP status of an address that somebody begins to serve."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            assert process.poll() is None, "the program ended at once"
            assert time.monotonic() < deadline, f"waited 60 s for {url}"
            time.sleep(0.1)


@pytest.mark.parametrize("name", ["weather-producer", "weather-consumer"])
def test_the_probes_ask_for_what_the_programs_serve(name, tmp_path):
    if not (BINARIES / name).exists():
        pytest.skip(f"{name} is not built")
    locations = tmp_path / "locations.csv"
    locations.write_text("location_id,name,latitude,longitude,timezone\nnowhere,Nowhere,0.0,0.0,UTC\n")
    pod = container(workloads("local")[name])
    nobody = f"127.0.0.1:{free_port()}"  # every far side is away: alive, and not ready
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": nobody,
        "WEATHER_TOPIC": "weather",
        "WEATHER_LOCATIONS": str(locations),
        "MONGODB_URI": f"mongodb://{nobody}",
        "MONGODB_DATABASE": "weather",
        "MONGODB_COLLECTION": "readings",
        **dict.fromkeys(("OPEN_METEO_URL", "OPEN_METEO_ARCHIVE_URL"), f"http://{nobody}"),
        "LISTEN_ADDR": f"127.0.0.1:{free_port()}",
    }
    command = [BINARIES / name, *pod["args"]]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        answers = {
            probe: status(f"http://{env['LISTEN_ADDR']}{pod[probe]['httpGet']['path']}", process)
            for probe in ("livenessProbe", "readinessProbe", "startupProbe")
        }
        assert answers == {"livenessProbe": 200, "readinessProbe": 503, "startupProbe": 200}
        assert status(f"http://{env['LISTEN_ADDR']}/metrics", process) == 200
    finally:
        process.kill()
        process.wait()


def test_the_alerts_are_about_metrics_that_the_programs_have():
    sources = [ROOT / f"crates/weather-{it}/src/metrics.rs" for it in ("producer", "consumer")]
    known = {metric for file in sources for metric in re.findall(r'"(weather_\w+)"', file.read_text())}
    rules = [
        rule
        for manifest in rendered("eks")
        if manifest["kind"] == "PrometheusRule"
        for group in manifest["spec"]["groups"]
        for rule in group["rules"]
    ]
    asked = {metric for rule in rules for metric in re.findall(r"\bweather_\w+", rule["expr"])}
    assert asked <= known
    for purpose in ("lag_records", "staleness_seconds", "dead_letters_total"):
        assert any(metric.endswith(purpose) for metric in asked), purpose
    assert all(rule["annotations"]["action"] for rule in rules)


def write_settings(output: Path, *options: str, outputs: dict = OUTPUTS) -> subprocess.CompletedProcess:
    told = json.dumps({name: {"value": value} for name, value in outputs.items()})
    images = output.with_name("images.json")
    images.write_text(
        json.dumps([{"image": f"weather-{it}", "tag": "0123456789ab"} for it in ("producer", "consumer")])
    )
    command = (ROOT / "scripts/kubernetes-settings", "--images", images, "--output", output, *options)
    return run(*command, input=told)


def test_settings_are_written_from_terraforms_outputs(tmp_path):
    output = tmp_path / "kustomization.yaml"
    done = write_settings(output, "--environment", "staging")
    assert done.returncode == 0, done.stderr
    component = yaml.safe_load(output.read_text())
    assert component["images"][1]["newName"].endswith("/data-voyager-staging/weather-consumer")
    literals = dict(it.split("=", 1) for it in component["configMapGenerator"][0]["literals"])
    assert literals["KAFKA_SASL_MECHANISM"] == "AWS_MSK_IAM"
    assert literals["AWS_REGION"] == "eu-west-1"
    assert "/data-voyager/staging/mongodb/uri" in component["patches"][1]["patch"]


@pytest.mark.parametrize(
    ("options", "outputs", "complaint"),
    [
        (("--environment", "production"), OUTPUTS, "the environment is not 'production'"),
        (("--environment", "staging"), OUTPUTS | {"kafka": None}, "--kafka must name the brokers"),
        (("--environment", "staging"), {}, "registry"),
    ],
)
def test_settings_that_cannot_be_right_are_refused_with_exit_two(tmp_path, options, outputs, complaint):
    output = tmp_path / "kustomization.yaml"
    done = write_settings(output, *options, outputs=outputs)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert not output.exists()


def test_the_settings_in_the_repository_are_those_that_the_script_writes(tmp_path):
    kept = KUBERNETES / "overlays/eks/settings/kustomization.yaml"
    output = tmp_path / "kustomization.yaml"
    outputs = json.loads(json.dumps(OUTPUTS).replace("staging", "production").replace("eu-west-1", "eu-central-1"))
    write_settings(output, "--environment", "production", outputs=outputs)
    names = [re.findall(r"^      - (\w+)=", file.read_text(), re.MULTILINE) for file in (kept, output)]
    assert names[0] == names[1]


def test_the_script_asks_for_outputs_that_terraform_has():
    declared = set(re.findall(r'^output "(\w+)"', (ROOT / "iac/outputs.tf").read_text(), re.MULTILINE))
    assert set(OUTPUTS) <= declared


def test_yaml_is_clean():
    succeed(tool("yamllint"), "--strict", "--config-file", ROOT / "tests/delivery/yamllint.yaml", KUBERNETES)
