"""The month's bill: that it follows tasks, schedules and prices, and that batch only stays within its goal."""

import json
import re
import shutil

import pytest

from conftest import ROOT

GOAL = "1.5"
READ = (
    *("iac/prices.json", "iac/usage.json", "iac/tasks.json", "iac/variables.tf"),
    *("airflow/dags/strava_daily.py", "airflow/dags/weather_hourly.py"),
)


@pytest.fixture
def cost(load_script, tmp_path):
    """The script as a module that reads copies, which a test may change."""
    module = load_script("cost")
    for name in READ:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    module.ROOT = tmp_path
    return module


def sums(text: str, name: str = "sum") -> list[str]:
    return re.search(rf"^{name}.*?((?:\s+\+?[\d.]+){{3}})$", text, re.MULTILINE)[1].split()


def edit(path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_batch_only_costs_at_most_one_and_a_half_dollars_a_month(cost, capsys):
    assert cost.main(["--limit", GOAL]) == 0
    batch, airflow, everything = map(float, sums(capsys.readouterr().out))
    assert 0.1 < batch <= float(GOAL) < airflow < everything


def test_tasks_that_are_too_large_break_the_goal(cost, capsys):
    def enlarge(content):
        for task in content["tasks"].values():
            task["cpu"] *= 16
            task["memory"] *= 16

    edit(cost.ROOT / "iac/tasks.json", enlarge)
    assert cost.main(["--limit", GOAL]) == 1
    assert "more than 1.50" in capsys.readouterr().err


def test_a_schedule_of_every_hour_costs_twenty_four_times_the_tasks(cost, capsys):
    cost.main([])
    before = capsys.readouterr().out
    variables = cost.ROOT / "iac/variables.tf"
    variables.write_text(variables.read_text().replace('"cron(30 3 * * ? *)"', '"cron(30 * * * ? *)"'))
    cost.main([])
    after = capsys.readouterr().out
    extract = re.compile(r"^Fargate: extract \S+\s+([\d.]+)", re.MULTILINE)
    assert float(extract.search(after)[1]) == pytest.approx(24 * float(extract.search(before)[1]), abs=0.15)


def test_a_schedule_that_is_not_daily_is_refused_instead_of_guessed(cost):
    with pytest.raises(SystemExit, match="only daily and hourly"):
        cost.runs_a_day("0 3 * * 1")


def test_what_is_paid_while_nothing_runs_is_shown_apart(cost, capsys):
    cost.main([])
    said = capsys.readouterr().out
    assert all(float(idle) < float(whole) for idle, whole in zip(sums(said, "of it idle"), sums(said), strict=True))


def test_a_price_that_nobody_knows_makes_the_sum_a_lower_bound(cost, capsys):
    cost.main(["--region", "ap-southeast-1"])
    said = capsys.readouterr().out
    assert [amount[0] == "+" for amount in sums(said)] == [False, True, True]
    assert "without mwaa_micro_hour" in said


def test_an_unknown_region_is_refused_with_the_known_ones(cost):
    with pytest.raises(SystemExit, match="us-east-1"):
        cost.main(["--region", "mars-1"])


def test_every_price_names_a_source_of_the_table():
    table = json.loads((ROOT / "iac/prices.json").read_text())
    entries = [entry for region in table["regions"].values() for entry in region.values() if entry is not None]
    assert entries
    assert {source for _, source in entries} <= set(table["sources"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", table["date"])


def test_the_kinds_that_are_priced_are_the_ones_that_terraform_makes():
    variables = (ROOT / "iac/variables.tf").read_text()
    kinds = {"environment_class": "mw1.micro", "type": "provisioned", "instance_type": "kafka.t3.small"}
    for name, kind in kinds.items():
        assert re.search(rf'\b{name}\s*= optional\(string, "{kind}"\)', variables), name
