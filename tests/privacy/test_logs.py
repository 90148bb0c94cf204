"""No token, name or coordinate in any log of the test run: the simulators plant theirs, this looks for them."""

import re
from pathlib import Path

import pytest

LOGS = Path(__file__).resolve().parents[2] / "target/test-logs"

FORBIDDEN = {
    "a token or the client's secret": re.compile(r"planted-[0-9a-z-]+", re.IGNORECASE),
    "a bearer header": re.compile(r"\bbearer [0-9a-z._-]{8,}", re.IGNORECASE),
    "the athlete's name": re.compile(r"planted(first|last)", re.IGNORECASE),
    "a pair of coordinates": re.compile(r"[-+]?\d{1,2}\.\d{3,}\s*,\s*[-+]?\d{1,3}\.\d{3,}"),
    "a coordinate by name": re.compile(r"\b(lat(itude)?|lon(gitude)?|lng)\W{1,4}[-+]?\d{1,3}\.\d+", re.IGNORECASE),
    "a password in an address": re.compile(r"://[^/\s:@]+:(?!\*+@)[^/\s@]+@"),
}


def findings(log: Path) -> list[str]:
    """`file:line: what` for every forbidden thing, without repeating the thing itself."""
    found = []
    with log.open(errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            found += [f"{log.name}:{number}: {what}" for what, pattern in FORBIDDEN.items() if pattern.search(line)]
    return found


def test_no_suite_logged_a_token_a_name_or_a_coordinate():
    logs = [log for log in sorted(LOGS.glob("*.log")) if log.stem != "privacy"]
    if not logs:
        pytest.skip("no logs yet: run `make test` first")
    assert [finding for log in logs for finding in findings(log)] == []


@pytest.mark.parametrize(
    "line",
    [
        "refreshed to planted-refresh-7",
        "Authorization: Bearer abcdef0123456789",
        "hello Plantedfirst",
        "start 52.5200, 13.4050",
        '{"latitude":52.52}',
        "connect to postgresql://loader:hunter2@host/db",
    ],
)
def test_each_kind_of_leak_is_found(tmp_path, line):
    log = tmp_path / "suite.log"
    log.write_text(f"harmless\n{line}\n")
    assert [finding.split(":")[1] for finding in findings(log)] == ["2"]
