"""Lines of the tasks, as Airflow's log shows them."""

import json
import logging

import pytest

from data_voyager.task_log import closing_line, read_line


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        (
            '{"timestamp":"t","level":"INFO","message":"landed","landing.key":"a/b"}',
            logging.INFO,
            "landed landing.key=a/b",
        ),
        (
            '{"level":"WARN","fields":{"message":"waiting","seconds":4},"target":"x"}',
            logging.WARNING,
            "waiting seconds=4",
        ),
        ('{"level":"ERROR","message":"refused"}', logging.ERROR, "refused"),
        ('{"level":"TRACE","message":"byte"}', logging.DEBUG, "byte"),
        ('{"info":{"level":"error","msg":"1 of 3 FAIL"},"data":{"node":1}}', logging.ERROR, "1 of 3 FAIL"),
        ("thread 'main' panicked at src/main.rs:1", logging.INFO, "thread 'main' panicked at src/main.rs:1"),
        ('{"task":"strava-load","status":"succeeded"}', logging.INFO, '{"task":"strava-load","status":"succeeded"}'),
        ('{"broken', logging.INFO, '{"broken'),
        ('{"level":7,"message":null}', logging.INFO, '{"level":7,"message":null}'),
        ('["level"]', logging.INFO, '["level"]'),
    ],
)
def test_a_line_keeps_its_level_and_its_words(line, level, text):
    assert read_line(line) == (level, text)


def test_the_newest_closing_line_counts_and_other_json_does_not():
    lines = [
        json.dumps({"task": "strava-load", "status": "failed"}),
        json.dumps({"task": "strava-load", "status": "succeeded", "complete": True}),
        json.dumps({"level": "INFO", "message": "late line", "task": "strava-load"}),
        "{not json",
    ]
    assert closing_line(lines) == {"task": "strava-load", "status": "succeeded", "complete": True}
    assert closing_line(lines[2:]) is None
    assert closing_line([]) is None
