"""The wheel that people install holds everything that the checkout has, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return found[0]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return ZipFile(path)


def test_the_wheel_holds_every_file_of_the_package(wheel: ZipFile) -> None:
    package = ROOT / "src" / "anzol"
    present = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}

    missing = {str(path.relative_to(ROOT / "src")) for path in present} - set(wheel.namelist())

    assert missing == set()
    assert "anzol/py.typed" in wheel.namelist()


def test_the_wheel_holds_nothing_but_the_package(wheel: ZipFile) -> None:
    roots = {name.split("/")[0].split("-")[0] for name in wheel.namelist()}

    assert roots == {"anzol"}


def test_the_wheel_brings_the_command_and_the_licence(wheel: ZipFile) -> None:
    names = wheel.namelist()
    (entry,) = [name for name in names if name.endswith("entry_points.txt")]

    assert "anzol = anzol.cli:main" in wheel.read(entry).decode()
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_asks_only_for_what_is_written_down(wheel: ZipFile) -> None:
    (metadata,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
    headers = HeaderParser().parsestr(wheel.read(metadata).decode())
    wanted = {name_of(line) for line in headers.get_all("Requires-Dist", [])}
    reasons = (ROOT / "docs/decisions/0001-libraries.md").read_text()

    assert {name for name in wanted if name not in reasons} == set()


def test_everything_that_is_pinned_says_what_pyproject_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0] for line in (ROOT / "requirements/dev.txt").read_text().splitlines() if "==" in line}
    wanted = {name_of(line) for line in project["dependencies"]}

    assert wanted - pinned == set()
