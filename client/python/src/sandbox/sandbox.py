"""`Sandbox`: what an agent program uses.

It joins a client (`client.py`), a server that it finds or starts (`reach.py`), and
summaries of session operations (`reports.py`); every asynchronous method has a
blocking twin (`sync.py`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from . import reports, server
from .client import HTTPServiceClient
from .config import DEFAULT_SERVER_CONFIG, SandboxConfig, get_default_config
from .errors import (
    SandboxConnectionError,
    SandboxError,
    SandboxServerStartError,
    SandboxSessionError,
)
from .protocol import DEFAULT_SERVER_URL, Envelope
from .reach import reach
from .reports import Resources
from .sync import stream_twin, twin

__all__ = [
    "DEFAULT_SERVER_CONFIG",
    "Sandbox",
    "SandboxConfig",
    "SandboxConnectionError",
    "SandboxError",
    "SandboxServerStartError",
    "SandboxSessionError",
    "create_sandbox",
    "get_default_config",
]

_log = logging.getLogger("sandbox")

# Held for an instant, where a sandbox's client and server change together. Not the
# sandbox's own: a program may copy one, or pickle it for another process.
_changing = threading.Lock()


class Sandbox:
    """One worker's view of a sandbox server.

    Use it as a context manager, or call `start()` and `close()`::

        async with Sandbox() as sandbox:
            result = await sandbox.execute("bash:run", {"command": "echo hello"})

    A tool's own failure is an answer (`result["code"] != 0`), not an exception.

    Args:
        server_url: The server's address.
        worker_id: Whose sessions these are; made up when absent.
        config: All settings at once; the other arguments are then ignored.
        warmup_resources: Backends that `start()` warms up.
        **options: Any other field of `SandboxConfig`.
    """

    def __init__(
        self,
        server_url: str = DEFAULT_SERVER_URL,
        worker_id: str | None = None,
        config: SandboxConfig | None = None,
        warmup_resources: str | Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        self._config = config or SandboxConfig(
            server_url=server_url,
            worker_id=worker_id,
            warmup_resources=warmup_resources,
            **options,
        )
        self._client: HTTPServiceClient | None = None
        self._server: server.ServerProcess | None = None
        if self._config.log_level:
            _log.setLevel(self._config.log_level.upper())

    def __repr__(self) -> str:
        state = "started" if self.is_started else "not started"
        return f"Sandbox(worker_id={self.worker_id!r}, server={self.server_url!r}, {state})"

    @property
    def worker_id(self) -> str:
        """Whose sessions these are."""
        return self._config.worker_id or ""

    @property
    def server_url(self) -> str:
        """The server's address."""
        return self._config.server_url

    @property
    def is_started(self) -> bool:
        """Whether `start()` was called, and `close()` not yet."""
        return self._client is not None

    @property
    def is_connected(self) -> bool:
        """The same as `is_started`: connections come and go by themselves."""
        return self.is_started

    @property
    def client(self) -> HTTPServiceClient | None:
        """The client underneath, once started."""
        return self._client

    # Life.

    async def start(self, warmup_resources: str | Sequence[str] | None = None) -> Sandbox:
        """Finds the server, or starts one, and waits until it is ready.

        Args:
            warmup_resources: One backend or several to warm up, instead of the
                configured ones. One that cannot be is logged, and reported by its calls.

        Raises:
            SandboxConnectionError: If no server is there and none may be started.
            SandboxServerStartError: If the one started here does not get ready.
            HTTPClientError: If the server refuses to warm up, for want of a key for one.
        """
        if self._client is not None:
            return self
        client = HTTPServiceClient(config=self._config.client_config())
        leased: server.ServerProcess | None = None
        try:
            leased = await reach(client, self._config)
            backends = warmup_resources or self._config.warmup_resources
            if backends:
                outcome = await client.warmup(_names(backends))
                if outcome.get("status") != "success":
                    _log.warning("not all of %s could be warmed up: %s", backends, outcome)
        except BaseException:
            await client.close()
            await _release(leased)
            raise
        with _changing:
            # One of several that start at the same time; the others step back.
            # None waits for another: that may run on the loop that would wait.
            if self._client is None:
                self._client, self._server = client, leased
                return self
        await client.close()
        await _release(leased)
        return self

    async def close(self, destroy_sessions: bool = False) -> None:
        """Closes the connections, and stops the server if it was started here.

        Args:
            destroy_sessions: End this worker's sessions too. Otherwise they
                live on in a server that lives on, until they expire.
        """
        with _changing:
            client, self._client = self._client, None
            leased, self._server = self._server, None
        try:
            if client is not None:
                await client.close(destroy_sessions=destroy_sessions)
        finally:
            await _release(leased)

    async def shutdown_server(
        self, force: bool = False, cleanup_sessions: bool = True
    ) -> dict[str, Any]:
        """Stops the server, whoever started it, and closes this sandbox.

        Args:
            force: Do not wait for running calls.
            cleanup_sessions: End all sessions properly first.

        Raises:
            HTTPClientError: If the server refuses.
        """
        result = await self._started().shutdown_server(force, cleanup_sessions)
        if self._server is not None:
            await asyncio.to_thread(self._server.wait_or_kill)
        await self.close()
        return result

    async def __aenter__(self) -> Sandbox:
        return await self.start()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __enter__(self) -> Sandbox:
        return self.start_sync()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close_sync()

    # Calls.

    async def execute(
        self,
        /,
        action: str,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Envelope:
        """Runs one tool, once, and returns its envelope, failed or not.

        Args:
            action: The tool's name, such as `bash:run`.
            params: Its parameters.
            timeout: Seconds that the tool may run; its own default otherwise.
            **kwargs: More parameters; `params` wins, and None counts as absent.
        """
        merged = {name: value for name, value in kwargs.items() if value is not None}
        merged.update(params or {})
        return await self._started().execute(action, merged, timeout)

    async def execute_stream(
        self,
        /,
        action: str,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[tuple[str, Any], None]:
        """Runs one tool and yields what happens, the last of it its envelope.

        Events are `progress`, `output`, `missed` and, last, `result`. Leaving the loop
        early cancels the call. The arguments are those of `execute`::

            async for event, data in sandbox.execute_stream("bash:run", command="make"):
                if event == "output":
                    print(data["chunk"], end="")
        """
        merged = {name: value for name, value in kwargs.items() if value is not None}
        merged.update(params or {})
        events = self._started().execute_stream(action, merged, timeout)
        try:
            async for event, data in events:
                yield event, data
        finally:
            await events.aclose()

    async def execute_batch(
        self,
        actions: Sequence[Mapping[str, Any]],
        parallel: bool = False,
        stop_on_error: bool = True,
    ) -> Envelope:
        """Runs several tools in one request; `data.results` has their envelopes.

        Args:
            actions: `{"action": ..., "params": {...}, "timeout": ...}` each.
            parallel: Run them at the same time.
            stop_on_error: Leave out those after the first that fails.
        """
        return await self._started().execute_batch(actions, parallel, stop_on_error)

    # Sessions.

    async def create_session(
        self,
        resources: Resources,
        config: Mapping[str, Any] | None = None,
        *,
        custom_name: str | None = None,
        ttl: float | None = None,
    ) -> dict[str, Any]:
        """Makes one session, or several at the same time.

        Args:
            resources: A name, a list of names, or names with their configs.
            config: The config, unless `resources` has them.
            custom_name: Becomes the end of the session's name. The key
                `custom_name` in a config does the same for that session.
            ttl: Seconds without a call until they expire.

        Returns:
            `{"status": "success" | "partial" | "error", "total", "success",
            "create_time_ms", "sessions": {name: {"status", "session_id", ...}}}`

        Raises:
            SandboxSessionError: If `resources` is none of these.
        """
        began = time.perf_counter()
        client = self._started()

        async def create(name: str, own: dict[str, Any]) -> dict[str, Any]:
            called = own.pop("custom_name", None) or custom_name
            return reports.created(await client.create_session(name, own, called, ttl), own)

        wanted = reports.requested(resources, config)
        outcomes = await _all_of([create(name, own) for name, own in wanted.items()])
        sessions = dict(zip(wanted, outcomes))
        succeeded = reports.count_successes(sessions)
        incomplete = "partial" if succeeded else "error"
        return {
            "status": "success" if succeeded == len(sessions) else incomplete,
            "create_time_ms": (time.perf_counter() - began) * 1000,
            "total": len(sessions),
            "success": succeeded,
            "sessions": sessions,
        }

    async def destroy_session(
        self, resources: str | list[str] | tuple[str, ...] | None = None
    ) -> dict[str, Any]:
        """Ends one session, several, or (without an argument) all of this worker's.

        Returns:
            `{"status": "success" | "partial", "total", "success",
            "details": {name: {"status", "session_id" | "error", ...}}}`
        """
        client = self._started()
        if resources is None:
            names = [str(each["resource_type"]) for each in await client.list_sessions()]
        else:
            names = list(reports.requested(resources, None))
        outcomes = await _all_of([client.destroy_session(name) for name in names])
        details = {name: reports.destroyed(each) for name, each in zip(names, outcomes)}
        succeeded = reports.count_successes(details)
        return {
            "status": "success" if succeeded == len(details) else "partial",
            "total": len(details),
            "success": succeeded,
            "details": details,
        }

    async def list_sessions(self) -> list[dict[str, Any]]:
        """This worker's sessions."""
        return await self._started().list_sessions()

    async def refresh_sessions(self, resource_type: str | None = None) -> Envelope:
        """Starts the time to live of one session, or of all, anew."""
        return await self._started().refresh_session(resource_type)

    async def reinitialize(
        self, resource_type: str, new_config: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Replaces one session by a fresh one; the others are left alone.

        Returns:
            `{"status", "resource_type", "old_session_id"}` with
            `new_session_id`, `new_session_name`, `config_applied` and
            `reinit_time_ms`, or with `error`.
        """
        began = time.perf_counter()
        client = self._started()
        config = dict(new_config or {})
        custom_name = config.pop("custom_name", None)
        old = await client.destroy_session(resource_type)
        new = await client.create_session(resource_type, config, custom_name)
        elapsed_ms = (time.perf_counter() - began) * 1000
        return reports.reinitialized(resource_type, old, new, config, elapsed_ms)

    # What there is.

    async def get_tools(self, include_hidden: bool = False) -> list[dict[str, Any]]:
        """All tools, with their schemas."""
        return await self._started().list_tools(include_hidden)

    async def get_tool_schema(self, tool_name: str) -> dict[str, Any]:
        """One tool, with its schema.

        Raises:
            HTTPClientError: If there is no such tool.
        """
        return await self._started().get_tool_schema(tool_name)

    async def get_status(self) -> Envelope:
        """This worker's sessions, and how many tools there are."""
        return await self._started().get_status()

    async def warmup(self, resources: str | Sequence[str] | None = None) -> dict[str, Any]:
        """Warms up one backend, several, or all, so that no call has to wait for it."""
        return await self._started().warmup(None if resources is None else _names(resources))

    async def get_warmup_status(self) -> dict[str, Any]:
        """Which backends are loaded, and which are warm."""
        return await self._started().get_warmup_status()

    # The blocking twins.

    start_sync = twin(start)
    close_sync = twin(close)
    shutdown_server_sync = twin(shutdown_server)
    execute_sync = twin(execute)
    execute_stream_sync = stream_twin(execute_stream)
    execute_batch_sync = twin(execute_batch)
    create_session_sync = twin(create_session)
    destroy_session_sync = twin(destroy_session)
    list_sessions_sync = twin(list_sessions)
    refresh_sessions_sync = twin(refresh_sessions)
    reinitialize_sync = twin(reinitialize)
    get_tools_sync = twin(get_tools)
    get_tool_schema_sync = twin(get_tool_schema)
    get_status_sync = twin(get_status)
    warmup_sync = twin(warmup)
    get_warmup_status_sync = twin(get_warmup_status)

    # The server's configuration and log.

    def get_server_config(self) -> dict[str, Any]:
        """The configuration that `auto_start_server` would serve."""
        return server.load_config(self._config.server_config_path)

    def save_server_config(self, config: Mapping[str, Any], path: str) -> None:
        """Writes a server configuration."""
        Path(path).write_text(json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8")

    @staticmethod
    def create_config_template(path: str) -> None:
        """Writes `DEFAULT_SERVER_CONFIG`, to begin from."""
        Path(path).write_text(json.dumps(DEFAULT_SERVER_CONFIG, indent=2), encoding="utf-8")

    def get_server_log(self, tail_lines: int = 100) -> str | None:
        """The end of what the server printed; None if it was not started here."""
        return None if self._server is None else self._server.output(tail_lines)

    def _started(self) -> HTTPServiceClient:
        if self._client is None:
            raise SandboxConnectionError(
                "not started: call start(), or use it as a context manager"
            )
        return self._client


def _names(resources: str | Sequence[str]) -> Sequence[str]:
    return [resources] if isinstance(resources, str) else resources


async def _release(leased: server.ServerProcess | None) -> None:
    if leased is not None:
        await asyncio.to_thread(server.release, leased)


async def _all_of(
    calls: Sequence[Coroutine[Any, Any, dict[str, Any]]],
) -> list[dict[str, Any]]:
    """Runs them at the same time; all have ended when the first error is raised."""
    results = []
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results


def create_sandbox(server_url: str = DEFAULT_SERVER_URL, **options: Any) -> Sandbox:
    """`Sandbox(server_url, ...)`."""
    return Sandbox(server_url=server_url, **options)


def _forget_parent() -> None:
    # It may have been held at the fork.
    global _changing
    _changing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
