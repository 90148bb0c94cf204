"""Which IAM requests an API call is, after AWS's Service Authorization Reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from policies import Request

RECORDED_PREFIX = "data-voyager"  # devstack's
RECORDED_PATH = "/data-voyager/test"


@dataclass(frozen=True)
class Names:
    """What things are called in a state."""

    prefix: str
    path: str
    account: str = "123456789012"
    region: str = "eu-central-1"

    def arn(self, service: str, rest: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"

    def role(self, name: str) -> str:
        return f"arn:aws:iam::{self.account}:role/{self.prefix}-{name}"

    def bucket(self, purpose: str, key: str | None = None) -> str:
        return f"arn:aws:s3:::{self.prefix}-{purpose}-{self.account}" + ("" if key is None else f"/{key}")

    def parameter(self, name: str) -> str:
        return self.arn("ssm", f"parameter{self.path}/{name}")

    @property
    def cluster(self) -> str:
        return self.arn("ecs", f"cluster/{self.prefix}")

    def stream(self, task: str, identity: str = "0123") -> str:
        return self.arn("logs", f"log-group:/{self.prefix}/{task}:log-stream:{task}/{task}/{identity}")

    def family(self, task: str) -> str:
        return self.arn("ecs", f"task-definition/{self.prefix}-{task}:1")


def requests(call: dict, names: Names) -> Iterator[Request]:
    """The IAM requests of a recorded call, with the state's names in the place of the recording's."""
    it, operation = call["request"], call["operation"]
    match call["service"], operation:
        case "s3", "ListObjectsV2":
            yield "s3:ListBucket", names.bucket(it["Bucket"]), {"s3:prefix": it["Prefix"]}
        case "s3", "HeadBucket":
            yield "s3:ListBucket", names.bucket(it["Bucket"]), {}
        case "s3", "GetObject" | "HeadObject":
            yield "s3:GetObject", names.bucket(it["Bucket"], it["Key"]), {}
            # Without it S3 answers 403 for an object that is not there, and not 404.
            yield "s3:ListBucket", names.bucket(it["Bucket"]), {}
        case "s3", "PutObject" | "DeleteObject":
            yield f"s3:{operation}", names.bucket(it["Bucket"], it["Key"]), {}
        case "ssm", "GetParameter" | "PutParameter":
            yield f"ssm:{operation}", names.parameter(it["Name"].removeprefix(f"{RECORDED_PATH}/")), {}
        case "sns", "Publish":
            yield "sns:Publish", names.arn("sns", f"{names.prefix}-{it['TargetArn'].rsplit(':', 1)[1]}"), {}
        case "ecr", "DescribeImages":
            task = it["repositoryName"].removeprefix(f"{RECORDED_PREFIX}/")
            yield "ecr:DescribeImages", names.arn("ecr", f"repository/{names.prefix}/{task}"), {}
        case "logs", "GetLogEvents":
            task = it["logGroupName"].removeprefix(f"/{RECORDED_PREFIX}/")
            yield "logs:GetLogEvents", names.stream(task, it["logStreamName"].rsplit("/", 1)[1]), {}
        case "ecs", _:
            yield from _ecs(operation, it, names)
        case other:
            raise ValueError(f"no IAM request is known for {other}; add it, after AWS's reference")


def _ecs(operation: str, it: dict, names: Names) -> Iterator[Request]:
    to_ecs = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    in_cluster = {"ecs:cluster": names.cluster}
    match operation:
        case "RunTask":
            task = _task(it["taskDefinition"])
            yield "ecs:RunTask", names.family(task), in_cluster
            yield from _passes(names, task, to_ecs)
            if "propagateTags" in it:
                yield "ecs:TagResource", names.arn("ecs", f"task/{names.prefix}/0123"), {"ecs:CreateAction": "RunTask"}
        case "DescribeTasks" | "StopTask":
            yield f"ecs:{operation}", names.arn("ecs", f"task/{names.prefix}/0123"), in_cluster
        case "ListTasks":
            yield "ecs:ListTasks", "*", in_cluster
        case "DescribeTaskDefinition":
            yield "ecs:DescribeTaskDefinition", "*", {}
        case "RegisterTaskDefinition":
            task = _task(it["family"])
            yield "ecs:RegisterTaskDefinition", names.family(task), {}
            yield "ecs:TagResource", names.family(task), {"ecs:CreateAction": "RegisterTaskDefinition"}
            yield from _passes(names, task, to_ecs)
        case other:
            raise ValueError(f"no IAM request is known for ecs {other}; add it, after AWS's reference")


def _passes(names: Names, task: str, context: dict[str, str]) -> Iterator[Request]:
    for role in ("execution", task):
        yield "iam:PassRole", names.role(role), context


def _task(family: str) -> str:
    """The task of a family or of a definition's ARN."""
    return family.rsplit("/", 1)[-1].split(":")[0].removeprefix(f"{RECORDED_PREFIX}-")
