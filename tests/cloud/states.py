"""Terraform states that were made without an account, and how they are made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import stand_in
from stand_in import Terraform


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
    if not terraform.applies:
        pytest.skip("apply without an account needs ../shared/tools/aws-schema-provider and go")
    folder = stand_in.copy(name) / below
    initialise(terraform, folder)
    terraform(folder, "apply", "-auto-approve", "-no-color", "-input=false", *options)
    root = json.loads(terraform(folder, "show", "-json"))["values"]["root_module"]
    return State(folder, options, {it["address"]: it for it in resources(root)})


def resources(module: dict) -> Iterator[dict]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from resources(child)
