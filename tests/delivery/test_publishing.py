"""The scripts that push, sign and deploy: images with docker and cosign replaced, tasks and DAGs against moto."""

import io
import json
import os
import shutil
import subprocess
import zipfile

import boto3
import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws

from conftest import ROOT, run

REGION = "eu-west-1"
REGISTRY = f"111122223333.dkr.ecr.{REGION}.amazonaws.com/data-voyager-production"
DIGEST = "sha256:" + "ab" * 32
LISTED = [
    {"image": image, "tag": tag, "revision": tag + "0" * 28, "dockerfile": dockerfile}
    for image, tag, dockerfile in (
        ("strava-load", "0123456789ab", "docker/Dockerfile"),
        ("dbt", "ba9876543210", "docker/dbt.Dockerfile"),
    )
]
# Writes down how it was called, and answers as docker does.
STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
case "$*" in
  *--metadata-file*) for it; do [ "$last" = --metadata-file ] && file=$it; last=$it; done
                     printf '{"containerimage.digest": "%s"}' "$DIGEST" >"$file" ;;
  *inspect*) printf '{"digest": "%s"}' "$DIGEST" ;;
esac
"""


@pytest.fixture
def stand_ins(tmp_path):
    """Runs a script with docker and cosign replaced; gives what it called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("docker", "cosign"):
        (folder / name).write_text(STAND_IN)
        (folder / name).chmod(0o755)
    calls = tmp_path / "calls"
    calls.touch()

    def call(*command, listed: list[dict], digest: str = DIGEST) -> tuple[subprocess.CompletedProcess, list[str]]:
        env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(calls), "DIGEST": digest}
        done = run(*command, env=env, input=json.dumps(listed))
        return done, calls.read_text().splitlines()

    if not shutil.which("jq"):
        pytest.skip("no jq here")
    return call


def test_images_are_pushed_by_digest_with_provenance_and_sbom(stand_ins, tmp_path):
    digests = tmp_path / "digests"
    done, calls = stand_ins(
        *(ROOT / "scripts/build-images", "arm64", REGISTRY, "https://example.org/it", digests), listed=LISTED
    )
    assert done.returncode == 0, done.stderr
    assert len(calls) == 2
    for call, it in zip(calls, LISTED, strict=True):
        for part in (
            *(f"--file {it['dockerfile']}", f"--target {it['image']}", "--platform linux/arm64"),
            *(f"REVISION={it['revision']}", "SOURCE=https://example.org/it", "--provenance=mode=max", "--sbom=true"),
            f"name={REGISTRY}/{it['image']},push-by-digest=true",
        ):
            assert part in call
        assert (digests / f"{it['image']}.arm64").read_text() == DIGEST


def test_a_build_that_tells_no_digest_fails(stand_ins, tmp_path):
    command = (ROOT / "scripts/build-images", "arm64", REGISTRY, "https://example.org/it", tmp_path / "digests")
    done, _ = stand_ins(*command, listed=LISTED, digest="null")
    assert done.returncode == 1
    assert "no digest" in done.stderr


def test_an_image_is_tagged_with_both_architectures_and_signed_by_digest(stand_ins, tmp_path):
    for image in ("strava-load", "dbt"):
        for architecture in ("amd64", "arm64"):
            (tmp_path / f"{image}.{architecture}").write_text(f"sha256:{image}-{architecture}")
    done, calls = stand_ins(ROOT / "scripts/publish-images", REGISTRY, tmp_path, listed=LISTED)
    assert done.returncode == 0, done.stderr
    create = f"docker buildx imagetools create --tag {REGISTRY}/dbt:ba9876543210"
    assert f"{create} {REGISTRY}/dbt@sha256:dbt-amd64 {REGISTRY}/dbt@sha256:dbt-arm64" in calls
    assert f"cosign sign --yes {REGISTRY}/strava-load@{DIGEST}" in calls


def test_an_image_that_lacks_an_architecture_gets_no_tag(stand_ins, tmp_path):
    (tmp_path / "strava-load.amd64").write_text("sha256:1")
    done, calls = stand_ins(ROOT / "scripts/publish-images", REGISTRY, tmp_path, listed=LISTED)
    assert done.returncode == 1
    assert "strava-load: no digest for arm64" in done.stderr
    assert calls == []


# --- task definitions ---------------------------------------------------------------------------------------


