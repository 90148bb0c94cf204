"""Which images a history asks to build, on histories planted for it, and against a registry."""

import json
import os

import boto3
import pytest
from moto import mock_aws

from conftest import PROGRAMS, ROOT, run, succeed

SCRIPT = ROOT / "scripts/changed-images"
ALL = {*PROGRAMS, "dbt"}
REGISTRY = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/data-voyager-production"
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"digest": f"sha256:{'0' * 64}", "mediaType": "application/vnd.oci.image.config.v1+json", "size": 1},
    "layers": [],
}
NOBODY = {
    **{f"GIT_{role}_{what}": "nobody@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


class Repository:
    """A small copy of this repository's shape with a history of its own."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main")
        for crate in ("common", "devstack", *PROGRAMS):
            manifest = (ROOT / f"crates/{crate}/Cargo.toml").read_text()
            self.write(f"crates/{crate}/Cargo.toml", manifest)
            self.write(f"crates/{crate}/src/lib.rs", "one")
            self.write(f"crates/{crate}/tests/stage.rs", "one")
        for name in ("Cargo.toml", "Cargo.lock", "README.md", "docker/Dockerfile", "docker/dbt.Dockerfile"):
            self.write(name, "one")
        for name in ("dbt/run.py", "dbt/tests/python/test_run.py", "dbt/tests/generic/unique.sql"):
            self.write(name, "one")
        self.commit()

    def git(self, *arguments: str) -> str:
        return succeed("git", *arguments, cwd=self.folder, env=os.environ | NOBODY).strip()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=a change")

    def change(self, name: str, text: str = "two") -> None:
        self.write(name, text)
        self.commit()

    def tags(self) -> dict[str, str]:
        listed = json.loads(succeed(SCRIPT, "--repository", self.folder))
        return {it["image"]: it["tag"] for it in listed}

    def changed_by(self, change) -> set[str]:
        before = self.tags()
        change()
        return {image for image, tag in self.tags().items() if tag != before[image]}


@pytest.fixture
def repository(tmp_path) -> Repository:
    return Repository(tmp_path)


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("crates/strava-load/src/lib.rs", {"strava-load"}),
        ("crates/common/src/lib.rs", set(PROGRAMS)),
        ("Cargo.lock", set(PROGRAMS)),
        ("docker/Dockerfile", set(PROGRAMS)),
        ("docker/Dockerfile.dockerignore", set(PROGRAMS)),
        ("docker/dbt.Dockerfile", {"dbt"}),
        ("dbt/run.py", {"dbt"}),
        ("dbt/tests/generic/unique.sql", {"dbt"}),
        ("dbt/tests/python/test_run.py", set()),
        ("crates/devstack/src/lib.rs", set()),
        ("crates/strava-load/tests/stage.rs", set()),
        ("README.md", set()),
        ("docs/new.md", set()),
    ],
)
def test_a_file_changes_the_images_that_are_made_of_it(repository, file, images):
    assert repository.changed_by(lambda: repository.change(file)) == images


def test_a_file_that_goes_is_a_change(repository):
    def remove():
        (repository.folder / "crates/strava-load/src/lib.rs").unlink()
        repository.commit()

    assert repository.changed_by(remove) == {"strava-load"}


def test_several_commits_in_one_push_are_seen_together(repository):
    def push():
        repository.change("crates/strava-load/src/lib.rs")
        repository.change("README.md")
        repository.change("dbt/run.py")

    assert repository.changed_by(push) == {"strava-load", "dbt"}


def test_a_branch_and_its_merge_change_what_the_branch_changed(repository):
    def merge():
        repository.git("switch", "--quiet", "--create", "branch")
        repository.change("crates/strava-extract/src/lib.rs")
        repository.git("switch", "--quiet", "main")
        repository.change("dbt/run.py")
        repository.git("merge", "--quiet", "--no-ff", "--message=merge", "branch")

    assert repository.changed_by(merge) == {"strava-extract", "dbt"}


def test_two_branches_that_meet_in_one_image_make_a_third(repository):
    repository.git("switch", "--quiet", "--create", "branch")
    repository.change("crates/strava-load/src/lib.rs")
    branch = repository.tags()["strava-load"]
    repository.git("switch", "--quiet", "main")
    repository.change("crates/common/src/lib.rs")
    main = repository.tags()["strava-load"]
    repository.git("merge", "--quiet", "--no-ff", "--message=merge", "branch")
    assert repository.tags()["strava-load"] not in {branch, main}


def test_the_tag_is_the_commit_that_last_changed_the_image(repository):
    repository.change("crates/strava-load/src/lib.rs")
    commit = repository.git("rev-parse", "HEAD")
    repository.change("README.md")
    assert repository.tags()["strava-load"] == commit[:12]


def test_a_history_that_is_cut_off_is_refused(repository, tmp_path_factory):
    repository.change("README.md")
    shallow = tmp_path_factory.mktemp("clone") / "shallow"
    succeed("git", "clone", "--quiet", "--depth=1", f"file://{repository.folder}", shallow)
    done = run(SCRIPT, "--repository", shallow)
    assert done.returncode == 2
    assert "fetch all of it" in done.stderr


@pytest.fixture
def changed_images(load_script, monkeypatch):
    """The script as a module, against a registry that has a repository for every image."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        ecr = boto3.client("ecr", region_name="eu-west-1")
        for image in ALL:
            ecr.create_repository(repositoryName=f"data-voyager-production/{image}")
        yield load_script("changed-images")


def push(image: str, tag: str) -> None:
    boto3.client("ecr", region_name="eu-west-1").put_image(
        repositoryName=f"data-voyager-production/{image}", imageManifest=json.dumps(MANIFEST), imageTag=tag
    )


def asked_for(script, repository, capsys) -> set[str]:
    assert script.main(["--registry", REGISTRY, "--repository", str(repository.folder)]) == 0
    return {it["image"] for it in json.loads(capsys.readouterr().out)}


def test_an_empty_registry_gets_everything(changed_images, repository, capsys):
    assert asked_for(changed_images, repository, capsys) == ALL


def test_what_the_registry_has_is_not_built_again(changed_images, repository, capsys):
    for image, tag in repository.tags().items():
        push(image, tag)
    assert asked_for(changed_images, repository, capsys) == set()
    repository.change("crates/strava-load/src/lib.rs")
    assert asked_for(changed_images, repository, capsys) == {"strava-load"}


def test_what_a_skipped_run_left_is_made_up_for(changed_images, repository, capsys):
    for image, tag in repository.tags().items():
        push(image, tag)
    repository.change("dbt/run.py")  # nobody built this one
    repository.change("crates/strava-load/src/lib.rs")
    assert asked_for(changed_images, repository, capsys) == {"dbt", "strava-load"}


def test_a_registry_without_the_repositories_is_refused(changed_images, repository, capsys):
    other = REGISTRY.replace("production", "staging")
    assert changed_images.main(["--registry", other, "--repository", str(repository.folder)]) == 2
    assert "terraform apply makes it" in capsys.readouterr().err
