"""The descriptions are OpenAPI 3.1, as a validator of others understands it."""

from __future__ import annotations

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from conftest import Server


@pytest.mark.parametrize("path", ["/openapi.json", "/openapi/tools.json"])
def test_a_description_is_valid(server: Server, path: str) -> None:
    faults = list(OpenAPIV31SpecValidator(server.get(path)).iter_errors())
    assert not faults
