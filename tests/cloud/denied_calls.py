"""What nobody of the platform may do, role by role: another bucket, prefix, parameter, cluster, role, topic."""

from __future__ import annotations

from collections.abc import Iterator

from policies import Request
from requests_of_calls import Names


def requests(names: Names) -> Iterator[tuple[str, Request]]:
    """Role and request, each of which must be denied."""
    for role, action, resource, *context in _listed(names):
        yield role, (action, resource, context[0] if context else {})


def _listed(n: Names) -> list[tuple]:
    landing, dags, report = n.bucket("landing"), n.bucket("dags"), n.bucket("report")
    other = "arn:aws:s3:::somebody-elses-bucket"
    ecs, tagged = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}, {"ecs:CreateAction": "RunTask"}
    foreign_cluster = n.arn("ecs", "cluster/another")
    foreign_log = n.arn("logs", "log-group:/another/strava-load:log-stream:x")
    foreign_repository = n.arn("ecr", "repository/another/image")
    kafka = {kind: n.arn("kafka", f"{kind}/{n.prefix}/uuid") for kind in ("topic", "group")}
    foreign_kafka = n.arn("kafka", "cluster/another/uuid")
    in_ours, in_another = {"ecs:cluster": n.cluster}, {"ecs:cluster": foreign_cluster}
    extract, load, dbt = "strava-extract", "strava-load", "dbt"
    consumer, secrets = "pod-weather-consumer", "pod-external-secrets"
    denied = [
        # the extract: its own half of the landing bucket, its own token
        (extract, "s3:GetObject", f"{landing}/source=kafka/type=weather/x.parquet"),
        (extract, "s3:GetObject", f"{landing}/source=strava/type=activities/x"),
        (extract, "s3:PutObject", f"{landing}/source=kafka/type=weather/x.parquet"),
        (extract, "s3:PutObject", f"{landing}/configuration/weather-locations.csv"),
        (extract, "s3:PutObject", f"{other}/source=strava/x"),
        (extract, "s3:DeleteObject", f"{landing}/source=strava/type=activities/x"),
        (extract, "s3:DeleteObject", f"{landing}/state/strava/athlete=1/ledger.json.zst"),
        (extract, "s3:ListBucket", landing, {"s3:prefix": "source=kafka/"}),
        (extract, "s3:ListBucket", report, {"s3:prefix": "source=strava/"}),
        (extract, "s3:ListBucket", report, {"s3:prefix": ""}),
        (extract, "ssm:GetParameter", n.parameter("database/loader-url")),
        (extract, "ssm:GetParameter", n.parameter("strava/client-secret")),
        (extract, "ssm:PutParameter", n.parameter("strava/client-id")),
        (extract, "ssm:PutParameter", n.parameter("strava/token-of-another")),
        (extract, "ssm:GetParameter", n.arn("ssm", "parameter/another/production/strava/token")),
        (extract, "ecs:RunTask", n.family(extract), in_ours),
        # the load: reads what landed, and writes nothing
        (load, "s3:PutObject", f"{landing}/source=strava/x"),
        (load, "s3:DeleteObject", f"{landing}/source=strava/x"),
        (load, "s3:GetObject", f"{landing}/state/strava/athlete=1/ledger.json.zst"),
        (load, "s3:GetObject", f"{dags}/dags/strava_daily.py"),
        (load, "s3:ListBucket", landing, {"s3:prefix": "state/"}),
        (load, "s3:ListBucket", dags, {"s3:prefix": ""}),
        (load, "ssm:GetParameter", n.parameter("database/loader-url")),
        # dbt: the page, and nothing read
        (dbt, "s3:GetObject", f"{landing}/source=strava/x"),
        (dbt, "s3:PutObject", f"{landing}/source=strava/x"),
        (dbt, "s3:PutObject", f"{dags}/dags/evil.py"),
        (dbt, "s3:DeleteObject", f"{report}/index.html"),
        (dbt, "s3:ListBucket", landing, {"s3:prefix": ""}),
        # the consumer: its own half of the landing bucket, its own topics and groups
        (consumer, "s3:PutObject", f"{landing}/source=strava/x"),
        (consumer, "s3:GetObject", f"{landing}/state/strava/athlete=1/ledger.json.zst"),
        (consumer, "s3:ListBucket", landing, {"s3:prefix": "source=strava/"}),
        (consumer, "s3:ListBucket", report, {"s3:prefix": ""}),
        (consumer, "kafka-cluster:ReadData", f"{kafka['topic']}/another"),
        (consumer, "kafka-cluster:CreateTopic", f"{kafka['topic']}/another"),
        (consumer, "kafka-cluster:AlterGroup", f"{kafka['group']}/another"),
        (consumer, "kafka-cluster:Connect", foreign_kafka),
        (secrets, "ssm:GetParameter", n.parameter("strava/client-secret")),
        (secrets, "ssm:GetParameters", n.parameter("database/loader-url")),
        # the agent: named secrets, our images, our logs
        ("execution", "ssm:GetParameters", n.parameter("strava/token")),
        ("execution", "ssm:GetParameters", n.parameter("mongodb/uri")),
        ("execution", "ssm:GetParameter", n.parameter("strava/client-id")),
        ("execution", "ecr:BatchGetImage", foreign_repository),
        ("execution", "ecr:BatchGetImage", n.arn("ecr", f"repository/{n.prefix}/weather-consumer")),
        ("execution", "ecr:PutImage", n.arn("ecr", f"repository/{n.prefix}/dbt")),
        ("execution", "logs:PutLogEvents", foreign_log),
        ("execution", "s3:GetObject", f"{landing}/source=strava/x"),
        # deployment: images, revisions, DAGs; it starts nothing and reads no data
        ("deploy", "ecr:PutImage", foreign_repository),
        ("deploy", "ecr:BatchDeleteImage", n.arn("ecr", f"repository/{n.prefix}/dbt")),
        ("deploy", "ecs:RunTask", n.family(load), in_ours),
        ("deploy", "ecs:RegisterTaskDefinition", n.arn("ecs", "task-definition/another:1")),
        ("deploy", "s3:PutObject", f"{landing}/source=strava/x"),
        ("deploy", "s3:GetObject", f"{landing}/source=strava/x"),
        ("deploy", "s3:PutObject", f"{dags}/startup.sh"),
        ("deploy", "s3:ListBucket", landing, {"s3:prefix": ""}),
        ("deploy", "iam:PassRole", n.role("workflow"), ecs),
        ("deploy", "iam:PassRole", n.role("strava-extract"), {"iam:PassedToService": "lambda.amazonaws.com"}),
        ("deploy", "iam:PassRole", n.role("airflow"), ecs),
        ("deploy", "iam:PutRolePolicy", n.role("strava-extract")),
        ("deploy", "ssm:GetParameter", n.parameter("strava/client-secret")),
        ("deploy", "airflow:UpdateEnvironment", n.arn("airflow", "environment/another")),
        ("deploy", "iam:PassRole", n.role("strava-load"), {"iam:PassedToService": "airflow-env.amazonaws.com"}),
        ("scheduler", "states:StartExecution", n.arn("states", "stateMachine:another")),
        ("workflow", "events:PutRule", n.arn("events", "rule/another")),
        ("airflow", "s3:GetObject", f"{landing}/source=strava/x"),
        ("airflow", "s3:PutObject", f"{dags}/dags/evil.py"),
        ("airflow", "sns:Publish", n.arn("sns", "another")),
        ("airflow", "kms:Decrypt", n.arn("kms", "key/ours"), {"kms:ViaService": "sqs.eu-central-1.amazonaws.com"}),
    ]
    # The producer, on ECS and on EKS: its progress, its locations, its topic.
    for role in ("weather-producer", "pod-weather-producer"):
        denied += [
            (role, "s3:PutObject", f"{landing}/source=kafka/type=weather/x.parquet"),
            (role, "s3:PutObject", f"{landing}/configuration/weather-locations.csv"),
            (role, "s3:GetObject", f"{landing}/source=strava/type=activities/x"),
            (role, "s3:ListBucket", landing, {"s3:prefix": "source=strava/"}),
            (role, "kafka-cluster:WriteData", f"{kafka['topic']}/weather.dead-letters"),
            (role, "kafka-cluster:ReadData", f"{kafka['topic']}/weather"),
            (role, "kafka-cluster:DeleteTopic", f"{kafka['topic']}/weather"),
            (role, "kafka-cluster:Connect", foreign_kafka),
            (role, "s3:ListBucket", report, {"s3:prefix": ""}),
            (role, "s3:GetObject", f"{other}/configuration/x"),
        ]
    # Whoever starts tasks starts ours, in our cluster, with our roles, and nothing else.
    for role in ("airflow", "workflow", "ecs-run"):
        denied += [
            (role, "ecs:RunTask", n.arn("ecs", "task-definition/another:1"), in_ours),
            (role, "ecs:RunTask", n.family(load), in_another),
            (role, "ecs:StopTask", n.arn("ecs", "task/another/0123"), in_another),
            (role, "ecs:DescribeTasks", n.arn("ecs", "task/another/0123"), in_another),
            (role, "ecs:TagResource", n.arn("ecs", f"task/{n.prefix}/0123"), {"ecs:CreateAction": "CreateService"}),
            (role, "ecs:TagResource", n.arn("ecs", "task/another/0123"), tagged),
            (role, "iam:PassRole", n.role("deploy"), ecs),
            (role, "iam:PassRole", n.role("workflow"), ecs),
            (role, "iam:PassRole", f"arn:aws:iam::{n.account}:role/administrator", ecs),
            (role, "iam:PassRole", n.role("strava-load"), {"iam:PassedToService": "ec2.amazonaws.com"}),
            (role, "logs:GetLogEvents", foreign_log),
            (role, "ecs:ListTasks", "*", in_another),
            (role, "ecs:RegisterTaskDefinition", n.family(load)),
        ]
    return denied
