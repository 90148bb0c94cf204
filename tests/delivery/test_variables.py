"""One name for one thing: tasks.json, Terraform, devstack, compose, Kubernetes, .envrc.example and --help agree."""

import json
import re
from dataclasses import dataclass

import pytest
import yaml

from conftest import BINARIES, PROGRAMS, ROOT, run, succeed, tool

# The SDK's own; every program that calls AWS reads them.
SDK = {
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SSM"),
}
OPTION = re.compile(r"^ +(?:-\w, )?--([a-z-]+)[^\n]*\n(.*?)(?=^ +(?:-\w, )?--[a-z]|\Z)", re.MULTILINE | re.DOTALL)
FILES = ("iac/tasks.json", "iac/tasks.tf", "crates/devstack/src/ecs/local.rs", "docker/compose.yaml", ".envrc.example")


@dataclass
class Program:
    """What a program reads, and what each of its commands cannot do without."""

    known: set[str]
    required: dict[str, set[str]]


def of_rust(name: str) -> Program:
    """Read off --help of every command, the commands of commands included."""
    known: set[str] = set()
    required: dict[str, set[str]] = {}
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        command = waiting.pop()
        told = succeed(BINARIES / name, *command, "--help")
        variables = {
            option: found[1] for option, text in OPTION.findall(told) if (found := re.search(r"\[env: (\w+)", text))
        }
        known |= set(variables.values())
        usage = re.search(r"^Usage: .*$", told, re.MULTILINE)[0]
        required[" ".join(command)] = {variables[it] for it in re.findall(r"--([a-z-]+)", usage) if it in variables}
        listed = re.search(r"^Commands:\n((?:  .*\n)+)", told, re.MULTILINE)
        below = re.findall(r"^  ([a-z-]+)  ", listed[1], re.MULTILINE) if listed else []
        waiting += [(*command, it) for it in below if it != "help"]
    return Program(known, required)


def of_dbt() -> Program:
    """It has no options, so what it reads is read off its source."""
    source = "".join(file.read_text() for file in (ROOT / "dbt").glob("**/*.py") if "tests" not in file.parts)
    read = set(re.findall(r'environ(?:\.get)?[\[(]"([A-Z_]+)"', source))
    return Program(read, {"build": {"DATABASE_URL"}, "report": {"DATABASE_URL", "REPORT_URL"}})


@pytest.fixture(scope="module")
def programs() -> dict[str, Program]:
    if not all((BINARIES / name).exists() for name in PROGRAMS):
        pytest.skip("the programs are not built; make test-rust or cargo build does it")
    return {**{name: of_rust(name) for name in PROGRAMS}, "dbt": of_dbt()}


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """Every place that names variables, as text."""
    texts = {name: (ROOT / name).read_text() for name in FILES}
    overlays = {name: f"iac/kubernetes/overlays/{name}" for name in ("local", "eks")}
    return texts | {name: succeed(tool("kubectl"), "kustomize", ROOT / path) for name, path in overlays.items()}


def of_tasks(text: str) -> dict[tuple[str, str], set[str]]:
    tasks = json.loads(text)["tasks"]
    return {(name, it["command"][0]): {*it["environment"], *it["secrets"]} for name, it in tasks.items()}


def of_compose(text: str) -> dict[tuple[str, str], set[str]]:
    services = yaml.safe_load(text)["services"].values()
    ours = (it for it in services if it["image"].startswith("data-voyager/"))
    return {(it["image"].split("/")[1].split(":")[0], it["command"][0]): set(it["environment"]) for it in ours}


def of_kubernetes(text: str) -> dict[tuple[str, str], set[str]]:
    manifests = list(yaml.safe_load_all(text))
    kept: dict[str, set[str]] = {}
    for it in manifests:
        name = it["metadata"]["name"]
        if it["kind"] in ("ConfigMap", "Secret"):
            kept.setdefault(name, set()).update({**it.get("data", {}), **it.get("stringData", {})})
        elif it["kind"] == "ExternalSecret":
            kept.setdefault(it["spec"]["target"]["name"], set()).update(e["secretKey"] for e in it["spec"]["data"])
    found = {}
    for it in manifests:
        if it["kind"] in ("Deployment", "StatefulSet") and it["metadata"]["name"] in PROGRAMS:
            (container,) = it["spec"]["template"]["spec"]["containers"]
            names = {entry["name"] for entry in container["env"]}
            for source in container["envFrom"]:
                ((reference),) = source.values()
                names |= kept.get(reference["name"], set())
            found[it["metadata"]["name"], container["args"][0]] = names
    return found


