"""The scripts that a person runs against the account: parameters by a real SSM (moto), topics by botocore's shapes."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

import boto3
import pytest
from botocore.stub import Stubber
from moto.server import ThreadedMotoServer

import policies
from stand_in import ROOT

SECRET = "planted-secret-value-93b1"
CLUSTER = (
    "arn:aws:kafka:eu-central-1:123456789012:cluster/data-voyager-production/0e6c1a5b-1f2e-4c3d-8b9a-1a2b3c4d5e6f-3"
)
TASKS = json.loads((ROOT / "iac/tasks.json").read_text())["tasks"]
NEEDED = {secret for task in TASKS.values() for secret in task["secrets"].values()} | {"mongodb/uri"}


@pytest.fixture
def ssm(monkeypatch):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    client = boto3.client("ssm", region_name="eu-central-1")
    yield client
    for it in client.describe_parameters()["Parameters"]:
        client.delete_parameter(Name=it["Name"])
    server.stop()


def parameters(*arguments: str, said_to: str = "") -> tuple[int, str]:
    command = [sys.executable, ROOT / "scripts/parameters", *arguments]
    done = subprocess.run(command, input=said_to, capture_output=True, text=True, env=os.environ)
    return done.returncode, done.stdout + done.stderr


def put(client, name: str, kind: str = "SecureString") -> None:
    client.put_parameter(Name=f"/data-voyager/production/{name}", Value=SECRET, Type=kind)


def test_each_missing_parameter_is_named_with_the_tasks_that_need_it(ssm):
    code, said = parameters("check", "--environment", "production")
    assert code == 1
    assert {line.split()[0] for line in said.splitlines()} == {f"/data-voyager/production/{name}" for name in NEEDED}
    assert re.search(r"database/loader-url +MISSING +for strava-load, weather-producer", said)


def test_everything_there_is_exit_0_and_no_value_is_shown(ssm):
    for name in NEEDED:
        put(ssm, name)
    code, said = parameters("check", "--environment", "production")
    assert (code, said.count(" there ")) == (0, len(NEEDED))
    assert SECRET not in said


def test_a_parameter_in_the_clear_is_not_right(ssm):
    put(ssm, "strava/client-id", "String")
    code, said = parameters("check", "strava/client-id", "--environment", "production")
    assert code == 1
    assert "IN THE CLEAR" in said


def test_a_value_is_stored_encrypted_and_not_shown(ssm):
    code, said = parameters(
        "store", "strava/client-id", "--stdin", "--environment", "production", said_to=f"{SECRET}\n"
    )
    stored = ssm.get_parameter(Name="/data-voyager/production/strava/client-id", WithDecryption=True)["Parameter"]
    assert (code, stored["Value"], stored["Type"]) == (0, SECRET, "SecureString")
    assert SECRET not in said


def test_what_is_there_is_replaced_only_when_asked_to(ssm):
    put(ssm, "strava/client-id")
    parameters("store", "strava/client-id", "--stdin", "--environment", "production", said_to="another")
    held = ssm.get_parameter(Name="/data-voyager/production/strava/client-id", WithDecryption=True)["Parameter"]
    assert held["Value"] == SECRET
    parameters("store", "strava/client-id", "--stdin", "--replace", "--environment", "production", said_to="another")
    held = ssm.get_parameter(Name="/data-voyager/production/strava/client-id", WithDecryption=True)["Parameter"]
    assert held["Value"] == "another"


def test_a_name_that_nothing_needs_is_refused(ssm):
    code, said = parameters("store", "strava/clinet-id", "--stdin", "--environment", "production", said_to=SECRET)
    assert code == 2
    assert "nothing needs strava/clinet-id" in said
    assert SECRET not in said


def test_terraform_gives_exactly_these_to_the_agent_and_to_the_pods(everything):
    path = "arn:aws:ssm:eu-central-1:123456789012:parameter/data-voyager/everything/"
    documents = {it["name"]: json.loads(it["policy"]) for it in everything.of_type("aws_iam_role_policy")}
    read = [
        resource
        for name in ("execution", "external-secrets")
        for statement in policies.statements(documents[name])
        if any(action.startswith("ssm:") for action in policies.listed(statement["Action"]))
        for resource in policies.listed(statement["Resource"])
    ]
    assert {it.removeprefix(path) for it in read} == NEEDED


def test_operations_tell_of_no_parameter_that_does_not_exist():
    file = ROOT / "docs/operations.md"
    if not file.exists():
        pytest.skip("no docs/operations.md yet")
    named = set(re.findall(r"\b((?:strava|database|mongodb)/[a-z]+(?:-[a-z]+)+|mongodb/uri)\b", file.read_text()))
    assert named <= NEEDED, "the document names parameters that nothing reads"


@pytest.fixture
def topics(monkeypatch):
    """The script as a module, and a stub of AWS's API that it must use exactly as told."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("topics", str(ROOT / "scripts/topics"))
    module = module_from_spec(spec_from_loader("topics", loader))
    loader.exec_module(module)
    client = boto3.client("kafka", region_name="eu-central-1", aws_access_key_id="none", aws_secret_access_key="none")
    monkeypatch.setattr(module.boto3, "client", lambda *_, **__: client)
    monkeypatch.setattr(module, "POLL_SECONDS", 0)
    with Stubber(client) as stub:
        yield module, stub
        stub.assert_no_pending_responses()


def listed(stub: Stubber, *names: str) -> None:
    answer = {
        "Topics": [
            {"TopicName": name, "TopicArn": name, "PartitionCount": 12, "ReplicationFactor": 2} for name in names
        ]
    }
    stub.add_response("list_topics", answer, {"ClusterArn": CLUSTER})


def test_both_topics_are_made_without_end_and_with_room_for_dead_letters(topics):
    module, stub = topics
    listed(stub)
    for name, largest in (("weather", "1048588"), ("weather.dead-letters", "1114124")):
        settings = {"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": largest}
        request = {
            "ClusterArn": CLUSTER,
            "TopicName": name,
            "PartitionCount": 12,
            "ReplicationFactor": 2,
            "Configs": base64.b64encode(json.dumps(settings).encode()).decode(),
        }
        stub.add_response("create_topic", {}, request)
    listed(stub, "weather")  # AWS shows them late
    listed(stub, "weather", "weather.dead-letters")
    assert module.main(["create", "--cluster-arn", CLUSTER]) == 0


def test_topics_that_are_there_are_left_alone(topics):
    module, stub = topics
    listed(stub, "weather", "weather.dead-letters")
    assert module.main(["create", "--cluster-arn", CLUSTER]) == 0


def test_a_missing_topic_is_exit_1(topics, capsys):
    module, stub = topics
    listed(stub, "weather")
    assert module.main(["check", "--cluster-arn", CLUSTER]) == 1
    assert "weather.dead-letters     MISSING" in capsys.readouterr().out


def test_what_aws_refuses_is_told_with_what_was_attempted(topics, capsys):
    module, stub = topics
    stub.add_client_error("list_topics", "ForbiddenException", "no")
    assert module.main(["check", "--cluster-arn", CLUSTER]) == 1
    assert f"check topics of {CLUSTER}" in capsys.readouterr().err


def test_what_is_no_cluster_is_refused(topics, capsys):
    module, _ = topics
    with pytest.raises(SystemExit) as refused:
        module.main(["check", "--cluster-arn", "data-voyager-production"])
    assert refused.value.code == 2
    assert "is no ARN of a Kafka cluster" in capsys.readouterr().err
