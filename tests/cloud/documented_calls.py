"""Calls that AWS's own parts, docker and Kafka's protocol make for us: no program of ours sends them to an endpoint.

Each group has its source. Roles are named as in recorded_calls.json.
"""

from __future__ import annotations

from collections.abc import Iterator

from policies import Request
from requests_of_calls import Names

PULL = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
PUSH = (*PULL, "CompleteLayerUpload", "InitiateLayerUpload", "PutImage", "UploadLayerPart")


def requests(names: Names, tasks: dict) -> Iterator[tuple[str, Request]]:
    for requests_of in (container_agent, token_of_an_athlete, docker, kafka, step_functions, mwaa, external_secrets):
        yield from requests_of(names, tasks)


def container_agent(names: Names, tasks: dict) -> Iterator[tuple[str, Request]]:
    """Amazon ECS task execution IAM role; awslogs driver without awslogs-create-group."""
    yield "execution", ("ecr:GetAuthorizationToken", "*", {})
    for task, it in tasks.items():
        for action in PULL:
            yield "execution", (f"ecr:{action}", names.arn("ecr", f"repository/{names.prefix}/{task}"), {})
        for secret in it["secrets"].values():
            yield "execution", ("ssm:GetParameters", names.parameter(secret), {})
        for action in ("CreateLogStream", "PutLogEvents"):
            yield "execution", (f"logs:{action}", names.stream(task), {})


def token_of_an_athlete(names: Names, _: dict) -> Iterator[tuple[str, Request]]:
    """Where `athletes` names several, each has a parameter of its own; the recording has one athlete."""
    for action in ("GetParameter", "PutParameter"):
        yield "strava-extract", (f"ssm:{action}", names.parameter("strava/token/17"), {})


def docker(names: Names, tasks: dict) -> Iterator[tuple[str, Request]]:
    """IAM permissions for pushing an image to an Amazon ECR private repository; buildx reads what it pushed."""
    yield "deploy", ("ecr:GetAuthorizationToken", "*", {})
    for image in (*tasks, "weather-consumer"):
        for action in PUSH:
            yield "deploy", (f"ecr:{action}", names.arn("ecr", f"repository/{names.prefix}/{image}"), {})
    # scripts/sync-dags --environment; moto knows no MWAA.
    environment = names.arn("airflow", f"environment/{names.prefix}")
    yield "deploy", ("airflow:GetEnvironment", environment, {})
    yield "deploy", ("airflow:UpdateEnvironment", environment, {})
    yield "deploy", ("iam:PassRole", names.role("airflow"), {"iam:PassedToService": "airflow-env.amazonaws.com"})


def kafka(names: Names, _: dict) -> Iterator[tuple[str, Request]]:
    """IAM access control for Amazon MSK: what an idempotent producer and a member of a group need."""
    cluster = names.arn("kafka", f"cluster/{names.prefix}/uuid")

    def topic(name: str) -> str:
        return names.arn("kafka", f"topic/{names.prefix}/uuid/{name}")

    for role in ("weather-producer", "pod-weather-producer", "pod-weather-consumer"):
        yield role, ("kafka-cluster:Connect", cluster, {})
        yield role, ("kafka-cluster:WriteDataIdempotently", cluster, {})
        yield role, ("kafka-cluster:DescribeTopic", topic("weather"), {})
        yield role, ("kafka-cluster:WriteData", topic("weather"), {})
    for name in ("weather", "weather.dead-letters"):
        for action in ("DescribeTopic", "ReadData", "WriteData"):
            yield "pod-weather-consumer", (f"kafka-cluster:{action}", topic(name), {})
    for group in ("weather-consumer.landing", "weather-consumer.landing.dead-letters"):
        for action in ("AlterGroup", "DescribeGroup"):
            arn = names.arn("kafka", f"group/{names.prefix}/uuid/{group}")
            yield "pod-weather-consumer", (f"kafka-cluster:{action}", arn, {})


def step_functions(names: Names, _: dict) -> Iterator[tuple[str, Request]]:
    """Run an Amazon ECS task with Step Functions, IAM policies for .sync; EventBridge Scheduler's execution role."""
    to_ecs, running = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}, names.arn("ecs", f"task/{names.prefix}/0123")
    for task in ("strava-extract", "strava-load", "dbt"):  # test_workflow.py sees that it starts these
        yield "workflow", ("ecs:RunTask", names.family(task), {"ecs:cluster": names.cluster})
        yield "workflow", ("iam:PassRole", names.role(task), to_ecs)
    yield "workflow", ("iam:PassRole", names.role("execution"), to_ecs)
    yield "workflow", ("ecs:TagResource", running, {"ecs:CreateAction": "RunTask"})
    yield "workflow", ("ecs:DescribeTasks", running, {})
    yield "workflow", ("ecs:StopTask", running, {})
    rule = names.arn("events", "rule/StepFunctionsGetEventsForECSTaskRule")
    for action in ("DescribeRule", "PutRule", "PutTargets"):
        yield "workflow", (f"events:{action}", rule, {})
    yield "scheduler", ("states:StartExecution", names.arn("states", f"stateMachine:{names.prefix}-strava-daily"), {})


def mwaa(names: Names, _: dict) -> Iterator[tuple[str, Request]]:
    """Amazon MWAA execution role: what the environment itself does."""
    dags, group = names.bucket("dags"), names.arn("logs", f"log-group:airflow-{names.prefix}-Task:log-stream:one")
    queue, key = (
        "arn:aws:sqs:eu-central-1:999999999999:airflow-celery-one",
        "arn:aws:kms:eu-central-1:999999999999:key/one",
    )
    yield "airflow", ("airflow:PublishMetrics", names.arn("airflow", f"environment/{names.prefix}"), {})
    for action in ("GetBucketPublicAccessBlock", "GetBucketVersioning", "ListBucket"):
        yield "airflow", (f"s3:{action}", dags, {})
    yield "airflow", ("s3:GetObjectVersion", names.bucket("dags", "plugins.zip"), {})
    for action in ("CreateLogStream", "PutLogEvents"):
        yield "airflow", (f"logs:{action}", group, {})
    for action in ("SendMessage", "ReceiveMessage", "DeleteMessage"):
        yield "airflow", (f"sqs:{action}", queue, {})
    yield "airflow", ("kms:Decrypt", key, {"kms:ViaService": "sqs.eu-central-1.amazonaws.com"})
    yield "airflow", ("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AmazonMWAA"})


def external_secrets(names: Names, _: dict) -> Iterator[tuple[str, Request]]:
    """External Secrets, AWS Parameter Store: what its documentation asks for, one name."""
    for action in ("GetParameter", "GetParameters"):
        yield "pod-external-secrets", (f"ssm:{action}", names.parameter("mongodb/uri"), {})
