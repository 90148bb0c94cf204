"""What becomes of the Airflow task, by the way its ECS task ended."""

import pytest
from airflow.exceptions import AirflowException, AirflowFailException

from data_voyager.outcome import judge


def stopped(code=None, reason="Essential container in task exited", container_reason=None):
    container = {"name": "strava-load", "lastStatus": "STOPPED"}
    if code is not None:
        container["exitCode"] = code
    if container_reason:
        container["reason"] = container_reason
    return {"lastStatus": "STOPPED", "stoppedReason": reason, "containers": [container]}


def outcome_of(task, closing=None):
    with pytest.raises(AirflowException) as failure:
        judge(task, "strava-load", closing)
    return not isinstance(failure.value, AirflowFailException), str(failure.value)


def test_exit_0_is_right():
    judge(stopped(0), "strava-load", None)


def test_exit_1_is_worth_a_retry_and_tells_the_closing_line():
    retried, text = outcome_of(stopped(1), {"task": "strava-load", "status": "partial"})
    assert retried
    assert '"status":"partial"' in text


def test_exit_2_is_not_retried():
    retried, text = outcome_of(stopped(2))
    assert not retried
    assert "exit 2" in text


def test_too_much_memory_names_the_place_to_raise_it():
    retried, text = outcome_of(stopped(137, container_reason="OutOfMemoryError: Container killed due to memory usage"))
    assert retried
    assert "OutOfMemoryError" in text
    assert "iac/tasks.json" in text


def test_a_stopped_task_says_who_stopped_it():
    retried, text = outcome_of(stopped(143, "Task killed by the user"))
    assert retried
    assert "Task killed by the user" in text


def test_a_missing_secret_is_named_and_not_retried():
    reason = (
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
        "unable to retrieve secrets from ssm: service call has been retried 1 time(s): "
        "invalid ssm parameters: /data-voyager/local/strava/client-id"
    )
    retried, text = outcome_of(stopped(None, reason))
    assert not retried
    assert "/data-voyager/local/strava/client-id" in text


@pytest.mark.parametrize(
    "reason", ["Capacity is unavailable at this time.", "CannotPullContainerError: i/o timeout", None]
)
def test_what_never_ran_for_want_of_room_or_image_is_retried(reason):
    retried, _ = outcome_of(stopped(None, reason))
    assert retried


def test_another_container_of_the_task_does_not_speak_for_ours():
    task = stopped(1)
    task["containers"].insert(0, {"name": "sidecar", "exitCode": 0})
    assert "exit 1" in outcome_of(task)[1]
