"""What Terraform passes on unread, jsonencode()d documents above all, sent to moto through boto3: botocore knows the
shapes and moto the grammar of policies."""

from __future__ import annotations

import json
import re

import boto3
import pytest
from moto import mock_aws

from stand_in import ROOT

TASKS = json.loads((ROOT / "iac/tasks.json").read_text())["tasks"]
PARAMETERS = "arn:aws:ssm:eu-central-1:123456789012:parameter/data-voyager/production/"


@pytest.fixture
def aws(monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECS", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield boto3.client


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(it.title() for it in rest)


def registered(aws, state) -> dict[str, dict]:
    """Task to its one container, as ECS took it."""
    names = (
        "family",
        "cpu",
        "memory",
        "network_mode",
        "requires_compatibilities",
        "execution_role_arn",
        "task_role_arn",
    )
    found = {}
    for it in state.of_type("aws_ecs_task_definition"):
        given = {camel(name): it[name] for name in names if it.get(name)}
        answer = aws("ecs").register_task_definition(
            containerDefinitions=json.loads(it["container_definitions"]),
            volumes=[{"name": volume["name"]} for volume in it["volume"]],
            runtimePlatform={
                "cpuArchitecture": it["runtime_platform"][0]["cpu_architecture"],
                "operatingSystemFamily": "LINUX",
            },
            **given,
        )
        (container,) = answer["taskDefinition"]["containerDefinitions"]
        found[container["name"]] = container | {"definition": answer["taskDefinition"]}
    return found


@pytest.mark.parametrize("state", ["production", "everything", "bootstrap"])
def test_every_policy_and_every_role_is_taken(state, aws, request):
    state, iam = request.getfixturevalue(state), aws("iam")
    for it in state.of_type("aws_iam_role"):
        iam.create_role(RoleName=it["name"], AssumeRolePolicyDocument=it["assume_role_policy"])
    for it in state.of_type("aws_iam_policy"):
        iam.create_policy(PolicyName=it["name"], PolicyDocument=it["policy"])
    # As managed policies, since moto looks at inline ones less strictly.
    for number, it in enumerate(state.of_type("aws_iam_role_policy")):
        iam.create_policy(PolicyName=f"inline-{number}", PolicyDocument=it["policy"])
    assert state.of_type("aws_iam_role")


def test_documents_are_within_iams_sizes(everything, bootstrap):
    for state in (everything, bootstrap):
        for it in state.of_type("aws_iam_policy"):
            assert len(re.sub(r"\s", "", it["policy"])) <= 6144, it["name"]
        for it in state.of_type("aws_iam_role_policy"):
            assert len(re.sub(r"\s", "", it["policy"])) <= 10240, it["name"]


def test_bucket_policies_refuse_plain_http(everything, aws):
    s3 = aws("s3")
    policies = everything.of_type("aws_s3_bucket_policy")
    assert len(policies) == 3
    for it in policies:
        (statement,) = json.loads(it["policy"])["Statement"]
        bucket = statement["Resource"][0].removeprefix("arn:aws:s3:::")
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        s3.put_bucket_policy(Bucket=bucket, Policy=it["policy"])
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_lifecycle_of_images_is_taken(production, aws):
    ecr = aws("ecr")
    ecr.create_repository(repositoryName="any")
    for it in production.of_type("aws_ecr_lifecycle_policy"):
        ecr.put_lifecycle_policy(repositoryName="any", lifecyclePolicyText=it["policy"])


def test_every_task_of_the_file_is_defined_as_it_says(production, aws):
    found = registered(aws, production)
    assert found.keys() == TASKS.keys()
    for task, container in found.items():
        said, definition = TASKS[task], container["definition"]
        assert definition["family"] == f"data-voyager-production-{task}"
        assert (definition["cpu"], definition["memory"]) == (str(said["cpu"]), str(said["memory"]))
        assert definition["runtimePlatform"]["cpuArchitecture"] == "ARM64"
        assert container["command"] == said["command"]
        assert container["stopTimeout"] == said["stop_timeout_seconds"]
        assert container["image"].endswith(f"/data-voyager-production/{task}:first")


def test_secrets_come_from_parameters_and_never_as_variables(production, aws):
    for task, container in registered(aws, production).items():
        secrets = {it["name"]: it["valueFrom"] for it in container["secrets"]}
        assert secrets == {name: PARAMETERS + secret for name, secret in TASKS[task]["secrets"].items()}
        assert not {it["name"] for it in container["environment"]} & secrets.keys()


def test_variables_are_the_files_without_those_that_fill_to_nothing(production, aws):
    for task, container in registered(aws, production).items():
        given = {it["name"]: it["value"] for it in container["environment"]}
        assert given.keys() <= TASKS[task]["environment"].keys()
        assert all(value and "${" not in value for value in given.values())
    extract = {it["name"]: it["value"] for it in registered(aws, production)["strava-extract"]["environment"]}
    assert extract == {
        "LANDING_URL": "s3://data-voyager-production-landing-123456789012",
        "LOG_FORMAT": "json",
        "STRAVA_TOKEN_STORE": "ssm:///data-voyager/production/strava/token/{athlete_id}",
    }


def test_a_program_cannot_write_but_to_tmp_and_no_line_is_dropped(production, aws):
    for container in registered(aws, production).values():
        assert container["readonlyRootFilesystem"] is True
        assert [it["containerPath"] for it in container["mountPoints"]] == ["/tmp"]
        assert container["logConfiguration"]["options"]["mode"] == "blocking"
        assert container["linuxParameters"]["capabilities"]["drop"] == ["ALL"]


def test_logs_go_where_operators_and_ecs_run_look(production, aws):
    groups = {it["name"]: it["retention_in_days"] for it in production.of_type("aws_cloudwatch_log_group")}
    for task, container in registered(aws, production).items():
        options = container["logConfiguration"]["options"]
        assert options["awslogs-group"] == f"/data-voyager-production/{task}"
        assert options["awslogs-stream-prefix"] == TASKS[task]["log_prefix"]
        assert groups[options["awslogs-group"]] == 30


def test_a_placeholder_that_nobody_fills_stops_the_plan(terraform, production):
    file = production.folder / "tasks.json"
    sound = file.read_text()
    try:
        file.write_text(sound.replace('"${report_url}"', '"${reprot_url}"'))
        with pytest.raises(AssertionError, match="placeholder"):
            terraform(production.folder, "plan", "-no-color", *production.options)
    finally:
        file.write_text(sound)


def test_buckets_are_private_versioned_encrypted_and_forget_old_versions(everything):
    of_type = everything.of_type
    assert len(of_type("aws_s3_bucket")) == 3
    flags = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
    assert all(it[flag] for it in of_type("aws_s3_bucket_public_access_block") for flag in flags)
    assert [it["versioning_configuration"][0]["status"] for it in of_type("aws_s3_bucket_versioning")] == [
        "Enabled"
    ] * 3
    assert len(of_type("aws_s3_bucket_server_side_encryption_configuration")) == 3
    for it in of_type("aws_s3_bucket_lifecycle_configuration"):
        assert it["rule"][0]["noncurrent_version_expiration"][0]["noncurrent_days"] == 7


def test_images_cannot_be_overwritten_and_are_scanned(production):
    repositories = production.of_type("aws_ecr_repository")
    assert {it["name"].rsplit("/", 1)[1] for it in repositories} == {*TASKS, "weather-consumer"}
    assert {it["image_tag_mutability"] for it in repositories} == {"IMMUTABLE"}
    assert all(it["image_scanning_configuration"][0]["scan_on_push"] for it in repositories)
