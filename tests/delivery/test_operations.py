"""Every command of docs/operations.md exists, with the options that it is given; its SQL runs."""

import re
import shlex
from pathlib import Path

import psycopg
import pytest
import yaml
from botocore import xform_name
from botocore.session import Session

from conftest import BINARIES, ROOT, run, succeed, tool

PAGE = ROOT / "docs/operations.md"
TERRAFORM = {"apply", "destroy", "init", "output", "plan"}
PLAIN = {"[", "curl", "date", "do", "done", "echo", "eval", "export", "for", "git", "jq", "read"}
# The command line's own shortcuts, which are in no model of a service.
AWS_SHORTCUTS = {("s3", "cp"), ("s3", "rm"), ("logs", "tail"), ("eks", "update-kubeconfig")}
AWS_OPTIONS = {"query", "output", "overwrite", "recursive", "region"}


def blocks(language: str, page: str | None = None) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page or PAGE.read_text(), re.MULTILINE | re.DOTALL)


def commands(script: str) -> list[list[str]]:
    """Every simple command as words, those inside $(…) included."""
    found, waiting = [], [script.replace("\\\n", " ")]
    while waiting:
        text = waiting.pop()
        waiting += re.findall(r"\$\(([^()]*)\)", text)
        text = re.sub(r"\$\([^()]*\)", "VALUE", text)
        for line in text.splitlines():
            words = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
            words.whitespace_split = True
            command: list[str] = []
            for word in words:
                if set(word) <= set("|&;"):
                    found.append(command)
                    command = []
                else:
                    command.append(word)
            found.append(command)
    return [command for command in found if command]


def long_options(words: list[str]) -> list[str]:
    return [word.lstrip("-").partition("=")[0] for word in words if word.startswith("--") and len(word) > 2]


def complaint(words: list[str]) -> str | None:
    """What is wrong with a command, in a sentence; None where nothing is."""
    name, arguments = words[0], words[1:]
    if name == "do" and arguments:
        return complaint(arguments)
    if name in PLAIN or re.match(r"^\w+=", name):
        return None
    if name == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        return None if arguments[0] in targets else f"no target {arguments[0]}"
    if name == "cp":
        return None if (ROOT / arguments[0]).exists() else f"no file {arguments[0]}"
    for prefix, judge in (("scripts/", script), ("target/release/", program), ("aws", aws), ("terraform", terraform)):
        if name.startswith(prefix):
            return judge(name, arguments)
    if name == "kubectl":
        return kubectl(arguments)
    if name == "gh":
        return github(arguments)
    if name == "docker":
        return compose(arguments)
    return f"nobody knows how to check '{name}'"


def script(name: str, arguments: list[str]) -> str | None:
    if not (ROOT / name).exists():
        return f"no {name}"
    told = run(ROOT / name, "--help")
    missing = [option for option in long_options(arguments) if f"--{option}" not in told.stdout]
    return f"{name} has no {missing}" if told.returncode or missing else None


def program(name: str, arguments: list[str]) -> str | None:
    """Asks the program for help behind the arguments: it refuses what it does not know."""
    binary = BINARIES / Path(name).name
    if binary.name == "ecs-run" and "--" in arguments:
        split = arguments.index("--")
        task, behind = arguments[0], arguments[split + 1 :]
        ours = {"dbt": None}.get(task, BINARIES / task)
        wrong = program(task, behind) if ours else dbt(behind)
        return wrong or program(name, arguments[:split])
    done = run(binary, *arguments, "--help")
    return None if done.returncode == 0 else f"{binary.name} {arguments}: {done.stderr.strip()}"


def dbt(arguments: list[str]) -> str | None:
    usage = run(ROOT / ".venv/bin/python", ROOT / "dbt/run.py", "--help").stderr
    return None if re.search(rf"run\.py.*\b{arguments[0]}\b", usage) else f"dbt/run.py has no {arguments[0]}"


def aws(_: str, arguments: list[str]) -> str | None:
    service, operation, *rest = arguments
    if (service, operation) in AWS_SHORTCUTS:
        return None
    model = Session().get_service_model(service.removesuffix("api"))
    operations = {xform_name(it, "-"): it for it in model.operation_names}
    if operation not in operations:
        return f"aws {service} has no {operation}"
    shape = model.operation_model(operations[operation]).input_shape
    known = {xform_name(member, "-") for member in shape.members} | AWS_OPTIONS
    unknown = set(long_options(rest)) - known
    required = {xform_name(member, "-") for member in shape.required_members} - set(long_options(rest))
    return f"aws {service} {operation}: unknown {unknown}, missing {required}" if unknown or required else None


def terraform(_: str, arguments: list[str]) -> str | None:
    folder = ROOT / arguments[0].removeprefix("-chdir=")
    if not folder.is_dir() or arguments[1] not in TERRAFORM:
        return f"terraform {arguments[:2]}"
    declared = (folder / "variables.tf").read_text(), (folder / "outputs.tf").read_text()
    for argument in arguments[2:]:
        option, _, value = argument.partition("=")
        if option == "-var-file" and not (folder / value).exists():
            return f"no {value} in {folder.name}"
        if option == "-var" and f'variable "{value.partition("=")[0]}"' not in declared[0]:
            return f"no variable {value}"
        if arguments[1] == "output" and not argument.startswith("-") and f'output "{argument}"' not in declared[1]:
            return f"no output {argument}"
    return None


