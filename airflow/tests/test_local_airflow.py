"""The commands behind `make airflow` and `make airflow-run`, as far as they need no Airflow."""

from __future__ import annotations

import local_airflow


def test_a_run_that_should_join_an_airflow_which_is_gone_says_how_to_start_one(tmp_path, capsys):
    (tmp_path / "port").write_text(str(local_airflow.free_port()))
    assert local_airflow.join(tmp_path, ["marts"]) == 1
    assert "start one by `make airflow`" in capsys.readouterr().err


def test_the_login_is_the_same_at_the_next_start_and_nobody_else_s_to_read(tmp_path):
    assert local_airflow.login(tmp_path) == local_airflow.login(tmp_path)
    assert (tmp_path / "passwords.json").stat().st_mode & 0o077 == 0
