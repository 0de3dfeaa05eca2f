"""The API as a whole: what it needs to be put together."""

from __future__ import annotations

import pytest

from anzol.api.whole import check_fastapi
from anzol.errors import AppError


@pytest.mark.parametrize("there", ["0.118.0", "0.165.0", "1.0.0", "0.118.1rc1"])
def test_a_fastapi_that_can_serve_the_api_is_taken(there: str) -> None:
    check_fastapi(there)


@pytest.mark.parametrize("there", ["0.115.0", "0.117.1"])
def test_an_older_fastapi_is_refused_with_what_to_do(there: str) -> None:
    with pytest.raises(AppError, match=f"needs FastAPI 0.118 or newer; this one is {there}. pip install"):
        check_fastapi(there)
