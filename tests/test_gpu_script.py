"""The script that fills the table of GPU figures: every row at toy size, in processes of their own, within its time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "experiments" / "benchmarks" / "gpu.py"


@pytest.mark.slow  # Minutes: nine programs, some of physics engines, are compiled from nothing.
def test_every_row_is_measured_or_says_why_not(tmp_path):
    out = tmp_path / "gpu.json"
    words = [sys.executable, str(SCRIPT), "--size", "toy", "--minutes", "60", "--out", str(out)]
    subprocess.run(words, check=True)
    rows = json.loads(out.read_text())["rows"]
    assert {name: row.get("error") for name, row in rows.items()} == dict.fromkeys(rows)
    assert all(row["environment_steps"] > 0 and row["device"] for row in rows.values())


@pytest.mark.slow
def test_a_row_that_takes_too_long_is_left_for_the_others(tmp_path):
    out = tmp_path / "gpu.json"
    words = [sys.executable, str(SCRIPT), "--size", "toy", "--minutes", "0.03", "--rows", "cartpole", "--out", str(out)]
    subprocess.run(words, check=True)
    assert "not done after" in json.loads(out.read_text())["rows"]["cartpole"]["error"]
