"""The workflows, by actionlint and zizmor without network, and by rules of our own."""

import os
import re

import pytest
import yaml

from conftest import ROOT, run, succeed, tool

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PIN = re.compile(r"uses: (\S+)@(\S+)( # v[\d.]+)?$", re.MULTILINE)
PINS = ROOT.parent / "shared/facts/action-pins.md"


def content(file) -> dict:
    return yaml.safe_load(file.read_text())


def steps(file) -> list[dict]:
    return [step for job in content(file)["jobs"].values() for step in job["steps"]]


def test_there_are_the_five_workflows():
    assert {file.stem for file in WORKFLOWS} == {"audit", "cd", "ci", "dags", "terraform"}


def test_actionlint_finds_nothing():
    succeed(tool("actionlint"), *WORKFLOWS)


def test_zizmor_finds_nothing_offline():
    done = run(tool("zizmor"), "--offline", "--no-progress", ROOT / ".github")
    assert done.returncode == 0, done.stdout
    assert "No findings to report" in done.stdout + done.stderr


def test_a_planted_mistake_is_found_by_either(tmp_path):
    cd = (ROOT / ".github/workflows/cd.yml").read_text()
    loose = tmp_path / "cd.yml"
    loose.write_text(re.sub(r"(actions/checkout)@\w+ # v7.0.1", r"\1@main", cd, count=1))
    assert "unpinned-uses" in run(tool("zizmor"), "--offline", "--no-progress", loose).stdout
    loose.write_text(cd.replace("needs: [changes, build, publish]", "needs: [changes, builds, publish]"))
    assert "builds" in run(tool("actionlint"), loose).stdout


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_nothing_is_permitted_but_what_a_job_names(file):
    workflow = content(file)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    assert all(job["permissions"] and job["timeout-minutes"] for job in workflow["jobs"].values())


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_every_action_is_pinned_by_commit_with_its_version(file):
    uses = PIN.findall(file.read_text())
    assert len(uses) == len([step for step in steps(file) if "uses" in step])
    for action, commit, version in uses:
        assert re.fullmatch(r"[0-9a-f]{40}", commit), action
        assert version, action


def test_every_pin_is_one_that_others_use_too():
    if not PINS.exists():
        pytest.skip("no ../shared/facts/action-pins.md here")
    known = PINS.read_text()
    for file in WORKFLOWS:
        for action, commit, version in PIN.findall(file.read_text()):
            assert f"| {action} | {version.removeprefix(' # ')} | `{commit}` |" in known, action


def test_no_key_is_stored():
    for file in WORKFLOWS:
        assert "secrets." not in file.read_text(), file.name
        assert "AWS_ACCESS_KEY_ID" not in file.read_text(), file.name


def test_only_a_job_of_the_production_environment_gets_a_token():
    for file in WORKFLOWS:
        for name, job in content(file)["jobs"].items():
            if "id-token" in job["permissions"]:
                assert job["environment"] == "production", f"{file.stem}: {name}"


def test_the_deploy_role_trusts_just_that_environment():
    variables = (ROOT / "iac/variables.tf").read_text()
    assert re.search(r'variable "github_subjects".*?default\s*=\s*\["environment:production"\]', variables, re.DOTALL)


def test_every_script_and_target_that_a_workflow_calls_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = [step["run"] for file in WORKFLOWS for step in steps(file) if "run" in step]
    scripts = {name for line in called for name in re.findall(r"\bscripts/([a-z-]+)(?=[\s)])", line)}
    assert {"changed-images", "build-images", "publish-images", "deploy-tasks", "sync-dags"} <= scripts
    assert all((ROOT / "scripts" / name).stat().st_mode & 0o111 for name in scripts)
    assert {name for line in called for name in re.findall(r"\bmake ([a-z-]+)", line)} <= targets


def test_both_architectures_are_built_where_they_run():
    matrix = content(ROOT / ".github/workflows/cd.yml")["jobs"]["build"]["strategy"]["matrix"]["include"]
    assert {it["architecture"]: it["runner"].endswith("-arm") for it in matrix} == {"amd64": False, "arm64": True}


def test_yaml_is_clean():
    succeed(tool("yamllint"), "--strict", "--config-file", ROOT / "tests/delivery/yamllint.yaml", ROOT / ".github")


def test_the_audit_of_python_looks_at_every_pinned_file_and_fails_where_one_is_affected(tmp_path):
    """With a stand-in for uvx that finds something in one of the files."""
    looked = tmp_path / "looked"
    stand_in = tmp_path / "uvx"
    stand_in.write_text(
        f'#!/bin/sh\nfor it; do file=$it; done\necho "$file" >>{looked}\n[ "$file" != dbt/requirements.txt ]\n'
    )
    stand_in.chmod(0o755)
    done = run(ROOT / "scripts/audit-python", env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.returncode == 1
    files = looked.read_text().splitlines()
    assert {"dbt/requirements.txt", "airflow/requirements-local.txt", "scripts/requirements.txt"} <= set(files)
    assert len(files) == len(set(files))
