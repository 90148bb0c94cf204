"""Every mart has what a mart owes: contract, descriptions, data tests, unit tests, an owner."""

from __future__ import annotations

import copy
import json

import pytest


def gaps(manifest: dict) -> list[str]:
    """What is missing, one sentence each."""
    nodes = manifest["nodes"].values()
    owners = {group["name"]: group["owner"] for group in manifest["groups"].values()}
    marts = [n for n in nodes if n["resource_type"] == "model" and n["schema"] == "marts"]
    found = [] if marts else ["there is no mart"]
    for mart in marts:
        name = mart["name"]
        tested = {
            t["column_name"]
            for t in nodes
            if t["resource_type"] == "test" and t.get("attached_node") == mart["unique_id"]
        }
        wanted = {
            "an enforced contract": mart["contract"]["enforced"],
            "a description": mart["description"].strip(),
            "a data test of the whole": None in tested,
            "a data test of a column": tested - {None},
            "a unit test": [u for u in manifest["unit_tests"].values() if u["model"] == name],
            "an owner": any(owners.get(mart["group"] or "", {}).get(key) for key in ("name", "email")),
            "columns": mart["columns"],
        }
        found += [f"{name} lacks {what}" for what, there in wanted.items() if not there]
        found += [
            f"{name}.{c['name']} lacks a description" for c in mart["columns"].values() if not c["description"].strip()
        ]
    exposed = {node for exposure in manifest["exposures"].values() for node in exposure["depends_on"]["nodes"]}
    found += [f"the exposures name {node}, which is no mart" for node in exposed - {m["unique_id"] for m in marts}]
    return found


@pytest.fixture(scope="module")
def manifest(target, run) -> dict:
    assert run("parse").code == 0
    return json.loads((target / "manifest.json").read_text())


def test_every_mart_has_what_it_owes(manifest):
    assert gaps(manifest) == []


MART = "model.data_voyager.training_load"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda m: m["nodes"][MART]["contract"].update(enforced=False), "training_load lacks an enforced contract"),
        (lambda m: m["nodes"][MART].update(description=" "), "training_load lacks a description"),
        (lambda m: m["nodes"][MART].update(group=None), "training_load lacks an owner"),
        (lambda m: m["nodes"][MART]["columns"]["ctl"].update(description=""), "training_load.ctl lacks a description"),
        (lambda m: m["unit_tests"].clear(), "training_load lacks a unit test"),
        (
            lambda m: [m["nodes"].pop(k) for k, n in list(m["nodes"].items()) if n.get("attached_node") == MART],
            "training_load lacks a data test of the whole",
        ),
        (lambda m: m["nodes"].clear(), "there is no mart"),
    ],
)
def test_the_check_sees_what_is_missing(manifest, spoil, said):
    spoiled = copy.deepcopy(manifest)
    spoil(spoiled)
    assert said in gaps(spoiled)


def test_no_model_asks_the_clock_or_walks_from_row_to_row(manifest):
    for model in (n for n in manifest["nodes"].values() if n["resource_type"] == "model"):
        code = model["raw_code"].lower()
        assert not any(word in code for word in ("current_date", "now()", "recursive", "current_timestamp")), model[
            "name"
        ]
