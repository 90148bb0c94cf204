"""Least privilege: each role may do what was recorded or is documented, and nothing of what it must not."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from policy_sentry.querying.actions import get_action_data

import denied_calls
import documented_calls
import policies
import requests_of_calls
from policies import Role, listed, statements
from requests_of_calls import Names
from stand_in import ROOT

HERE = Path(__file__).parent
PREFIX = "data-voyager-everything"
NAMES = Names(PREFIX, "/data-voyager/everything")
TASKS = json.loads((ROOT / "iac/tasks.json").read_text())["tasks"]
RECORDED = json.loads((HERE / "recorded_calls.json").read_text())["calls"]

# On EKS the producer has a role of its own, with the same document; the consumer has only that one.
ALSO = {"weather-producer": ("weather-producer", "pod-weather-producer"), "weather-consumer": ("pod-weather-consumer",)}
# Written by AWS's guide for all that an environment may ever do; of the rest each action has a call.
GUIDED = {"airflow": {"airflow"}}
# Given to three roles for all tasks, though the workflow starts three and the recording one or two.
SHARED = {"start-tasks", "follow-tasks"}
WILD = {"kms:GenerateDataKey*"}  # AWS's guide for MWAA


def wanted() -> list[tuple[str, tuple]]:
    """Role and request of every recorded and documented call."""
    recorded = [
        (role, request)
        for call in RECORDED
        for role in ALSO.get(call["role"], (call["role"],))
        for request in requests_of_calls.requests(call, NAMES)
    ]
    return recorded + list(documented_calls.requests(NAMES, TASKS))


WANTED, DENIED = wanted(), list(denied_calls.requests(NAMES))


def shown(role: str, request: tuple) -> str:
    action, resource, context = request
    return f"{role}: {action} on {resource}" + (f" with {dict(context)}" if context else "")


@pytest.fixture(scope="module")
def roles(everything) -> dict[str, Role]:
    """Roles by their names in the recording; who calls ecs-run has the two policies that Terraform offers."""
    found = {name.removeprefix(f"{PREFIX}-"): role for name, role in policies.roles(everything).items()}
    offered = policies.managed(everything)
    both = {f"{PREFIX}-{name}": offered[f"{PREFIX}-{name}"] for name in SHARED}
    return found | {"ecs-run": Role("ecs-run", {}, both)}


def broken(roles: dict[str, Role]) -> list[str]:
    """Every wanted call that is denied and every forbidden one that is allowed."""
    refused = [f"denied, but needed: {shown(*it)}" for it in WANTED if not roles[it[0]].allows(*it[1])]
    return refused + [f"allowed, but forbidden: {shown(*it)}" for it in DENIED if roles[it[0]].allows(*it[1])]


def test_every_program_operator_and_script_was_recorded():
    assert {call["role"] for call in RECORDED} >= {*TASKS, "weather-consumer", "ecs-run", "airflow", "deploy"}
    assert {"StopTask", "RunTask", "ListTasks", "GetLogEvents"} <= {call["operation"] for call in RECORDED}


def test_each_needed_call_is_allowed_and_each_forbidden_one_denied(roles):
    assert len(DENIED) >= 40
    assert broken(roles) == []


def test_no_permission_is_without_a_call(roles):
    """Each action of each statement is what some call needs: taken away alone, that call is denied."""
    idle = []
    for name, role in roles.items():
        for document, statement in parts(role):
            if document in GUIDED.get(name, ()) or statement["Effect"] == "Deny":
                continue
            for action in listed(statement["Action"]):
                changed = altered(
                    roles, name, document, statement, Action=[a for a in listed(statement["Action"]) if a != action]
                )
                if not broken(changed):
                    idle.append(f"{name}, {statement['Sid']}: {action}")
    assert not idle, "\n".join(idle)


def test_no_resource_is_without_a_call(roles):
    idle = []
    for name, role in roles.items():
        for document, statement in parts(role):
            if (
                document in GUIDED.get(name, ())
                or document.removeprefix(f"{PREFIX}-") in SHARED
                or len(listed(statement["Resource"])) == 1
            ):
                continue
            for resource in listed(statement["Resource"]):
                others = [it for it in listed(statement["Resource"]) if it != resource]
                if not broken(altered(roles, name, document, statement, Resource=others)):
                    idle.append(f"{name}, {statement['Sid']}: {resource}")
    assert not idle, "\n".join(idle)


def test_a_wildcard_in_any_resource_is_found(roles):
    unseen = []
    for name, role in roles.items():
        for document, statement in parts(role):
            if document in GUIDED.get(name, ()) or listed(statement["Resource"]) == ["*"]:
                continue
            if not broken(altered(roles, name, document, statement, Resource="*")):
                unseen.append(f"{name}, {statement['Sid']}")
    assert not unseen, "\n".join(unseen)


def test_a_condition_that_is_dropped_is_found(roles):
    unseen = []
    for name, role in roles.items():
        for document, statement in parts(role):
            if document in GUIDED.get(name, ()) or "Condition" not in statement:
                continue
            changed = altered(roles, name, document, statement, Condition={})
            if not broken(changed):
                unseen.append(f"{name}, {statement['Sid']}")
    assert not unseen, "\n".join(unseen)


def test_no_action_has_a_wildcard(roles):
    wild = {
        (name, action)
        for name, role in roles.items()
        for _, statement in parts(role)
        for action in listed(statement["Action"])
        if "*" in action and action not in WILD
    }
    assert wild == set()


def test_every_resource_is_named_where_the_action_takes_one(roles):
    """After AWS's Service Authorization Reference, which policy_sentry carries."""
    unbound = [
        f"{name}: {action}"
        for name, role in roles.items()
        for _, statement in parts(role)
        if statement["Effect"] == "Allow" and listed(statement.get("Resource", "named")) == ["*"]
        for action in listed(statement["Action"])
        if takes_a_resource(action)
    ]
    # ListTasks takes container instances, of which Fargate has none; it is bound to the cluster by its condition.
    assert sorted(set(unbound) - {"airflow: ecs:ListTasks", "ecs-run: ecs:ListTasks"}) == []


