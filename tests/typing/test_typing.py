"""mypy and pyright read the same calls: they let the right ones through and see every wrong one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

CALLS = Path(__file__).with_name("calls.py")
REFUSED = {
    number for number, line in enumerate(CALLS.read_text().splitlines(), 1) if line.rstrip().endswith("# refused")
}


def run(*command: str, folder: Path) -> str:
    finished = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=170, check=False
    )
    assert finished.stdout, finished.stderr
    return finished.stdout


def test_there_is_something_to_refuse() -> None:
    assert len(REFUSED) > 20


def test_mypy_lets_right_calls_through_and_sees_wrong_ones(tmp_path: Path) -> None:
    said = run("mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", str(CALLS), folder=CALLS.parent)

    errors = {int(line) for line in re.findall(r"calls\.py:(\d+): error:", said)}
    assert errors == REFUSED, said


def test_pyright_lets_right_calls_through_and_sees_wrong_ones(tmp_path: Path) -> None:
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "standard"}))
    copied = tmp_path / "calls.py"
    copied.write_text(CALLS.read_text())
    said = run("pyright", "--outputjson", "--pythonpath", sys.executable, str(copied), folder=tmp_path)

    faults = [fault for fault in json.loads(said)["generalDiagnostics"] if fault["severity"] == "error"]
    errors = {fault["range"]["start"]["line"] + 1 for fault in faults}
    assert errors == REFUSED, [(fault["range"]["start"]["line"] + 1, fault["message"]) for fault in faults]
