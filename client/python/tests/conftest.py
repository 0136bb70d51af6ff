"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from live import free_url, write_config
from loopback import Loopback, loopback, protocol

from sandbox import Sandbox


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's key or proxy must not decide what a test sees."""
    monkeypatch.delenv("SANDBOX_API_KEY", raising=False)
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback(protocol) as running:
        yield running


@pytest.fixture(scope="session")
def binary() -> str:
    """The real server's executable.

    Its tests fail without it: leaving them out would say nothing about the two
    working together.
    """
    path = os.environ.get("SANDBOX_BINARY")
    if not path:
        pytest.fail("set SANDBOX_BINARY to the sandbox server's executable to run this test")
    return path


@pytest.fixture
def url() -> Iterator[str]:
    """Where a test may start a server."""
    with free_url() as url:
        yield url


@pytest.fixture(scope="module")
def owner(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Starts the real server that all tests of a module share."""
    path = write_config(tmp_path_factory.mktemp("server"))
    with (
        free_url() as url,
        Sandbox(url, auto_start_server=True, binary=binary, server_config_path=path) as started,
    ):
        yield started
