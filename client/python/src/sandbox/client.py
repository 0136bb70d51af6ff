"""`HTTPServiceClient`: one method per route of the wire protocol.

Every method whose route answers with an envelope returns that envelope,
whatever its code and HTTP status: a tool that failed, a session that does not
exist, a call that timed out in the server are answers. The routes with bare
answers (tools, warm-up, shutdown) return them, and raise `HTTPClientError`
when the server refuses. No answer at all raises `SandboxConnectionError`.

How a request is sent, and when it may be repeated, is `transport.py`; for those
that run tools, `once.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from .config import HTTPClientConfig
from .errors import HTTPClientError, SandboxConnectionError, SandboxSessionError
from .once import post_once
from .protocol import DEFAULT_SERVER_URL, Envelope, HTTPEndpoints, is_envelope, objects
from .transport import Answer, Transport

__all__ = [
    "HTTPClientConfig",
    "HTTPClientError",
    "HTTPServiceClient",
    "create_client",
    "quick_execute",
]

_log = logging.getLogger("sandbox")

#: Seconds that an answer may take beyond the tool's own limit: the backend is
#: perhaps warmed up first, and a session made and cleaned up.
ANSWER_MARGIN = 30.0
#: Seconds to wait for `/health` and `/ready`, which never have anything to do.
PROBE_TIMEOUT = 5.0


class HTTPServiceClient:
    """The routes of one server, called in the name of one worker.

    Args:
        base_url: The server's address.
        worker_id: Whose sessions these are; made up when absent.
        timeout: Seconds to wait for an answer, when the call itself names no
            longer limit.
        config: All settings at once; the other arguments are then ignored.
        api_key: Sent as a bearer token; `SANDBOX_API_KEY` when absent.

    Raises:
        SandboxConnectionError: If `base_url` is not an address.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_SERVER_URL,
        worker_id: str | None = None,
        timeout: float = 60.0,
        config: HTTPClientConfig | None = None,
        api_key: str | None = None,
    ) -> None:
        self.config = config or HTTPClientConfig(
            base_url=base_url, worker_id=worker_id, timeout=timeout, api_key=api_key
        )
        self._transport = Transport(
            self.config.base_url,
            api_key=self.config.api_key,
            attempts=self.config.max_retries,
            retry_delay=self.config.retry_delay,
        )
        self._heartbeats: asyncio.Task[None] | None = None

    @property
    def worker_id(self) -> str:
        """Whose sessions these are."""
        return self.config.worker_id or ""

    @property
    def base_url(self) -> str:
        """The server's address, without a slash at its end."""
        return self.config.base_url.rstrip("/")

    async def __aenter__(self) -> HTTPServiceClient:
        await self.connect()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # Connection.

    async def connect(self) -> None:
        """Makes sure that a server answers.

        Raises:
            SandboxConnectionError: If none does.
        """
        answer = await self._transport.request(
            "GET", HTTPEndpoints.HEALTH, wait=PROBE_TIMEOUT, repeatable=True
        )
        if answer.status != 200:
            raise SandboxConnectionError(
                f"{self.base_url} is not healthy: HTTP {answer.status}", answer.status
            )
        if self.config.auto_heartbeat and self._heartbeats is None:
            self._heartbeats = asyncio.create_task(self._beat())

    async def close(self, destroy_sessions: bool = False) -> None:
        """Closes the connections; sessions live on unless `destroy_sessions`."""
        if self._heartbeats is not None:
            self._heartbeats.cancel()
            self._heartbeats = None
        if destroy_sessions:
            try:
                await self.destroy_all_sessions()
            except HTTPClientError as error:
                # They expire by themselves; closing must not fail over them.
                _log.warning("sessions of %s were not destroyed: %s", self.worker_id, error)
        await self._transport.aclose()

    async def readiness(self) -> str:
        """What `/ready` says: `ready`, `starting`, `draining`.

        `silent` if it says nothing in time, `absent` if nobody is there to say it.
        """
        try:
            answer = await self._transport.request(
                "GET", HTTPEndpoints.READY, wait=PROBE_TIMEOUT, attempts=1
            )
        except SandboxConnectionError as error:
            # Who takes a request and is slow to answer it is there.
            slow = error.may_have_run and isinstance(error.__cause__, httpx.TimeoutException)
            return "silent" if slow else "absent"
        status = answer.body.get("status")
        return status if isinstance(status, str) else "absent"

    async def heartbeat(self) -> Envelope:
        """Says that this worker is alive. Does not keep its sessions alive."""
        return await self._post(HTTPEndpoints.HEARTBEAT, {}, repeatable=True)

    # Calls.

    async def execute(
        self,
        action: str,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> Envelope:
        """Runs one tool and returns its envelope, failed or not.

        Runs once: sent again only when the first try could not even connect, or when
        its connection was lost and the server recognises it. Giving up, at the client's
        timeout or because the task is cancelled, cancels the call.

        Args:
            action: The tool's name, such as `bash:run`.
            params: Its parameters.
            timeout: Seconds that the tool may run; its own default otherwise.
        """
        params = dict(params or {})
        return await self._post(
            HTTPEndpoints.EXECUTE,
            {"action": action, "params": params, "timeout": timeout},
            wait=self._wait_for(timeout, params),
            once=True,
        )

    async def execute_stream(
        self,
        action: str,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[tuple[str, Any], None]:
        """Runs one tool and yields what happens, the last of it its envelope.

        Events are pairs: `("progress", {"done", "total", "message"})`,
        `("output", {"chunk"})`, `("missed", {"count"})` for events that were not read in
        time, and `("result", envelope)`. Leaving the loop early cancels the call. Never
        sent twice.

        Args:
            action: The tool's name, such as `bash:run`.
            params: Its parameters.
            timeout: Seconds that the tool may run; its own default otherwise.
        """
        params = dict(params or {})
        body = {"worker_id": self.worker_id, "action": action, "params": params, "timeout": timeout}
        wait = self._wait_for(timeout, params)
        events = self._transport.stream(HTTPEndpoints.EXECUTE, wait=wait, body=body)
        try:
            async for event, data in events:
                if not isinstance(data, dict) or (event == "result" and not is_envelope(data)):
                    raise self._foreign(Answer(200, {event: data}))
                yield event, data
        finally:
            # Now, and not when the garbage is collected: leaving cancels the call.
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
        # Even parallel ones may run one after the other on a busy server.
        waits = [self._wait_for(each.get("timeout"), each.get("params")) for each in actions]
        return await self._post(
            HTTPEndpoints.EXECUTE_BATCH,
            {
                "actions": [dict(each) for each in actions],
                "parallel": parallel,
                "stop_on_error": stop_on_error,
            },
            wait=max(self.config.timeout, sum(waits)),
            once=True,
        )

    # Sessions.

    async def create_session(
        self,
        resource_type: str,
        session_config: Mapping[str, Any] | None = None,
        custom_name: str | None = None,
        ttl: float | None = None,
        auto_extend: bool = True,
    ) -> Envelope:
        """Makes this worker's session of a resource type, or finds the one it has.

        Args:
            resource_type: The backend, such as `bash`.
            session_config: Laid over the server's configuration, key by key.
            custom_name: Becomes the end of the session's name.
            ttl: Seconds without a call until it expires; the server's default otherwise.
            auto_extend: Whether a call starts that time anew.
        """
        body: dict[str, Any] = {
            "resource_type": resource_type,
            "session_config": dict(session_config or {}),
            "custom_name": custom_name,
            "auto_extend": auto_extend,
        }
        if ttl is not None:
            body["ttl"] = ttl
        return await self._post(HTTPEndpoints.SESSION_CREATE, body, wait=self._lifecycle_wait)

    async def destroy_session(self, resource_type: str) -> Envelope:
        """Ends this worker's session of a resource type."""
        return await self._post(
            HTTPEndpoints.SESSION_DESTROY,
            {"resource_type": resource_type},
            wait=self._lifecycle_wait,
        )

    async def destroy_all_sessions(self) -> Envelope:
        """Ends all sessions of this worker."""
        return await self._post(HTTPEndpoints.WORKER_DISCONNECT, {}, wait=self._lifecycle_wait)

    async def list_sessions(self) -> list[dict[str, Any]]:
        """This worker's sessions.

        Raises:
            SandboxSessionError: If the server refuses.
        """
        answer = await self._answer(HTTPEndpoints.SESSION_LIST, {}, repeatable=True)
        envelope = answer.body
        if envelope["code"] != 0:
            raise SandboxSessionError(
                f"cannot list sessions: {envelope['message']}", answer.status, envelope
            )
        data = envelope.get("data")
        listed = data.get("sessions") if isinstance(data, dict) else None
        sessions = objects(listed, "resource_type")
        if sessions is None:
            raise self._foreign(answer)
        return sessions

    async def refresh_session(self, resource_type: str | None = None) -> Envelope:
        """Starts the time to live of one session, or of all, anew."""
        body = {"resource_type": resource_type} if resource_type else {}
        return await self._post(HTTPEndpoints.SESSION_REFRESH, body, repeatable=True)

    async def get_status(self) -> Envelope:
        """This worker's sessions, and how many tools there are."""
        return await self._post(HTTPEndpoints.STATUS, {}, repeatable=True)

    async def init_resource(
        self, resource_type: str, init_config: Mapping[str, Any] | None = None
    ) -> Envelope:
        """As `create_session`, without a name."""
        return await self._post(
            HTTPEndpoints.INIT_RESOURCE,
            {"resource_type": resource_type, "init_config": dict(init_config or {})},
            wait=self._lifecycle_wait,
        )

    async def init_batch(self, resource_configs: Mapping[str, Mapping[str, Any]]) -> Envelope:
        """Makes several sessions in one request."""
        return await self._post(
            HTTPEndpoints.INIT_BATCH,
            {"resource_configs": {name: dict(each) for name, each in resource_configs.items()}},
            wait=self._lifecycle_wait,
        )

    async def init_from_config(
        self, config_path: str, override_params: Mapping[str, Any] | None = None
    ) -> Envelope:
        """Reads a JSON file that lies below the server's configuration directory."""
        return await self._post(
            HTTPEndpoints.INIT_FROM_CONFIG,
            {"config_path": config_path, "override_params": dict(override_params or {})},
        )

    # Tools and the server. Bare answers from here on.

    async def list_tools(self, include_hidden: bool = False) -> list[dict[str, Any]]:
        """All tools, with their schemas."""
        query = {"include_hidden": "true" if include_hidden else "false"}
        body = await self._bare("GET", HTTPEndpoints.TOOLS_LIST, query=query, has="tools")
        tools = objects(body["tools"], "name")
        if tools is None:
            raise self._foreign(Answer(200, body))
        return tools

    async def get_tool_schema(self, tool_name: str) -> dict[str, Any]:
        """One tool, with its schema.

        Raises:
            HTTPClientError: If there is no such tool.
        """
        path = HTTPEndpoints.TOOLS_SCHEMA.format(tool_name=quote(tool_name, safe=":"))
        return await self._bare("GET", path, has="input_schema")

    async def warmup(self, backends: Sequence[str] | None = None) -> dict[str, Any]:
        """Warms up the named backends, or all."""
        body = {"backends": None if backends is None else list(backends)}
        return await self._bare(
            "POST", HTTPEndpoints.WARMUP, body, wait=self._lifecycle_wait, has="status"
        )

    async def get_warmup_status(self) -> dict[str, Any]:
        """Which backends are loaded, and which are warm."""
        return await self._bare("GET", HTTPEndpoints.WARMUP_STATUS, has="backends")

    async def shutdown_server(
        self, force: bool = False, cleanup_sessions: bool = True
    ) -> dict[str, Any]:
        """Asks the server to stop; it answers first, then ends its calls and exits."""
        body = {"force": force, "cleanup_sessions": cleanup_sessions}
        return await self._bare(
            "POST", HTTPEndpoints.SHUTDOWN, body, wait=self._lifecycle_wait, has="status"
        )

    # Below the routes.

    @property
    def _lifecycle_wait(self) -> float:
        return max(self.config.timeout, self.config.lifecycle_timeout)

    def _wait_for(self, timeout: Any, params: Any) -> float:
        """Seconds to wait for a call: longer than the tool may run.

        A tool's limit may also be one of its own parameters (`bash:run` has
        such a `timeout`). Where that means milliseconds this waits too long,
        which harms nobody: the server ends the call in time.
        """
        own = params.get("timeout") if isinstance(params, Mapping) else None
        limits = [limit + ANSWER_MARGIN for limit in (_seconds(timeout), _seconds(own)) if limit]
        return max([self.config.timeout, *limits])

    async def _post(
        self,
        path: str,
        body: dict[str, Any],
        *,
        wait: float | None = None,
        repeatable: bool = False,
        once: bool = False,
    ) -> Envelope:
        answer = await self._answer(path, body, wait=wait, repeatable=repeatable, once=once)
        return answer.body

    async def _answer(
        self,
        path: str,
        body: dict[str, Any],
        *,
        wait: float | None = None,
        repeatable: bool = False,
        once: bool = False,
    ) -> Answer:
        body = {"worker_id": self.worker_id, **body}
        wait = wait or self.config.timeout
        if once:
            answer = await post_once(self._transport, path, wait=wait, body=body)
        else:
            answer = await self._transport.request(
                "POST", path, body=body, wait=wait, repeatable=repeatable
            )
        if not is_envelope(answer.body):
            raise self._foreign(answer)
        return answer

    async def _bare(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        has: str,
        wait: float | None = None,
        query: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        answer = await self._transport.request(
            method,
            path,
            body=body,
            query=query,
            wait=wait or self.config.timeout,
            repeatable=method == "GET",
        )
        if answer.status < 400 and has in answer.body:
            return answer.body
        if answer.status >= 400 and is_envelope(answer.body):
            raise HTTPClientError(str(answer.body["message"]), answer.status, answer.body)
        raise self._foreign(answer)

    def _foreign(self, answer: Answer) -> SandboxConnectionError:
        return SandboxConnectionError(
            f"{self.base_url} answered HTTP {answer.status} with JSON that is not of the sandbox "
            f"protocol: {str(answer.body)[:200]}",
            answer.status,
            may_have_run=True,
        )

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.config.heartbeat_interval)
            with contextlib.suppress(SandboxConnectionError):
                await self.heartbeat()


def _seconds(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) and value > 0 else None


async def quick_execute(
    action: str,
    params: Mapping[str, Any] | None = None,
    base_url: str = DEFAULT_SERVER_URL,
    worker_id: str | None = None,
) -> Envelope:
    """Connects, runs one tool, and closes."""
    async with HTTPServiceClient(base_url=base_url, worker_id=worker_id) as client:
        return await client.execute(action, params)


def create_client(base_url: str = DEFAULT_SERVER_URL, **options: Any) -> HTTPServiceClient:
    """`HTTPServiceClient(base_url, ...)`."""
    return HTTPServiceClient(base_url=base_url, **options)