def kubectl(arguments: list[str]) -> str | None:
    words = [it for it in arguments if it not in ("-n", "data-voyager")]
    if "--" in words:  # a program inside a pod
        inside = words[words.index("--") + 1 :]
        return program(inside[0], inside[1:])
    known = run(tool("kubectl"), words[0], "--help")
    missing = [option for option in long_options(words[1:]) if f"--{option}" not in known.stdout]
    if known.returncode or missing:
        return f"kubectl {words[0]}: {missing}"
    if "-k" in words and not (ROOT / words[words.index("-k") + 1] / "kustomization.yaml").exists():
        return f"no overlay in {words}"
    named = [word for word in words if re.match(r"(statefulset|deployment)/", word)]
    manifests = (ROOT / "iac/kubernetes/base").glob("*.yaml")
    there = {
        f"{it['kind'].lower()}/{it['metadata']['name']}"
        for file in manifests
        for it in yaml.safe_load_all(file.read_text())
        if "metadata" in it
    }
    return None if set(named) <= there else f"no {named} in the base"


def github(arguments: list[str]) -> str | None:
    folder = ROOT / ".github/workflows"
    if arguments[:2] == ["variable", "set"]:
        read = "".join(file.read_text() for file in folder.glob("*.yml"))
        return None if f"vars.{arguments[2]} " in read else f"no workflow reads the variable {arguments[2]}"
    if arguments[:2] == ["workflow", "run"]:
        text = (folder / arguments[2]).read_text() if (folder / arguments[2]).exists() else ""
        return None if "workflow_dispatch:" in text else f"{arguments[2]} cannot be started by hand"
    return f"gh {arguments}"


def compose(arguments: list[str]) -> str | None:
    if arguments[0] != "compose" or "up" not in arguments:
        return f"docker {arguments}"
    options = list(zip(arguments[1::2], arguments[2::2], strict=False))
    given = dict(options)
    # docker/.env is the person's own.
    files = [value for option, value in options if option in ("--env-file", "--file") and value != "docker/.env"]
    for file in files:
        if not (ROOT / file).exists():
            return f"no {file}"
    services = yaml.safe_load((ROOT / given["--file"]).read_text())["services"].values()
    profiles = {profile for service in services for profile in service.get("profiles", [])}
    return None if given["--profile"] in profiles else f"no profile {given['--profile']}"


def complaints(page: str | None = None) -> list[str]:
    if not all((BINARIES / name).exists() for name in ("strava-load", "strava-extract", "weather-consumer", "ecs-run")):
        pytest.skip("the programs are not built; make test-rust or cargo build does it")
    found = (complaint(command) for block in blocks("sh", page) for command in commands(block))
    return [it for it in found if it]


def test_every_command_of_the_page_exists_with_its_options():
    assert complaints() == []


@pytest.mark.parametrize(
    "line",
    [
        "make costs",
        "scripts/kubernetes-settings --environments production",
        "target/release/strava-load reject list",
        "target/release/ecs-run strava-load -- synchronise",
        "target/release/ecs-run dbt -- rapport",
        "aws ssm put-parameters --name x",
        "aws ssm delete-parameter",
        "terraform -chdir=iac apply -var=keep_image=false",
        "terraform -chdir=iac output -raw registries",
        "kubectl -n data-voyager rollout status statefulset/weather-consumers",
        "kubectl -n data-voyager exec statefulset/weather-consumer -- /weather-consumer dead-letter list",
        "gh variable set AWS_ROLE --body x",
        "docker compose --env-file docker/compose.env --file docker/compose.yaml --profile wether up",
        "docker compose --env-file docker/world.env --file docker/compose.yaml --profile weather up",
        'export A="$(terraform -chdir=iac output -raw landing)"',
        "heroku ps",
    ],
)
def test_a_command_that_does_not_exist_is_found(line):
    assert complaints(f"```sh\n{line}\n```\n")


def test_the_page_has_commands_for_every_occasion():
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    titles = {section.splitlines()[0]: section for section in sections}
    for title in (
        *("First deployment", "Rotation of secrets", "Re-authorisation", "Restore", "Dead letters", "Rejects"),
        "Tearing down",
    ):
        assert blocks("sh", titles[title]), title


def test_every_block_is_clean_for_shellcheck(tmp_path):
    script = tmp_path / "operations.sh"
    script.write_text("#!/usr/bin/env bash\n" + "\n".join(blocks("sh")))
    # SC2154: a person has set them; SC2155: a failed substitution is seen by a person at once.
    succeed(tool("shellcheck"), "--exclude=SC2154,SC2155", script)


def test_the_sql_of_the_page_runs(warehouse):
    """In a database of its own, as a person would give it to psql."""
    with psycopg.connect(warehouse, autocommit=True) as server:
        server.execute("create database operations")
        address = re.sub(r"/voyager\?", "/operations?", warehouse)
        try:
            with psycopg.connect(address) as database:
                for block in blocks("sql"):
                    database.execute(block)
                database.rollback()  # roles belong to the whole server
        finally:
            server.execute("drop database operations")


def test_the_page_has_sql():
    assert len(blocks("sql")) == 2


def test_the_parameters_that_are_removed_at_last_are_those_that_were_stored(tasks):
    secrets = {path for task in tasks.values() for path in task["secrets"].values()}
    removed = set(re.findall(r'\$PARAMETERS/([a-z/-]+)"', blocks("sh")[-1]))
    assert removed == secrets | {"mongodb/uri", "strava/token"}


def test_every_link_of_the_page_leads_somewhere():
    text = PAGE.read_text()
    anchors = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.M)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("https://"):
            assert (PAGE.parent / target).exists(), target
