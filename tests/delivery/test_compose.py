"""The world from official images: valid, exact in its tags, and named as devstack names it."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from moto.server import ThreadedMotoServer

from conftest import BINARIES, ROOT, run, succeed, tool

COMPOSE = ROOT / "docker/compose.yaml"
ENVIRONMENT = ROOT / "docker/compose.env"
OURS = re.compile(r"^data-voyager/[a-z-]+:local$")
EXACT = re.compile(r"^[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-python\d\.\d+)?$")


def services() -> dict[str, dict]:
    return yaml.safe_load(COMPOSE.read_text())["services"]


def variables() -> dict[str, str]:
    return dict(re.findall(r"^([A-Z]\w*)=(.*)$", ENVIRONMENT.read_text(), re.MULTILINE))


def passed_on(service: dict) -> dict[str, str | None]:
    """The variables of a service; None: as the env file has it."""
    given = service.get("environment", {})
    return dict.fromkeys(given) if isinstance(given, list) else given


def docker_compose() -> list[str]:
    """Docker Compose as a program of its own or as Docker's plugin; neither needs an engine to read a file."""
    for command in (["docker-compose"], ["docker", "compose"]):
        if shutil.which(command[0]) and run(*command, "version").returncode == 0:
            return command
    pytest.skip("no Docker Compose here, so the file was held against the schema alone")


def test_it_is_valid_by_the_schema_of_the_specification():
    succeed(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", COMPOSE)


def test_the_schema_finds_a_planted_mistake(tmp_path):
    broken = tmp_path / "compose.yaml"
    broken.write_text(COMPOSE.read_text().replace("read_only: true\n", "readonly: true\n", 1))
    assert run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", broken).returncode != 0


@pytest.mark.parametrize("profile", ["strava", "weather", "airflow"])
def test_docker_compose_itself_reads_every_profile(profile):
    command = (*docker_compose(), "--env-file", ENVIRONMENT, "--file", COMPOSE, "--profile", profile)
    started = json.loads(succeed(*command, "config", "--format=json"))["services"]
    wanted = {name for name, it in services().items() if profile in it.get("profiles", [profile])}
    assert set(started) == wanted


def test_every_image_is_ours_or_has_an_exact_tag():
    for name, service in services().items():
        assert OURS.match(service["image"]) or EXACT.match(service["image"]), f"{name}: {service['image']}"


def test_the_world_is_whole():
    images = {service["image"].partition(":")[0] for service in services().values()}
    assert {"apache/kafka", "kafbat/kafka-ui", "mongo", "postgres", "motoserver/moto", "apache/airflow"} <= images
    built = {service["image"] for service in services().values() if "build" in service}
    five = ("strava-extract", "strava-load", "weather-producer", "weather-consumer", "dbt")
    assert built == {f"data-voyager/{name}:local" for name in five}


def test_every_profile_holds_all_that_its_services_wait_for():
    everything = services()
    for name, service in everything.items():
        for needed in service.get("depends_on", {}):
            assert set(service["profiles"]) <= set(everything[needed]["profiles"]), f"{name} needs {needed}"


def test_our_images_may_write_nowhere_and_have_no_right():
    for name, service in services().items():
        if OURS.match(service["image"]):
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name


def test_every_port_is_on_loopback():
    ports = [port for service in services().values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_the_services_are_given_is_in_the_env_file_or_offered_by_the_readme():
    """What is only offered is not set in a container unless a person sets it."""
    text, known = COMPOSE.read_text(), set(variables())
    assert set(re.findall(r"\$\{(\w+)", text)) <= known
    offered = set(re.findall(r"^# ([A-Z_]+)=", (ROOT / "docker/README.md").read_text(), re.MULTILINE))
    for name, service in services().items():
        unknown = {it for it, value in passed_on(service).items() if value is None} - known - offered
        assert not unknown, f"{name}: {unknown}"


def test_a_batch_task_runs_the_command_of_tasks_json(tasks):
    for task in ("strava-extract", "strava-load", "dbt"):
        assert services()[task]["command"] == tasks[task]["command"]


def test_a_second_start_finds_its_bucket_and_goes_on():
    """By the very script and region of the files, on the server of the image."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        bucket = services()["bucket"]
        given = {name: variables()[name] for name in bucket["environment"]} | {"AWS_ENDPOINT_URL": address}
        for _ in range(2):
            succeed(sys.executable, "-c", *bucket["command"], env=given)
    finally:
        server.stop()


def test_the_readme_names_what_a_person_must_give_and_the_file_that_holds_it():
    yours = {name for name, value in variables().items() if value == f"${{{name}:-}}"}
    page = (ROOT / "docker/README.md").read_text()
    assert yours == set(re.findall(r"^([A-Z_]+)=$", page, re.MULTILINE))
    (strava,) = re.findall(r"^docker compose .*--profile strava .*$", page, re.MULTILINE)
    assert strava.index("docker/compose.env") < strava.index("docker/.env")


def test_dbt_and_the_report_are_given_every_setting_of_their_own():
    settings = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "dbt/README.md").read_text(), re.MULTILINE))
    assert "HOME_TIMEZONE" in settings
    for name in ("dbt", "report"):
        assert settings <= set(passed_on(services()[name])), name


def test_a_shell_can_source_the_env_file():
    told = succeed("bash", "-euc", f"set -a; source {ENVIRONMENT}; env", env={"PATH": os.environ["PATH"]})
    assert set(variables()) <= {line.partition("=")[0] for line in told.splitlines()}


def test_it_names_the_variables_that_devstack_names(tmp_path_factory):
    devstack = BINARIES / "devstack"
    if not devstack.exists() or not (ROOT / "target/kafka").exists():
        pytest.skip("devstack or its Kafka is not there; make test-rust or scripts/setup makes them")
    state = tmp_path_factory.mktemp("world")
    for folder in [state, *state.parents]:
        if folder.parent == Path("/"):
            break
        folder.chmod(0o755)  # PostgreSQL runs as another user
    bare = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    told = succeed(devstack, "exec", "--state-dir", state, "--", "env", cwd=ROOT, env=bare)
    names = {line.partition("=")[0] for line in told.splitlines()} - {*bare, "PWD", "SHLVL", "_"}
    # The simulators' control addresses, which no real service has.
    assert set(variables()) == {name for name in names if not name.startswith("DEVSTACK_")}


def test_yaml_is_clean():
    succeed(tool("yamllint"), "--strict", "--config-file", ROOT / "tests/delivery/yamllint.yaml", COMPOSE)