def test_every_action_exists(roles):
    unknown = {
        action
        for role in roles.values()
        for _, statement in parts(role)
        for action in listed(statement["Action"])
        if "*" not in action and not known(action)
    }
    assert unknown == set()


def test_every_role_names_who_may_take_it_and_for_which_account(roles):
    for name, role in roles.items():
        for statement in statements(role.trust) if role.trust else []:
            assert statement["Principal"] != "*"
            is_bound = "Condition" in statement or statement["Principal"].get("Service") == "ec2.amazonaws.com"
            assert is_bound, f"{name} may be taken by {statement['Principal']} for any account"


def parts(role: Role):
    return [(name, statement) for name, document in role.documents.items() for statement in statements(document)]


def altered(roles: dict[str, Role], name: str, document: str, statement: dict, **changes) -> dict[str, Role]:
    """The roles with one statement of one role changed; of a shared document, for all who have it."""
    is_shared = document.removeprefix(f"{PREFIX}-") in SHARED
    changed = {}
    for holder in (it for it, role in roles.items() if it == name or (is_shared and document in role.documents)):
        role = copy.deepcopy(roles[holder])
        kept = [it if it != statement else it | changes for it in statements(role.documents[document])]
        role.documents[document] = {
            **role.documents[document],
            "Statement": [it for it in kept if it.get("Action") != []],
        }
        changed[holder] = role
    return roles | changed


def known(action: str) -> list[dict]:
    service, name = action.split(":")
    found = get_action_data(service, name)
    return found[service] if found else []


def takes_a_resource(action: str) -> bool:
    return any(it["resource_arn_format"] != "*" for it in known(action))