def placeholders(sources: dict[str, str]) -> dict[str, set[str]]:
    """The `${name}` of tasks.json, and who fills them."""
    values = re.search(r"^  values = \{\n(.*?)^  \}", sources["iac/tasks.tf"], re.MULTILINE | re.DOTALL)[1]
    filled = re.search(r"^fn fill.*?^}", sources["crates/devstack/src/ecs/local.rs"], re.MULTILINE | re.DOTALL)[0]
    return {
        "iac/tasks.json": set(re.findall(r"\$\{(\w+)\}", sources["iac/tasks.json"])),
        "iac/tasks.tf": set(re.findall(r"^    (\w+) +=", values, re.MULTILINE)),
        "devstack": {name.lower() for name in re.findall(r'"([A-Z_]+|registry|tag)"', filled)},
    }


def complaints(sources: dict[str, str], programs: dict[str, Program]) -> list[str]:
    """Every disagreement in a sentence."""
    found = []
    given = {
        "iac/tasks.json": of_tasks(sources["iac/tasks.json"]),
        "docker/compose.yaml": of_compose(sources["docker/compose.yaml"]),
        "local": of_kubernetes(sources["local"]),
        "eks": of_kubernetes(sources["eks"]),
    }
    everybody = set().union(*(program.known for program in programs.values()))
    for place, tasks in given.items():
        for (name, command), names in tasks.items():
            program = programs[name]
            # In a pod both programs get all of the pair's variables.
            known = everybody if place in ("local", "eks") else program.known
            found += [f"{place}: {name} does not read {it}" for it in sorted(names - known - SDK)]
            found += [f"{place}: {name} {command} needs {it}" for it in sorted(program.required[command] - names)]
    known = placeholders(sources)
    for place, names in known.items():
        found += [f"{place}: fills {it} differently" for it in sorted(names ^ known["iac/tasks.json"])]
    example = set(re.findall(r"^(?:# )?export ([A-Z_]+)=", sources[".envrc.example"], re.MULTILINE))
    found += [f".envrc.example: nobody reads {it}" for it in sorted(example - everybody - SDK)]
    wanted = [("strava-extract", "api"), ("strava-load", "sync"), ("dbt", "report")]
    wanted += [("weather-producer", "backfill"), ("weather-producer", "stream"), ("weather-consumer", "run")]
    for name, command in wanted:
        found += [f".envrc.example: {name} needs {it}" for it in sorted(programs[name].required[command] - example)]
    return found


def test_every_place_names_the_same_variables(sources, programs):
    assert complaints(sources, programs) == []


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        ("iac/tasks.json", '"LANDING_URL"', '"LANDING_ADDRESS"'),
        ("iac/tasks.json", '"STRAVA_CLIENT_ID"', '"STRAVA_ID"'),
        ("iac/tasks.json", "${weather_topic}", "${topic}"),
        ("iac/tasks.tf", "    landing_url ", "    landing_address "),
        ("crates/devstack/src/ecs/local.rs", '"WEATHER_TOPIC"', '"WEATHER_TOPICS"'),
        ("docker/compose.yaml", "KAFKA_BOOTSTRAP_SERVERS:\n", "KAFKA_SERVERS:\n"),
        ("docker/compose.yaml", "LISTEN_ADDR:", "LISTEN_ADDRESS:"),
        ("local", "MONGODB_URI", "MONGO_URI"),
        ("eks", "MONGODB_URI", "MONGO_URI"),
        ("eks", "KAFKA_GROUP_INSTANCE_ID", "KAFKA_INSTANCE_ID"),
        (".envrc.example", "export DATABASE_URL=", "export DATABASE_ADDRESS="),
        (".envrc.example", "export REPORT_URL=", "export REPORT_ADDRESS="),
        (".envrc.example", "export WEATHER_TOPIC=", "export WEATHER_TOPICS="),
    ],
)
def test_a_variable_that_is_renamed_in_one_place_is_found(sources, programs, place, old, new):
    assert old in sources[place]
    assert complaints(sources | {place: sources[place].replace(old, new)}, programs)


def test_a_variable_that_a_program_renames_is_found(sources, programs):
    renamed = Program(
        programs["strava-load"].known - {"LANDING_URL"} | {"LANDING"}, {"sync": {"LANDING", "DATABASE_URL"}}
    )
    said = complaints(sources, programs | {"strava-load": renamed})
    assert "iac/tasks.json: strava-load does not read LANDING_URL" in said
    assert "docker/compose.yaml: strava-load sync needs LANDING" in said


def test_what_is_read_off_help_is_what_a_program_really_asks_for(programs):
    """Without any variable a program ends with exit 2 and names those that --help gives as required."""
    done = run(BINARIES / "strava-load", "sync", env={})
    assert done.returncode == 2
    options = {name.lower().replace("_", "-") for name in programs["strava-load"].required["sync"]}
    assert options
    assert all(f"--{option}" in done.stderr + done.stdout for option in options)
