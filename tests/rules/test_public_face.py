"""What is public is what `__all__` says, and it is all there."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from importlib.util import find_spec

import pytest

FACES = [face for face in ("anzol", "anzol.receiver", "anzol.testing") if find_spec(face) is not None]


@pytest.mark.parametrize("face", FACES)
def test_every_public_name_is_there(face: str) -> None:
    module = importlib.import_module(face)

    missing = [name for name in module.__all__ if not hasattr(module, name)]

    assert missing == []
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("face", FACES)
def test_a_star_import_brings_the_public_names_and_nothing_else(face: str) -> None:
    names: dict[str, object] = {}
    exec(f"from {face} import *", names)

    assert set(names) - {"__builtins__"} == set(importlib.import_module(face).__all__)


@pytest.mark.parametrize("face", FACES)
def test_every_public_class_and_function_says_what_it_is(face: str) -> None:
    module = importlib.import_module(face)
    things = {name: getattr(module, name) for name in module.__all__}

    silent = [name for name, thing in things.items() if callable(thing) and not inspect.getdoc(thing)]

    assert silent == []


def test_import_anzol_opens_nothing_and_loads_no_framework() -> None:
    heavy = "{'fastapi', 'sqlalchemy', 'rich', 'typer', 'uvicorn', 'uvloop', 'pycares'}"
    program = f"import anzol, sys; print(sorted({heavy} & set(sys.modules)))"

    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"
