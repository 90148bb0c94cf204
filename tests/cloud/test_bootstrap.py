"""Scalr's two roles and the boundary: a plan runs a pull request's code and must read no data; an apply must not raise
itself above what it was given."""

from __future__ import annotations

import json

import pytest

import policies
from requests_of_calls import Names
from test_privilege import WANTED

NAMES = Names("data-voyager-production", "/data-voyager/production")
BOUNDARY = f"arn:aws:iam::{NAMES.account}:policy/bounds-{NAMES.prefix}"
OURS, SCALRS = NAMES.role("strava-load"), f"arn:aws:iam::{NAMES.account}:role/scalr-{NAMES.prefix}-apply"
BOUND, HERE = {"iam:PermissionsBoundary": BOUNDARY}, {"aws:RequestedRegion": NAMES.region}
TO_ECS = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
LANDED = NAMES.bucket("landing", "source=strava/type=activities/x")
STREAM = NAMES.stream("strava-load")

NEVER = [
    ("s3:GetObject", LANDED, {}),
    ("s3:DeleteObject", LANDED, {}),
    ("ssm:GetParameter", NAMES.parameter("strava/client-secret"), {}),
    ("iam:CreateUser", f"arn:aws:iam::{NAMES.account}:user/somebody", {}),
    ("iam:CreateAccessKey", f"arn:aws:iam::{NAMES.account}:user/somebody", {}),
    ("iam:PutRolePolicy", SCALRS, BOUND),
    ("iam:UpdateAssumeRolePolicy", SCALRS, {}),
    ("iam:CreatePolicyVersion", BOUNDARY, {}),
    ("iam:DeleteRolePermissionsBoundary", OURS, {}),
    ("iam:PassRole", f"arn:aws:iam::{NAMES.account}:role/administrator", TO_ECS),
    ("s3:DeleteBucket", "arn:aws:s3:::another", {}),
    ("sts:AssumeRole", OURS, {}),
]
PLAN = {
    "may": [
        ("ec2:DescribeVpcs", "*", {}),
        ("iam:GetRolePolicy", OURS, {}),
        ("s3:GetBucketPolicy", NAMES.bucket("landing"), {}),
        ("ecs:DescribeTaskDefinition", "*", {}),
        ("states:DescribeStateMachine", NAMES.arn("states", f"stateMachine:{NAMES.prefix}-strava-daily"), {}),
    ],
    "must not": [
        ("logs:GetLogEvents", STREAM, {}),
        ("ecs:RunTask", NAMES.family("strava-load"), {"ecs:cluster": NAMES.cluster}),
        ("iam:PassRole", OURS, TO_ECS),
        ("iam:CreateRole", OURS, BOUND),
        ("s3:PutBucketPolicy", NAMES.bucket("landing"), {}),
        ("ec2:CreateVpc", "*", HERE),
        ("states:StartExecution", NAMES.arn("states", f"stateMachine:{NAMES.prefix}-strava-daily"), {}),
    ],
}
APPLY = {
    "may": [
        ("iam:CreateRole", OURS, BOUND),
        ("iam:PutRolePolicy", OURS, BOUND),
        ("iam:PassRole", OURS, TO_ECS),
        ("s3:CreateBucket", NAMES.bucket("landing"), {}),
        ("s3:PutLifecycleConfiguration", NAMES.bucket("landing"), {}),
        ("ecs:CreateCluster", NAMES.cluster, {}),
        ("ecr:CreateRepository", NAMES.arn("ecr", f"repository/{NAMES.prefix}/dbt"), {}),
        ("ec2:CreateVpc", "*", HERE),
        ("scheduler:CreateSchedule", NAMES.arn("scheduler", f"schedule/default/{NAMES.prefix}-strava-daily"), {}),
    ],
    "must not": [
        ("iam:CreateRole", OURS, {}),
        ("iam:CreateRole", OURS, {"iam:PermissionsBoundary": f"arn:aws:iam::{NAMES.account}:policy/another"}),
        ("iam:AttachRolePolicy", OURS, {}),
        ("iam:PassRole", OURS, {"iam:PassedToService": "lambda.amazonaws.com"}),
        ("ec2:CreateVpc", "*", {"aws:RequestedRegion": "us-east-1"}),
        ("ec2:RunInstances", "*", HERE),
        ("s3:PutObject", NAMES.bucket("dags", "dags/evil.py"), {}),
        ("ecr:CreateRepository", NAMES.arn("ecr", "repository/another/image"), {}),
    ],
}


@pytest.mark.parametrize(("run", "requests"), [("plan", PLAN), ("apply", APPLY)])
def test_a_run_may_do_its_work_and_nothing_beyond(run, requests, bootstrap):
    document = policies.managed(bootstrap)[f"scalr-{NAMES.prefix}-{run}"]
    assert [it for it in requests["may"] if not policies.allowed([document], *it)] == []
    assert [it for it in requests["must not"] + NEVER if policies.allowed([document], *it)] == []


def test_the_boundary_keeps_every_role_from_making_rights(bootstrap):
    document = policies.managed(bootstrap)[f"bounds-{NAMES.prefix}"]
    making = ("CreateRole", "PutRolePolicy", "AttachRolePolicy", "CreateUser", "CreateAccessKey", "CreatePolicyVersion")
    assert [it for it in making if policies.allowed([document], f"iam:{it}", OURS, BOUND)] == []
    assert not policies.allowed([document], "iam:PassRole", SCALRS, TO_ECS)


def test_the_boundary_lets_every_recorded_call_through(bootstrap):
    """What a role may do is what its documents and the boundary both allow."""
    document = policies.managed(bootstrap)[f"bounds-{NAMES.prefix}"]
    of_production = json.loads(json.dumps(WANTED).replace("-everything", "-production"))
    assert [it for _, it in of_production if not policies.allowed([document], *it)] == []


def test_scalr_is_believed_for_one_workspace(bootstrap):
    for role in policies.roles(bootstrap).values():
        (statement,) = policies.statements(role.trust)
        assert statement["Condition"]["StringEquals"] == {
            "scalr.io:aud": "aws.scalr-run-workload",
            "scalr.io:sub": "account:acc-1:environment:env-1:workspace:ws-1",
        }
