"""The settings of both clients, and where the environment is read.

`SANDBOX_API_KEY` stands in for a missing `api_key`. (`SANDBOX_BINARY` is read
by `server.py`, and only when a server is to be started.)
"""

from __future__ import annotations

import copy
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .protocol import DEFAULT_SERVER_URL

#: What `auto_start_server` serves when no `server_config_path` is given: the
#: one backend that needs nothing but the server's own files.
DEFAULT_SERVER_CONFIG: dict[str, Any] = {
    "server": {
        "title": "Sandbox",
        "description": "Started by the Python client",
        "session_ttl": 300,
    },
    "resources": {
        "bash": {
            "enabled": True,
            "backend_class": "bash",
            "description": "A shell per session",
        }
    },
    "apis": {},
}


def get_default_config() -> dict[str, Any]:
    """A copy of `DEFAULT_SERVER_CONFIG` that may be changed freely."""
    return copy.deepcopy(DEFAULT_SERVER_CONFIG)


def _new_worker_id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:8]}"


@dataclass
class HTTPClientConfig:
    """Settings of `HTTPServiceClient`.

    Attributes:
        base_url: The server's address.
        timeout: Seconds to wait for an answer, when the call itself names no
            longer limit.
        max_retries: How often to try at most. Only what cannot have run, or
            only reads, is ever tried again.
        retry_delay: Seconds before the second try; each further one waits as
            much longer.
        auto_heartbeat: Send a heartbeat while connected. It does not keep
            sessions alive; use `refresh_session` for that.
        heartbeat_interval: Seconds between heartbeats.
        worker_id: Whose sessions these are; made up when absent.
        api_key: Sent as a bearer token; `SANDBOX_API_KEY` when absent.
        lifecycle_timeout: Seconds to wait for warm-up, creating and destroying
            sessions and shutdown, which the server limits itself.
    """

    base_url: str = DEFAULT_SERVER_URL
    timeout: float = 60.0
    max_retries: int = 3
    retry_delay: float = 0.2
    auto_heartbeat: bool = False
    heartbeat_interval: float = 30.0
    worker_id: str | None = None
    api_key: str | None = field(default=None, repr=False)
    lifecycle_timeout: float = 300.0

    def __post_init__(self) -> None:
        self.worker_id = self.worker_id or _new_worker_id("worker")
        self.api_key = self.api_key or os.environ.get("SANDBOX_API_KEY")


@dataclass
class SandboxConfig:
    """Settings of `Sandbox`.

    Attributes:
        server_url: The server's address.
        worker_id: Whose sessions these are; made up when absent.
        timeout: Seconds to wait for an answer, when the call itself names no
            longer limit.
        auto_start_server: Start a server when none answers at `server_url`.
        server_config_path: The started server's configuration file; without
            one it serves `DEFAULT_SERVER_CONFIG`.
        server_startup_timeout: Seconds until a server must be ready.
        server_check_interval: Longest pause between two looks at it.
        warmup_resources: Backends that `start()` warms up.
        retry_count: `HTTPClientConfig.max_retries`.
        log_level: Level for this package's logger; left alone when absent.
        api_key: Sent as a bearer token; `SANDBOX_API_KEY` when absent.
        binary: The server's executable, for `auto_start_server`.
        lifecycle_timeout: `HTTPClientConfig.lifecycle_timeout`.
    """

    server_url: str = DEFAULT_SERVER_URL
    worker_id: str | None = None
    timeout: float = 60.0
    auto_start_server: bool = False
    server_config_path: str | None = None
    server_startup_timeout: float = 30.0
    server_check_interval: float = 0.5
    warmup_resources: str | Sequence[str] | None = None
    retry_count: int = 3
    log_level: str | None = None
    api_key: str | None = field(default=None, repr=False)
    binary: str | None = None
    lifecycle_timeout: float = 300.0

    def __post_init__(self) -> None:
        self.worker_id = self.worker_id or _new_worker_id("sandbox")

    def client_config(self) -> HTTPClientConfig:
        """The part of these settings that the client underneath needs."""
        return HTTPClientConfig(
            base_url=self.server_url,
            timeout=self.timeout,
            max_retries=self.retry_count,
            worker_id=self.worker_id,
            api_key=self.api_key,
            lifecycle_timeout=self.lifecycle_timeout,
        )
