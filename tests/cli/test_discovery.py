"""The app is found as `fastapi run` finds it; what is wrong with it is said without a traceback of ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anzol.cli.discovery import DEFAULTS, Found, find, load
from anzol.errors import AnzolError, AppError

APP = "from fastapi import FastAPI\napp = FastAPI(title='here')\n"


@pytest.fixture(autouse=True)
def own_modules() -> Iterator[None]:
    """Forget what a test imported, and where from."""
    modules, path = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - modules:
        if not name.startswith(("fastapi", "starlette", "anzol")):
            del sys.modules[name]
    sys.path[:] = path


def put(folder: Path, path: str, text: str = APP) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)


@pytest.mark.parametrize("name", DEFAULTS)
def test_without_a_name_the_usual_files_are_tried(tmp_path: Path, name: str) -> None:
    put(tmp_path, name)

    found = find(None, tmp_path)

    assert found == Found(Path(name).stem, None, (tmp_path / name).parent)
    assert load(found).title == "here"


def test_the_usual_files_are_tried_in_fastapis_order(tmp_path: Path) -> None:
    for name in DEFAULTS:
        put(tmp_path, name)

    assert find(None, tmp_path).module == "main"


def test_a_file_in_a_package_is_imported_by_its_package(tmp_path: Path) -> None:
    put(tmp_path, "shop/__init__.py", "")
    put(tmp_path, "shop/web/__init__.py", "")
    put(tmp_path, "shop/web/main.py", "from shop.web import __name__ as package\n" + APP)

    found = find("shop/web/main.py", tmp_path)

    assert found == Found("shop.web.main", None, tmp_path)
    assert load(found).title == "here"


def test_a_package_is_imported_from_its_folder_or_its_init_file(tmp_path: Path) -> None:
    put(tmp_path, "shop/__init__.py")

    assert find("shop", tmp_path).module == find("shop/__init__.py", tmp_path).module == "shop"


@pytest.mark.parametrize("named", ["web.main:application", "web/main.py:application"])
def test_a_variable_may_be_named(tmp_path: Path, named: str) -> None:
    put(tmp_path, "web/__init__.py", "")
    put(tmp_path, "web/main.py", "from fastapi import FastAPI\napp = FastAPI()\napplication = FastAPI(title='named')\n")

    assert load(find(named, tmp_path)).title == "named"


@pytest.mark.parametrize("named", ["main:create_app", "main:create_app()"])
def test_a_function_that_makes_the_app_may_be_named(tmp_path: Path, named: str) -> None:
    put(tmp_path, "main.py", "from fastapi import FastAPI\ndef create_app():\n    return FastAPI(title='made')\n")

    assert load(find(named, tmp_path)).title == "made"


def test_pyproject_names_the_entrypoint(tmp_path: Path) -> None:
    put(tmp_path, "main.py")
    put(tmp_path, "backend/start.py", APP.replace("here", "configured"))
    put(tmp_path, "pyproject.toml", '[tool.fastapi]\nentrypoint = "backend.start:app"\n')

    assert load(find(None, tmp_path)).title == "configured"


def test_a_pyproject_without_an_entrypoint_changes_nothing(tmp_path: Path) -> None:
    put(tmp_path, "main.py")
    put(tmp_path, "pyproject.toml", "[tool.ruff]\n")

    assert find(None, tmp_path).module == "main"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("zebra = FastAPI(title='zebra')\napi = FastAPI(title='api')\napp = FastAPI(title='app')\n", "app"),
        ("app = 1\nzebra = FastAPI(title='zebra')\napi = FastAPI(title='api')\n", "api"),
        ("zebra = FastAPI(title='zebra')\nmole = FastAPI(title='mole')\n", "mole"),
    ],
)
def test_of_several_apps_app_is_taken_then_api_then_the_first(tmp_path: Path, text: str, title: str) -> None:
    put(tmp_path, "main.py", f"from fastapi import FastAPI\n{text}")

    assert load(find(None, tmp_path)).title == title


def refusal(tmp_path: Path, named: str | None) -> AppError:
    with pytest.raises(AppError) as caught:
        load(find(named, tmp_path))
    return caught.value


def test_nothing_named_and_nothing_there_says_what_was_tried(tmp_path: Path) -> None:
    error = refusal(tmp_path, None)

    assert "app/main.py" in error.what
    assert "[tool.fastapi]" in error.do


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("nowhere.py", "There is no 'nowhere.py'"),
        ("no/where", "There is no 'no/where'"),
        ("nowhere:app", "There is no module 'nowhere'"),
        ("folder", "folder without an __init__.py"),
        ("main.py:other", "has no 'other'"),
        ("main:number", "is int, not a FastAPI app"),
        ("empty.py", "empty has no FastAPI app"),
        ("not a module:app", "There is no 'not a module'"),
    ],
)
def test_what_is_not_there_is_said_with_what_to_write(tmp_path: Path, named: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    put(tmp_path, "main.py", APP + "number = 1\n")
    put(tmp_path, "empty.py", "")

    error = refusal(tmp_path, named)

    assert said in error.what
    assert error.do


def test_a_wrong_variable_is_answered_with_the_right_one(tmp_path: Path) -> None:
    put(tmp_path, "main.py", "from fastapi import FastAPI\nbackend = FastAPI()\n")

    assert "'backend'" in refusal(tmp_path, "main:app").do


@pytest.mark.parametrize(
    ("pyproject", "said"),
    [
        ("[tool.fastapi\n", "is not TOML"),
        ('[tool.fastapi]\nentrypoint = "app/main.py"\n', "'app/main.py'"),
        ("[tool.fastapi]\nentrypoint = 3\n", "is 3"),
    ],
)
def test_a_pyproject_that_makes_no_sense_is_refused(tmp_path: Path, pyproject: str, said: str) -> None:
    put(tmp_path, "main.py")
    put(tmp_path, "pyproject.toml", pyproject)

    assert said in refusal(tmp_path, None).what


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_of_this_name\n", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("x = 1 / 0\n", "ZeroDivisionError"),
        ("def broken(:\n", "SyntaxError"),
        ("import sys\nsys.exit(7)\n", "SystemExit"),
    ],
)
def test_an_app_that_cannot_be_imported_is_shown_at_its_own_line(tmp_path: Path, text: str, said: str) -> None:
    put(tmp_path, "main.py", text)

    error = refusal(tmp_path, None)

    assert said in error.what
    assert "main.py" in error.trace
    assert "importlib" not in error.trace
    assert "discovery.py" not in error.trace
    assert error.__cause__ is not None


def test_an_error_of_anzol_s_own_is_passed_on(tmp_path: Path) -> None:
    put(tmp_path, "main.py", "from anzol.errors import DeclarationError\nraise DeclarationError('so it is')\n")

    with pytest.raises(AnzolError, match="so it is"):
        load(find(None, tmp_path))
