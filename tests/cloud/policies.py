"""Says whether IAM allows a request, by the rules of AWS's policy evaluation for one account.

An explicit Deny wins, else an Allow, else no. Known are the operators that our documents use; another one is an error,
so that no condition passes unread. A condition whose key the request lacks does not hold, with ...IfExists it does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from states import State

Request = tuple[str, str, Mapping[str, str]]  # action, resource, context


@dataclass
class Role:
    """A role as it was applied: who may take it, and its documents by name."""

    name: str
    trust: dict
    documents: dict[str, dict] = field(default_factory=dict)

    def allows(self, action: str, resource: str, context: Mapping[str, str]) -> bool:
        return allowed(self.documents.values(), action, resource, context)


def roles(state: State) -> dict[str, Role]:
    """Every role of a state by name, with inline documents and attached policies of our own."""
    found = {it["name"]: Role(it["name"], json.loads(it["assume_role_policy"])) for it in state.of_type("aws_iam_role")}
    for it in state.of_type("aws_iam_role_policy"):
        found[it["role"]].documents[it["name"]] = json.loads(it["policy"])
    policies = managed(state)
    for it in state.of_type("aws_iam_role_policy_attachment"):
        name = it["policy_arn"].rsplit("/", 1)[1]
        if ":aws:policy/" not in it["policy_arn"] and name in policies:
            found[it["role"]].documents[name] = policies[name]
    return found


def managed(state: State) -> dict[str, dict]:
    return {it["name"]: json.loads(it["policy"]) for it in state.of_type("aws_iam_policy")}


def statements(document: dict) -> list[dict]:
    return listed(document["Statement"])


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def allowed(documents: Iterable[dict], action: str, resource: str, context: Mapping[str, str]) -> bool:
    effects = {
        it["Effect"] for document in documents for it in statements(document) if applies(it, action, resource, context)
    }
    return "Allow" in effects and "Deny" not in effects


def applies(statement: dict, action: str, resource: str, context: Mapping[str, str]) -> bool:
    return (
        _names(statement, "Action", action.lower(), str.lower)
        and _names(statement, "Resource", resource, str)
        and all(
            _holds(operator, listed(values), context.get(key))
            for operator, conditions in statement.get("Condition", {}).items()
            for key, values in conditions.items()
        )
    )


def _names(statement: dict, element: str, value: str, form) -> bool:
    """Whether Action or Resource, or the element's Not form, names the value."""
    is_negated = f"Not{element}" in statement
    patterns = listed(statement[f"Not{element}" if is_negated else element])
    return any(like(form(pattern), value) for pattern in patterns) is not is_negated


def _holds(operator: str, values: list[str], given: str | None) -> bool:
    if given is None:
        return operator.endswith("IfExists")
    match operator.removesuffix("IfExists"):
        case "StringEquals" | "Bool":
            return given in values
        case "StringLike" | "ArnLike" | "ArnEquals":  # AWS: the two ARN operators behave the same
            return any(like(value, given) for value in values)
    raise ValueError(f"this evaluator does not know the condition operator {operator}")


def like(pattern: str, value: str) -> bool:
    """AWS's wildcards: * for any characters, ? for one."""
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None
