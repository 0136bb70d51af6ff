"""Requests that run tools: sent with a key, by which the server runs each once.

When the connection of one is lost, the server is asked again, but only for what
it knows: `Idempotency-Repeat` keeps one that knows nothing of the first try (it
has forgotten it, was started anew, or is another one at the same address) from
running it a second time. Only an answer that the server says is the call's own
(`Idempotency-Replayed`) counts then: a rate limit or a proxy that answers in its
place tells nothing of the first try. Servers say with every answer that they
know keys; one that has not yet said so is not asked again.

Who stops waiting says so (`Idempotency-Abandon`). The server would otherwise let
the call run on for a while, for a client that comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from typing import Any

import httpx

from .errors import SandboxConnectionError, SandboxError
from .transport import Answer, Transport, encode, is_cut_off

_KEY = "Idempotency-Key"
_INSTANCE = "Idempotency-Instance"
_REPEAT = "Idempotency-Repeat"
_REPLAYED = "Idempotency-Replayed"
_ABANDON = "Idempotency-Abandon"

#: Seconds that saying so may take: who gave up has waited long enough.
FAREWELL = 2.0

# Tasks that say so; asyncio itself holds them only weakly.
_farewells: set[asyncio.Task[None]] = set()


class _Call:
    """One request, with all its tries."""

    def __init__(self, transport: Transport, path: str, body: dict[str, Any], wait: float) -> None:
        self._transport = transport
        self._path = path
        self._content = encode(body)
        self._worker_id = body.get("worker_id")
        self._wait = wait
        self._key = uuid.uuid4().hex
        self._headers = {_KEY: self._key}
        #: Who answered last when this was sent: later it may be another one.
        self._instance = transport.instance
        #: Whether a try may have reached the server.
        self._sent = False

    async def answer(self) -> Answer:
        try:
            return await self._tries()
        except asyncio.CancelledError:
            if self._sent:
                await self._abandon()
            raise

    async def _tries(self) -> Answer:
        transport = self._transport
        lost: SandboxConnectionError | None = None
        for attempt in range(1, transport.attempts + 1):
            last = attempt == transport.attempts
            try:
                response = await self._send()
            except httpx.HTTPError as error:
                failure = transport.failure(error, self._wait)
                if isinstance(error, httpx.TimeoutException) and self._sent:
                    await self._abandon()
                if failure.may_have_run:
                    lost = lost or failure
                    if last or not self._instance or not is_cut_off(error):
                        raise lost from error
                    self._headers = {_KEY: self._key, _INSTANCE: self._instance, _REPEAT: "true"}
                elif last or not isinstance(error, httpx.ConnectError):
                    raise (lost or failure) from error
                await transport.pause(attempt, error)
            else:
                if lost is None or _REPLAYED in response.headers:
                    return transport.decode(response)
                # Those two refused before anybody looked for the call.
                if last or response.status_code not in (429, 503):
                    raise lost
                await transport.pause(attempt, lost)
        raise AssertionError("the last attempt returns or raises")

    async def _send(self) -> httpx.Response:
        async def trace(event: str, _: Any) -> None:
            self._sent = self._sent or event.endswith("send_request_headers.started")

        response = await self._transport.send(
            "POST",
            self._path,
            content=self._content,
            headers=self._headers,
            wait=self._wait,
            extensions={"trace": trace},
        )
        self._transport.instance = response.headers.get(_INSTANCE, self._transport.instance)
        return response

    async def _abandon(self) -> None:
        """Returns when the server has cancelled the call, or cannot be told in time."""
        task = asyncio.ensure_future(self._say_so())
        _farewells.add(task)
        task.add_done_callback(_farewells.discard)
        # Being cancelled (again) ends this wait, not the task.
        await asyncio.wait({task}, timeout=FAREWELL)

    async def _say_so(self) -> None:
        # Not the request itself: what does not know the header must find nothing in it to run.
        content = json.dumps({"worker_id": self._worker_id}).encode()
        headers = {_KEY: self._key, _ABANDON: "true"}
        with contextlib.suppress(httpx.HTTPError, asyncio.TimeoutError, SandboxError):
            sending = self._transport.send(
                "POST", self._path, content=content, headers=headers, wait=FAREWELL
            )
            await asyncio.wait_for(sending, FAREWELL)


async def post_once(
    transport: Transport, path: str, *, wait: float, body: dict[str, Any]
) -> Answer:
    """Posts what runs tools, and returns the answer, whatever the status.

    Args:
        transport: The way to the server.
        path: Below the server's address.
        wait: Seconds without a byte from the server until giving up.
        body: Sent as JSON.

    Raises:
        SandboxConnectionError: If no answer of the call came back.
    """
    return await _Call(transport, path, body, wait).answer()
