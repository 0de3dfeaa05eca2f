"""Finding the FastAPI app as ``fastapi run`` does, and importing it.

In order: what was named; ``entrypoint`` of ``[tool.fastapi]`` in ``pyproject.toml``; ``main.py``, ``app.py``,
``api.py``, and these in ``app/``. In the module ``app``, then ``api``, then the first FastAPI app. Beyond what
``fastapi run`` takes, ``module:create_app`` may name a function that returns the app.
"""

from __future__ import annotations

import importlib
import os
import sys
import tomllib
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from anzol.errors import AnzolError, AppError

if TYPE_CHECKING:
    from fastapi import FastAPI

DEFAULTS: Final = ("main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py")
NAMES: Final = ("app", "api")
NAMING: Final = "Name it: a file (app/main.py), or module:variable (app.main:app)."


@dataclass(frozen=True, slots=True)
class Found:
    """Where the app is: its module, importable once ``folder`` is on the path, and its name there (None: look)."""

    module: str
    name: str | None
    folder: Path

    @property
    def spec(self) -> str:
        return f"{self.module}:{self.name}" if self.name else self.module


def find(named: str | None, here: Path) -> Found:
    """Return where the app is, without importing anything.

    Raises:
        AppError: nothing is there.
    """
    if named:
        return from_name(named, here)
    if (entrypoint := configured(here)) is not None:
        return from_entrypoint(entrypoint, here)
    for name in DEFAULTS:
        if (here / name).is_file():
            return from_path(here / name, None)
    raise AppError(
        f"No FastAPI app was named, and none of {', '.join(DEFAULTS)} is in {here}.",
        do=f"{NAMING} Or set entrypoint in [tool.fastapi] of pyproject.toml.",
    )


def from_name(named: str, here: Path) -> Found:
    """Read ``app/main.py``, ``app/main.py:app``, ``app.main:app`` or ``app.main``."""
    place, _, name = named.partition(":")
    path = here / place
    if place and path.exists() and (path.suffix == ".py" or path.is_dir()):
        return from_path(path, name or None)
    if place.endswith(".py") or os.sep in place or not all(part.isidentifier() for part in place.split(".")):
        raise AppError(f"There is no {place!r} in {here}.", do=NAMING)
    return Found(place, name or None, here)


def from_path(path: Path, name: str | None) -> Found:
    """Name a file or package by the packages it is in: those folders above it that hold an ``__init__.py``."""
    path = path.resolve()
    if path.is_dir() and not (path / "__init__.py").is_file():
        raise AppError(f"{path} is a folder without an __init__.py.", do=NAMING)
    path = path.parent if path.name == "__init__.py" else path
    parts = [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return Found(".".join(parts), name, folder)


def from_entrypoint(entrypoint: object, here: Path) -> Found:
    """Read ``module:variable`` of ``pyproject.toml``."""
    module, _, name = entrypoint.partition(":") if isinstance(entrypoint, str) else ("", "", "")
    if not module or not name:
        raise AppError(
            f"entrypoint in [tool.fastapi] of {here / 'pyproject.toml'} is {entrypoint!r}.",
            do='It is module:variable, such as "app.main:app".',
        )
    return Found(module, name, here)


def configured(here: Path) -> object | None:
    """Return ``entrypoint`` of ``[tool.fastapi]``, or None."""
    path = here / "pyproject.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise AppError(f"{path} is not TOML: {cause}.", do="Mend it, or name the app.") from cause
    tool = table.get("tool")
    fastapi = tool.get("fastapi") if isinstance(tool, dict) else None
    return fastapi.get("entrypoint") if isinstance(fastapi, dict) else None


def load(found: Found) -> FastAPI:
    """Import the module and return its FastAPI app.

    Raises:
        AppError: importing failed (``trace`` shows the app's own frames), or the app is not there.
    """
    if str(found.folder) not in sys.path:
        sys.path.insert(0, str(found.folder))
    try:
        module = importlib.import_module(found.module)
        return pick(module, found)
    except AnzolError:
        raise
    except (Exception, SystemExit) as cause:
        raise broken(found, cause) from cause


def broken(found: Found, cause: BaseException) -> AppError:
    """Say what went wrong in the app's import, and where in its own files."""
    said = "".join(traceback.format_exception_only(cause)).strip().splitlines()[-1]
    if isinstance(cause, ModuleNotFoundError) and cause.name and found.module.split(".")[0] == cause.name.split(".")[0]:
        return AppError(f"There is no module {cause.name!r} in {found.folder}.", do=NAMING)
    return AppError(
        f"Importing {found.module} failed: {said}", trace=own_frames(cause), do="Mend the app and try again."
    )


def own_frames(error: BaseException) -> str:
    """Return the traceback without the frames of importlib and of this program."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = str(Path(__file__).parent)
    own = [
        f for f in frames if not f.filename.startswith((ours, "<frozen importlib")) and "importlib" not in f.filename
    ]
    syntax = traceback.format_exception_only(error)[:-1] if isinstance(error, SyntaxError) else []
    return "".join(traceback.format_list(own) + syntax)


def pick(module: ModuleType, found: Found) -> FastAPI:
    """Return the app of that name, or calling what has that name; without a name the first that there is."""
    from fastapi import FastAPI

    if found.name is not None:
        return named_app(module, found.name)
    names = [*NAMES, *dir(module)]
    apps = [thing for name in names if isinstance(thing := getattr(module, name, None), FastAPI)]
    if not apps:
        raise AppError(
            f"{module.__name__} has no FastAPI app in it.",
            do=f"If a function makes it, name that: {module.__name__}:create_app.",
        )
    return apps[0]


def named_app(module: ModuleType, name: str) -> FastAPI:
    """Return the module's app of that name, or what the function of that name returns."""
    from fastapi import FastAPI

    missing = object()
    thing = getattr(module, name.removesuffix("()"), missing)
    if thing is missing:
        raise AppError(f"{module.__name__} has no {name!r} in it.", do=likely(module))
    if callable(thing) and not isinstance(thing, FastAPI):
        thing = thing()
    if not isinstance(thing, FastAPI):
        raise AppError(f"{module.__name__}:{name} is {type(thing).__name__}, not a FastAPI app.", do=likely(module))
    return thing


def likely(module: ModuleType) -> str:
    """Say which variable was probably meant."""
    from fastapi import FastAPI

    names = [name for name in dir(module) if isinstance(getattr(module, name), FastAPI)]
    return f"Its FastAPI app is called {names[0]!r}." if names else NAMING
