"""What becomes of a task on devstack's ECS: its way, its environment, its end."""

from __future__ import annotations

import statistics
import time

import boto3
import pytest

from airflow_world import await_death
from ecs_world import CLUSTER, PATIENCE, await_line, ecs, lines, register, run, stopped, wait_for

pytestmark = pytest.mark.needs_ecs
OVERHEAD_SECONDS = 0.05


def test_a_task_goes_its_whole_way(tmp_path):
    go = tmp_path / "go"
    task = run(
        register(f"while [ ! -e {go} ]; do sleep 0.02; done; echo hello; exit 3"),
        startedBy="me",
        tags=[{"key": "a", "value": "b"}],
    )
    assert task["lastStatus"] == "PROVISIONING"
    assert task["desiredStatus"] == "RUNNING"
    assert wait_for(task, "RUNNING")["startedAt"]
    go.touch()
    done = stopped(task)
    (container,) = done["containers"]
    assert container["exitCode"] == 3
    assert container["lastStatus"] == "STOPPED"
    assert done["stopCode"] == "EssentialContainerExited"
    assert done["stoppedReason"] == "Essential container in task exited"
    assert done["createdAt"] <= done["pullStartedAt"] <= done["startedAt"] <= done["stoppedAt"]
    assert lines(task) == ["hello"]


def test_the_provider_s_waiter_sees_the_end():
    task = run(register("exit 0"))
    ecs().get_waiter("tasks_stopped").wait(
        cluster=CLUSTER, tasks=[task["taskArn"]], WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE}
    )


def test_overrides_replace_the_command_and_lie_over_the_environment():
    definition = register("exit 9", environment=[{"name": "A", "value": "1"}, {"name": "B", "value": "1"}])
    override = {"name": "main", "command": ["-c", 'echo "$A $B $C"'],
                "environment": [{"name": "B", "value": "2"}, {"name": "C", "value": "3"}]}  # fmt: skip
    task = run(definition, overrides={"containerOverrides": [override]})
    assert stopped(task)["containers"][0]["exitCode"] == 0
    assert lines(task) == ["1 2 3"]
    assert task["overrides"]["containerOverrides"] == [override]


def test_a_task_sees_what_its_definition_gives_and_what_an_agent_adds_and_nothing_else():
    task = run(register("cat /proc/$$/environ | tr '\\0' '\\n'", environment=[{"name": "OWN", "value": "x"}]))
    stopped(task)
    names = {line.split("=", 1)[0] for line in lines(task)}
    agent = {"AWS_EXECUTION_ENV", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
             "AWS_ENDPOINT_URL"}  # fmt: skip
    assert names == {"OWN", "PATH", "HOME"} | agent


def test_a_secret_comes_from_ssm_and_a_missing_one_is_named():
    ssm = boto3.client("ssm")
    ssm.put_parameter(Name="/t/present", Value="s3cret value", Type="SecureString", Overwrite=True)
    arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/t/"
    secrets = [{"name": "A", "valueFrom": f"{arn}present"}, {"name": "B", "valueFrom": "/t/present"}]
    task = run(register('echo "$A|$B"', secrets=secrets))
    stopped(task)
    assert lines(task) == ["s3cret value|s3cret value"]
    task = stopped(run(register("echo no", secrets=[*secrets, {"name": "C", "valueFrom": f"{arn}absent"}])))
    assert task["stopCode"] == "TaskFailedToStart"
    assert "invalid ssm parameters: /t/absent" in task["stoppedReason"]
    assert "exitCode" not in task["containers"][0]


def test_stop_task_is_sigterm_first_and_sigkill_after_the_stop_timeout():
    polite = run(register("trap 'echo bye; exit 143' TERM; echo ready; while :; do sleep 0.05; done"))
    deaf = run(register("trap '' TERM; echo ready; while :; do sleep 0.05; done", stopTimeout=2))
    for task in (polite, deaf):
        await_line(task, "ready")
        answer = ecs().stop_task(cluster=CLUSTER, task=task["taskArn"], reason="by a test")["task"]
        assert answer["desiredStatus"] == "STOPPED"
    done = stopped(polite)
    assert (done["containers"][0]["exitCode"], done["stopCode"], done["stoppedReason"]) == (
        143,
        "UserInitiated",
        "by a test",
    )
    assert lines(polite) == ["ready", "bye"]
    done = stopped(deaf)
    assert done["containers"][0]["exitCode"] == 137
    assert (done["stoppedAt"] - done["stoppingAt"]).total_seconds() >= 2


def test_what_a_program_leaves_behind_ends_with_it():
    task = run(register("sleep 600 & echo $!"))
    stopped(task)
    (pid,) = lines(task)
    await_death(int(pid))


def test_too_much_memory_is_137_with_its_reason():
    hog = "a=x; while :; do a=$a$a; done"
    done = stopped(run(register(hog)))
    assert done["containers"][0]["exitCode"] == 137
    assert done["containers"][0]["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_the_platform_s_own_definitions_stand_as_terraform_makes_them(tasks):
    for name, entry in tasks.items():
        definition = ecs().describe_task_definition(taskDefinition=f"data-voyager-{name}:1")["taskDefinition"]
        (container,) = definition["containerDefinitions"]
        assert (definition["cpu"], definition["memory"]) == (str(entry["cpu"]), str(entry["memory"]))
        assert container["name"] == name
        assert container["command"] == entry["command"]
        assert {s["name"] for s in container["secrets"]} == set(entry["secrets"])
        assert container["logConfiguration"]["options"]["awslogs-group"] == f"/data-voyager/{name}"
    (cluster,) = ecs().describe_clusters(clusters=[CLUSTER])["clusters"]
    assert cluster["status"] == "ACTIVE"


def test_200_tasks_started_at_once_end_right():
    definition = register('echo "task $N"; exit $((N % 7))')
    tasks = {}
    for number in range(200):
        override = {"name": "main", "environment": [{"name": "N", "value": str(number)}]}
        tasks[run(definition, overrides={"containerOverrides": [override]})["taskArn"]] = number
    arns = list(tasks)
    for first in (0, 100):
        ecs().get_waiter("tasks_stopped").wait(
            cluster=CLUSTER, tasks=arns[first : first + 100], WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE}
        )
        for done in ecs().describe_tasks(cluster=CLUSTER, tasks=arns[first : first + 100])["tasks"]:
            number = tasks[done["taskArn"]]
            assert done["containers"][0]["exitCode"] == number % 7
            assert lines(done) == [f"task {number}"]


def test_the_endpoint_adds_little_to_a_task():
    """From RunTask's answer to the first line, and from there to STOPPED; a process alone takes its time too.

    What else the machine does only ever adds, so the quickest of 30 is judged, and the median told.
    """
    definition = register("date +%s.%N")
    before, after = [], []
    client = ecs()
    for _ in range(30):
        asked = time.time()
        task = run(definition)
        while True:
            (now,) = client.describe_tasks(cluster=CLUSTER, tasks=[task["taskArn"]])["tasks"]
            if now["lastStatus"] == "STOPPED":
                break
            time.sleep(0.005)
        first = float(lines(task)[0])
        before.append(first - asked)
        after.append(now["stoppedAt"].timestamp() - first)
    for what, seconds in (("RunTask to first line", before), ("first line to STOPPED", after)):
        print(f"{what}: p50 {statistics.median(seconds) * 1e3:.0f} ms, quickest {min(seconds) * 1e3:.0f} ms")
        assert min(seconds) <= OVERHEAD_SECONDS
