"""`make demo` as a person types it: generated, recorded, from a bulk export, and each of them again."""

import csv
import os
import re
import shutil
import subprocess
import zipfile
from math import ceil
from pathlib import Path

import pytest

from conftest import PYTHON, ROOT, World, demo

CAPTURED = {"cwd": ROOT, "capture_output": True, "text": True}


def only_state(folder: Path) -> Path:
    """The one demo state below a folder."""
    (state,) = [path for path in folder.iterdir() if path.is_dir()]
    return state


def test_a_second_demo_lands_no_object_writes_no_row_and_costs_the_list_and_little_more(state):
    demo(state)
    with World(only_state(state), "--only", "postgres") as world:
        objects, versions, listed = world.landed(), world.versions(), world.landed_rows()
        assert listed == world.one("select count(*) from marts.activities") > 500
    said = demo(state)
    with World(only_state(state), "--only", "postgres") as world:
        assert world.landed() == objects
        assert world.versions() == versions
    (requests,) = re.findall(r"landed; (\d+) requests", said)
    list_pages = ceil(listed / 200) + 1
    assert list_pages <= int(requests) <= list_pages + 3


def test_the_page_stands_where_the_demo_says(state):
    said = demo(state)
    page = Path(re.search(r"^Open (.+)$", said, re.MULTILINE)[1])
    assert "Powered by Strava" in (Path(__file__).resolve().parents[2] / page).read_text()


def test_a_page_without_an_earlier_demo_of_its_input_says_what_to_do_and_makes_nothing(tmp_path):
    (tmp_path / "export").mkdir()
    for given in ({}, {"EXPORT": str(tmp_path / "export")}):
        settings = {"DEMO_STATE": str(tmp_path / "state"), **given}
        done = subprocess.run([PYTHON, ROOT / "scripts/demo", "report"], env=os.environ | settings, **CAPTURED)
        assert done.returncode == 1
        assert "`make demo` first" in done.stderr
    assert not (tmp_path / "state").exists()


def test_a_page_is_drawn_again_from_the_demo_of_its_input(state):
    demo(state)
    settings = {"DEMO_STATE": str(state)}
    done = subprocess.run([PYTHON, ROOT / "scripts/demo", "report"], env=os.environ | settings, **CAPTURED)
    assert done.returncode == 0, done.stderr
    assert "draw the page" in done.stdout
    assert "extract" not in done.stdout


def test_every_recorded_activity_arrives_at_every_station(tmp_path_factory, recorded):
    state = shared_folder(tmp_path_factory)
    demo(state, ACTIVITIES=str(recorded / "api/activities.ndjson"))
    with World(only_state(state), "--only", "postgres") as world:
        assert world.landed_rows() == 1_132
        assert world.one("select count(*) from strava.ods_strava__activities") == 1_132
        assert world.one("select count(*) from marts.activities") == 1_132


EXPORTS = ["directory", "flat.zip", "nested.zip", "activities-1845x99.csv", "activities-112x87-html-headers.csv"]


@pytest.mark.parametrize("form", EXPORTS)
def test_an_export_gives_as_many_rows_as_its_csv_has_records(tmp_path_factory, tmp_path, recorded, form):
    archive, settings = export(recorded / "export", form, tmp_path)
    records = len(list(csv.reader(csv_of(recorded / "export", form).open(newline="")))) - 1
    state = shared_folder(tmp_path_factory)
    demo(state, EXPORT=str(archive), **settings)
    with World(only_state(state), "--only", "postgres") as world:
        assert world.landed_rows() == records
        assert world.one("select count(*) from strava.ods_strava__activities where _origin = 'export'") == records
        assert world.one("select count(*) from marts.activities") == records


def csv_of(exports: Path, form: str) -> Path:
    return exports / form if form.endswith(".csv") else exports / "full-archive/activities.csv"


def export(exports: Path, form: str, folder: Path) -> tuple[Path, dict]:
    """An archive in one of the forms that people have, and what the demo must be told beside."""
    whole = exports / "full-archive"
    if form == "directory":
        return whole, {}
    if form.endswith(".csv"):
        shutil.copy(exports / form, folder / "activities.csv")
        return folder, {"ATHLETE_ID": "1234567"}
    prefix = "export_1234567/" if form == "nested.zip" else ""
    with zipfile.ZipFile(folder / form, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(whole.rglob("*")):
            if path.is_file():
                archive.write(path, prefix + str(path.relative_to(whole)))
    return folder / form, {}


def shared_folder(tmp_path_factory) -> Path:
    """A folder that a PostgreSQL running as another user may enter."""
    folder = tmp_path_factory.mktemp("state")
    for parent in [folder, *folder.parents[:-2]]:
        parent.chmod(0o755)
    return folder
