"""The daily workflow, run: what comes after what, what is tried again, what makes it red, whom that tells."""

from __future__ import annotations

import json

import pytest

import policies
from workflow_world import counts, run

AFTER = ["strava-load", "dbt build", "dbt report"]


@pytest.fixture
def planned(production, monkeypatch):
    document = definition(production)
    return lambda plan: run(document, plan, monkeypatch)


def definition(state) -> str:
    (machine,) = state.of_type("aws_sfn_state_machine")
    if "definition" not in machine:
        pytest.skip("the workflow is known after an apply, for which ../shared/tools/aws-schema-provider is needed")
    return machine["definition"]


def test_each_athlete_is_extracted_then_all_is_loaded_modelled_and_drawn(planned):
    end, ecs = planned({})
    assert end["status"] == "SUCCEEDED"
    assert sorted(ecs.order()[:2]) == ["strava-extract 17", "strava-extract 18"]
    assert ecs.order()[2:] == AFTER


def test_every_task_runs_on_fargate_by_its_family_under_one_run_id(planned, production):
    _, ecs = planned({})
    families = {it["family"] for it in production.of_type("aws_ecs_task_definition")}
    for request in ecs.runs:
        assert request["launchType"] == "FARGATE"
        assert request["taskDefinition"] in families, "a revision would pin an old image"
        assert request["propagateTags"] == "TASK_DEFINITION"
        assert request["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "ENABLED"
    variables = [
        {it["name"]: it["value"] for it in request["overrides"]["containerOverrides"][0]["environment"]}
        for request in ecs.runs
    ]
    (run_id,) = {it["RUN_ID"] for it in variables}
    assert run_id.startswith("workflow__20")


@pytest.mark.parametrize("task", ["strava-extract 17", *AFTER])
def test_exit_1_is_tried_again_until_it_succeeds(planned, task):
    end, ecs = planned({task: [1, 1, 0]})
    assert end["status"] == "SUCCEEDED"
    assert counts(ecs.order())[task] == 3


@pytest.mark.parametrize("task", AFTER)
def test_exit_1_three_times_ends_the_run(planned, task):
    end, ecs = planned({task: [1, 1, 1, 0]})
    assert end["status"] == "FAILED"
    assert ecs.order()[-3:] == [task] * 3, "nothing comes behind what failed"
    assert '"ExitCode":1' in end["cause"]


@pytest.mark.parametrize("code", [2, 137, 143, 11, 10])
@pytest.mark.parametrize("task", AFTER)
def test_any_other_exit_is_not_tried_again(planned, task, code):
    end, ecs = planned({task: [code, 0]})
    assert end["status"] == "FAILED"
    assert counts(ecs.order())[task] == 1


def test_one_athletes_failure_keeps_the_others_activities_but_is_red(planned):
    end, ecs = planned({"strava-extract 17": [2]})
    assert ecs.order()[2:] == AFTER
    assert end["status"] == "FAILED"
    assert end["error"] == "ExtractFailed"


def test_without_athletes_the_token_says_whose_it_is(terraform, everything, monkeypatch):
    _, ecs = run(definition(everything), {}, monkeypatch)
    assert ecs.order() == ["strava-extract", *AFTER]


def test_scheduler_starts_it_and_only_where_airflow_does_not(production, everything):
    (daily,), (idle,) = production.of_type("aws_scheduler_schedule"), everything.of_type("aws_scheduler_schedule")
    assert (daily["state"], daily["schedule_expression"]) == ("ENABLED", "cron(30 3 * * ? *)")
    assert idle["state"] == "DISABLED"


def test_every_end_without_success_and_every_silence_tells_a_person(production):
    (rule,) = production.of_type("aws_cloudwatch_event_rule")
    assert json.loads(rule["event_pattern"])["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    (subscription,) = production.of_type("aws_sns_topic_subscription")
    assert (subscription["protocol"], subscription["endpoint"]) == ("email", "somebody@example.org")
    (alarm,) = production.of_type("aws_cloudwatch_metric_alarm")
    assert alarm["treat_missing_data"] == "breaching"
    assert alarm["period"] * alarm["evaluation_periods"] > 24 * 3600


def test_the_alerts_topic_takes_our_rules_and_alarms_and_nobody_elses(production):
    (policy,) = production.of_type("aws_sns_topic_policy")
    topic = "arn:aws:sns:eu-central-1:123456789012:data-voyager-production-alerts"

    def may_tell(source: str) -> bool:
        return policies.allowed([json.loads(policy["policy"])], "sns:Publish", topic, {"aws:SourceArn": source})

    assert may_tell("arn:aws:events:eu-central-1:123456789012:rule/data-voyager-production-strava-daily-failed")
    assert may_tell("arn:aws:cloudwatch:eu-central-1:123456789012:alarm:data-voyager-production-strava-daily-silent")
    assert not may_tell("arn:aws:events:eu-central-1:999999999999:rule/data-voyager-production-x")
    assert not may_tell("arn:aws:events:eu-central-1:123456789012:rule/another")
