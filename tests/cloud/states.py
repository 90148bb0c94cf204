"""Terraform states that were made without an account, and how they are made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

import stand_in
from stand_in import Terraform

FIRST = ("-var=keep_images=false", "-var=airflow={has_plugins=false}")  # nothing is there yet


@dataclass(frozen=True)
class State:
    """An applied configuration: where it lies, and its resources by address."""

    folder: Path
    options: tuple[str, ...]
    resources: dict[str, dict]

    def of_type(self, kind: str) -> list[dict]:
        return [it["values"] for it in self.resources.values() if it["type"] == kind and it["mode"] == "managed"]


def initialise(terraform: Terraform, folder: Path) -> None:
    try:
        terraform(folder, "init", "-no-color", "-input=false")
    except AssertionError as failure:
        if terraform.applies:
            raise
        pytest.skip(f"neither ../shared/tools nor the real provider is in reach: {str(failure)[-300:]}")


def applied(terraform: Terraform, name: str, *options: str, below: str = "") -> State:
    """The state after an apply; with the real provider what a plan says will be: names and documents are known then."""
    folder = stand_in.copy(name) / below
    initialise(terraform, folder)
    if not terraform.applies:
        root = planned(terraform, folder, *options, *(() if below else FIRST))
    else:
        terraform(folder, "apply", "-auto-approve", "-no-color", "-input=false", *options)
        root = json.loads(terraform(folder, "show", "-json"))["values"]["root_module"]
    return State(folder, options, {it["address"]: it for it in resources(root)})


def planned(terraform: Terraform, folder: Path, *options: str) -> dict:
    """The plan of a first apply; moto answers the few questions that it asks of AWS."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    asking = Terraform(terraform.environment | keys, applies=False)
    try:
        asking(folder, "plan", "-out=plan", "-no-color", "-input=false", *options)
        return json.loads(asking(folder, "show", "-json", "plan"))["planned_values"]["root_module"]
    finally:
        moto.stop()


def resources(module: dict) -> Iterator[dict]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from resources(child)
