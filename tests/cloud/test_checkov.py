"""checkov over all of iac/: nothing found, and every exception says why where it is made."""

import os
import re
import subprocess

import pytest

from stand_in import ROOT

CHECKOV = ROOT / ".venv-cloud/bin/checkov"
SKIP = re.compile(r"# checkov:skip=(\w+):?(.*)")


def scan(folder) -> str:
    if not CHECKOV.exists():
        pytest.skip("no checkov here; `scripts/setup cloud` installs it")
    options = ["--framework", "terraform", "--skip-download", "--compact", "--quiet"]
    patient = os.environ | {"HCL_PARSE_TIMEOUT_SEC": "300"}  # ten seconds a file are too few on a busy machine
    done = subprocess.run([CHECKOV, "-d", folder, *options], capture_output=True, text=True, cwd=folder, env=patient)
    return done.stdout + done.stderr


def test_nothing_is_found():
    said = scan(ROOT / "iac")
    assert re.search(r"Passed checks: [1-9]\d+, Failed checks: 0, Skipped checks: \d+\s", said), said
    assert "Parsing errors" not in said, said


def test_a_repository_with_mutable_tags_is_found(tmp_path):
    (tmp_path / "main.tf").write_text('resource "aws_ecr_repository" "it" {\n  name = "it"\n}\n')
    assert "CKV_AWS_51" in scan(tmp_path)  # mutable tags


def test_every_exception_has_its_reason():
    found = [
        match
        for file in (ROOT / "iac").rglob("*.tf")
        if ".terraform" not in file.parts
        for match in SKIP.findall(file.read_text())
    ]
    assert found
    assert [check for check, reason in found if len(reason.split()) < 4] == []