@pytest.fixture
def aws(monkeypatch):
    """An account of moto's, for whatever a script calls."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, REGION)
    with mock_aws():
        yield


@pytest.fixture
def tags(aws, tasks, tmp_path):
    """Every task defined as Terraform does it, its image in the registry; gives what changed-images would print."""
    ecr, ecs = boto3.client("ecr", region_name=REGION), boto3.client("ecs", region_name=REGION)
    config = {"digest": f"sha256:{'0' * 64}", "mediaType": "application/vnd.oci.image.config.v1+json", "size": 1}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config}
    for task, it in tasks.items():
        ecr.create_repository(repositoryName=f"data-voyager-production/{task}")
        ecr.put_image(
            repositoryName=f"data-voyager-production/{task}",
            imageManifest=json.dumps(manifest | {"layers": [], "annotations": {"of": task}}),
            imageTag="0123456789ab",
        )
        ecs.register_task_definition(
            family=f"data-voyager-production-{task}",
            cpu=str(it["cpu"]),
            memory=str(it["memory"]),
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            executionRoleArn="arn:aws:iam::111122223333:role/execution",
            taskRoleArn=f"arn:aws:iam::111122223333:role/{task}",
            runtimePlatform={"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
            volumes=[{"name": "tmp"}],
            containerDefinitions=[{"name": task, "image": f"{REGISTRY}/{task}:first", "command": it["command"]}],
            tags=[{"key": "part-of", "value": "data-voyager"}],
        )
    file = tmp_path / "images.json"
    file.write_text(json.dumps([{"image": task, "tag": "0123456789ab"} for task in tasks]))
    return file


def newest(task: str) -> tuple[dict, list]:
    ecs = boto3.client("ecs", region_name=REGION)
    described = ecs.describe_task_definition(taskDefinition=f"data-voyager-production-{task}", include=["TAGS"])
    return described["taskDefinition"], described["tags"]


def test_a_task_gets_its_image_by_digest_and_keeps_everything_else(load_script, tags, tasks):
    before = {task: newest(task) for task in tasks}
    assert load_script("deploy-tasks").main(["--registry", REGISTRY, "--images", str(tags)]) == 0
    for task in tasks:
        (definition, labels), (old, old_labels) = newest(task), before[task]
        assert definition["revision"] == 2
        assert definition["containerDefinitions"][0]["image"].startswith(f"{REGISTRY}/{task}@sha256:")
        for it in (definition, old):
            del it["containerDefinitions"][0]["image"], it["revision"], it["taskDefinitionArn"]
            it.pop("registeredAt", None)
        assert definition == old
        assert labels == old_labels


def test_deploying_twice_registers_nothing_the_second_time(load_script, tags, tasks):
    script = load_script("deploy-tasks")
    for _ in range(2):
        assert script.main(["--registry", REGISTRY, "--images", str(tags)]) == 0
    assert {newest(task)[0]["revision"] for task in tasks} == {2}


# --- DAGs ---------------------------------------------------------------------------------------------------

BUCKET = "dags"


@pytest.fixture
def source(aws, tmp_path):
    """A small airflow folder, and a versioned bucket."""
    folder = tmp_path / "airflow"
    for name, text in {
        "dags/strava_daily.py": "one",
        "dags/marts.py": "one",
        "dags/__pycache__/marts.pyc": "cache",
        "plugins/data_voyager/operators.py": "one",
        "requirements.txt": "apache-airflow",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return folder


def keys() -> dict[str, str]:
    """Every object's key and version."""
    s3 = boto3.client("s3")
    listed = s3.list_object_versions(Bucket=BUCKET).get("Versions", [])
    return {it["Key"]: it["VersionId"] for it in listed if it["IsLatest"]}


@pytest.fixture
def sync(load_script, source):
    script = load_script("sync-dags")
    return lambda *options: script.main(["--bucket", BUCKET, "--source", str(source), *options])


def test_the_bucket_becomes_what_the_folder_is(sync, source):
    sync()
    assert set(keys()) == {"dags/marts.py", "dags/strava_daily.py", "plugins.zip", "requirements.txt"}
    (source / "dags/marts.py").unlink()
    (source / "dags/strava_daily.py").write_text("two")  # as long as before
    sync()
    assert set(keys()) == {"dags/strava_daily.py", "plugins.zip", "requirements.txt"}
    body = boto3.client("s3").get_object(Bucket=BUCKET, Key="dags/strava_daily.py")["Body"].read()
    assert body == b"two"


def test_the_same_folder_again_changes_nothing(sync):
    sync()
    before = keys()
    sync()
    assert keys() == before


def test_the_plugins_are_one_archive_as_mwaa_unpacks_it(sync):
    sync()
    body = boto3.client("s3").get_object(Bucket=BUCKET, Key="plugins.zip")["Body"].read()
    assert zipfile.ZipFile(io.BytesIO(body)).namelist() == ["data_voyager/operators.py"]


def test_an_empty_folder_does_not_empty_the_bucket(sync, source):
    sync()
    shutil.rmtree(source / "dags")
    (source / "dags").mkdir()
    with pytest.raises(SystemExit, match="refusing"):
        sync()
    assert "dags/marts.py" in keys()


@pytest.fixture
def mwaa(monkeypatch):
    """A stand-in for MWAA, which moto lacks; botocore checks each call against the service's own model."""
    client, real = boto3.client("mwaa", region_name=REGION), boto3.client
    monkeypatch.setattr(boto3, "client", lambda name, **options: client if name == "mwaa" else real(name, **options))
    with Stubber(client) as stub:
        yield stub


def test_new_plugins_update_the_environment_and_new_dags_do_not(sync, source, mwaa):
    sync()
    (source / "plugins/data_voyager/operators.py").write_text("two")
    expected = {
        "Name": "voyager",
        "PluginsS3ObjectVersion": ANY,
        "RequirementsS3ObjectVersion": keys()["requirements.txt"],
        "WorkerReplacementStrategy": "GRACEFUL",
    }
    mwaa.add_response("update_environment", {"Arn": "arn:aws:airflow:eu-west-1:1:environment/voyager"}, expected)
    sync("--environment", "voyager")
    mwaa.assert_no_pending_responses()
    (source / "dags/marts.py").write_text("two")
    sync("--environment", "voyager")  # a further call would find no answer
