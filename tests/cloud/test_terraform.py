"""Terraform itself: form, validity, plans, applies into a state that is thrown away, and its own tests."""

import json
import re
import subprocess

import pytest

import stand_in
from stand_in import ROOT
from states import initialise

IAC = ROOT / "iac"
ROOTS = (IAC, IAC / "bootstrap")
MODULES = sorted(it for it in (IAC / "modules").iterdir() if it.is_dir())
VARIABLE = re.compile(r'^variable "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)


def test_every_file_is_formatted(terraform):
    terraform(IAC, "fmt", "-check", "-recursive", "-diff")


def test_both_roots_are_valid(terraform, initialised):
    terraform(initialised, "validate", "-no-color")
    initialise(terraform, initialised / "bootstrap")
    terraform(initialised / "bootstrap", "validate", "-no-color")


@pytest.mark.parametrize("state", ["production", "everything", "bootstrap"])
def test_a_second_plan_finds_no_difference(state, terraform, request):
    if not terraform.applies:
        pytest.skip("apply without an account needs ../shared/tools/aws-schema-provider and go")
    state = request.getfixturevalue(state)
    # Exit 2 would be a difference.
    terraform(state.folder, "plan", "-detailed-exitcode", "-no-color", "-input=false", *state.options)


def test_a_change_shows_in_the_plan(terraform, production):
    if not terraform.applies:
        pytest.skip("apply without an account needs ../shared/tools/aws-schema-provider and go")
    terraform(
        production.folder,
        "plan",
        "-detailed-exitcode",
        "-input=false",
        *production.options,
        "-var=log_retention_days=7",
        exits=(2,),
    )


def test_terraforms_own_tests_pass(terraform, initialised):
    said = terraform(initialised, "test", "-no-color")
    assert re.search(r"Success! \d+ passed, 0 failed\.", said), said


def test_the_dear_parts_are_absent_by_default(production):
    kinds = {it["type"] for it in production.resources.values()}
    dear = {kind for kind in kinds if re.match(r"aws_(mwaa|msk|eks|nat_gateway|eip|kms)", kind)}
    assert not dear


@pytest.mark.parametrize("folder", [*ROOTS, *MODULES], ids=lambda it: it.relative_to(ROOT).as_posix())
def test_a_module_has_its_four_files(folder):
    assert {"main.tf", "variables.tf", "outputs.tf", "versions.tf"} <= {it.name for it in folder.glob("*.tf")}


@pytest.mark.parametrize("folder", [*ROOTS, *MODULES], ids=lambda it: it.relative_to(ROOT).as_posix())
def test_every_variable_has_a_type_and_a_description(folder):
    variables = VARIABLE.findall((folder / "variables.tf").read_text())
    assert variables
    assert [name for name, body in variables if "type " not in body or "description" not in body] == []


def test_every_variable_without_default_is_in_the_environment_file():
    example = (ROOT / ".envrc.example").read_text()
    tfvars = "".join(it.read_text() for it in (IAC / "environments").glob("*.tfvars"))
    needed = {
        name
        for root in ROOTS
        for name, body in VARIABLE.findall((root / "variables.tf").read_text())
        if not re.search(r"^  default\b", body, re.MULTILINE)
    }
    named = set(re.findall(r"TF_VAR_(\w+)=", example))
    by_file = {name for name in needed if re.search(rf"^{name}\s*=", tfvars, re.MULTILINE)}
    assert needed - by_file - named == set()
    assert named - needed == set(), "these are not variables without a default"


def test_the_committed_schema_knows_every_type_in_use():
    used = set(re.findall(r'^(?:resource|data) "(aws_\w+)"', _sources(), re.MULTILINE))
    schema = json.loads(stand_in.SCHEMA.read_text())
    known = {*schema["resource_schemas"], *schema["data_source_schemas"]}
    again = f"../shared/tools/aws-schema-provider/setup.sh DIRECTORY {' '.join(sorted(used))}, then copy schema.json"
    assert used - known == set(), f"rebuild it: {again}"


def test_no_parameter_is_made_and_no_secret_is_a_variable():
    sources = _sources()
    assert "aws_ssm_parameter" not in sources
    assert "aws_secretsmanager" not in sources


def test_no_state_and_no_lock_of_the_stand_in_is_committed():
    listed = subprocess.run(["git", "ls-files", "iac"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not re.search(r"tfstate|\.terraform", listed)


def _sources() -> str:
    return "\n".join(it.read_text() for it in IAC.rglob("*.tf") if ".terraform" not in it.parts)
