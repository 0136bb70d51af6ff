"""One request, one answer: HTTP below the client, with nothing of its routes.

**Never twice.** A request that may have reached the server is not sent again,
unless its caller said that repeating it is harmless (it only reads). Only a
failed *connect* proves that nothing was sent. Those that run tools have keys,
and may be asked for again: `once.py`.

The hard case is a kept-alive connection that the server closes: an idle one is
looked at before it is used, and dropped if the server has closed it; one that
closes in the instant between that look and the request cannot be told from a
server that died while it ran the call, so it is reported (`may_have_run`) where
it cannot be asked again. To make that instant rare, connections are given up
here after `KEEP_ALIVE` seconds without use, before a server would.

**One connection pool per event loop**, because an `httpx.AsyncClient` belongs
to the loop that it first ran on. One object thus serves `asyncio.run` after
`asyncio.run` (each closes its pool as it ends), several threads, and a forked
child, whose loops are new ones: it never writes to its parent's connections.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import json
import logging
import ssl
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import httpx

from .errors import SandboxConnectionError
from .events import read_events, read_json

_log = logging.getLogger("sandbox")

#: Seconds an unused connection is kept; below the idle limits of servers and proxies.
KEEP_ALIVE = 5.0
#: Seconds for a TCP (and TLS) handshake.
CONNECT_TIMEOUT = 10.0
#: Connections per event loop, below the usual limit of 1,024 open files; more
#: calls than that wait for their turn.
MAX_CONNECTIONS = 256

# Tasks that close another loop's pool; asyncio itself holds them only weakly.
_closing: set[asyncio.Task[None]] = set()


class Answer(NamedTuple):
    """A status and the JSON object that came with it."""

    status: int
    body: dict[str, Any]


def encode(body: dict[str, Any]) -> bytes:
    """The body of a request.

    What JSON cannot say is the caller's TypeError or ValueError, before
    anything is sent.
    """
    return json.dumps(body, allow_nan=False).encode()


class _Pool(NamedTuple):
    client: httpx.AsyncClient
    #: Closing this closes the client. Loops close such generators as they end.
    ending: AsyncGenerator[None, None]


class Transport:
    """The connections to one server.

    Raises:
        SandboxConnectionError: If `base_url` is not an http(s) address, or `api_key`
            cannot be sent.
    """

    def __init__(
        self, base_url: str, *, api_key: str | None, attempts: int, retry_delay: float
    ) -> None:
        self.base_url = _checked_url(base_url)
        self._api_key = _checked_key(api_key)
        self.attempts = max(1, attempts)
        self._retry_delay = retry_delay
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
        #: Names the server that keeps answers, once one has said so.
        self.instance: str | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        wait: float,
        body: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
        repeatable: bool = False,
        attempts: int | None = None,
    ) -> Answer:
        """Sends one request and returns its answer, whatever the status.

        Args:
            method: The HTTP method.
            path: Below the server's address.
            wait: Seconds without a byte from the server until giving up.
            body: Sent as JSON.
            query: The query string.
            repeatable: The request only reads, and may be sent twice.
            attempts: Overrides the number of tries.

        Raises:
            SandboxConnectionError: If no JSON object came back.
        """
        content = None if body is None else encode(body)
        limit = attempts or self.attempts
        lost: SandboxConnectionError | None = None
        for attempt in range(1, limit + 1):
            try:
                response = await self.send(method, path, content=content, query=query, wait=wait)
            except httpx.HTTPError as error:
                failure = self.failure(error, wait)
                if failure.may_have_run:
                    lost = lost or failure
                if attempt == limit or not _may_repeat(error, repeatable):
                    raise (lost or failure) from error
                await self.pause(attempt, error)
            else:
                return self.decode(response)
        raise AssertionError("the last attempt returns or raises")

    async def send(
        self,
        method: str,
        path: str,
        *,
        wait: float,
        content: bytes | None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        extensions: dict[str, Any] | None = None,
    ) -> httpx.Response:
        """Sends one request, once, and reads its answer."""
        client = await self._client()
        return await client.request(
            method,
            path,
            content=content,
            params=query,
            headers=headers,
            timeout=httpx.Timeout(wait, connect=CONNECT_TIMEOUT, pool=None),
            extensions=extensions,
        )

    async def pause(self, attempt: int, error: Exception) -> None:
        """Waits before the try after this one."""
        _log.info("no answer from %s, trying again: %s", self.base_url, _reason(error))
        await asyncio.sleep(self._retry_delay * attempt)

    async def stream(
        self, path: str, *, wait: float, body: dict[str, Any]
    ) -> AsyncGenerator[tuple[str, Any], None]:
        """Posts once and yields the events of the answer: name and decoded data.

        Ending the iteration early closes the connection. An answer that is no
        stream is one event, `result`.

        Raises:
            SandboxConnectionError: If the connection is lost, or ends without a result.
        """
        content = encode(body)
        timeout = httpx.Timeout(wait, connect=CONNECT_TIMEOUT, pool=None)
        headers = {"Accept": "text/event-stream"}
        client = await self._client()
        try:
            async with client.stream(
                "POST", path, content=content, headers=headers, timeout=timeout
            ) as response:
                if "text/event-stream" not in response.headers.get("content-type", ""):
                    await response.aread()
                    yield "result", self.decode(response).body
                    return
                async for event, data in read_events(response.aiter_bytes()):
                    yield event, data
                    if event == "result":
                        return
        except httpx.HTTPError as error:
            raise self.failure(error, wait) from error
        except ValueError as error:
            raise SandboxConnectionError(
                f"{self.base_url} sent an event that cannot be read: {error}", may_have_run=True
            ) from error
        raise SandboxConnectionError(
            f"{self.base_url} ended a stream without a result", may_have_run=True
        )

    async def aclose(self) -> None:
        """Closes the connections. A later request opens new ones."""
        here = asyncio.get_running_loop()
        pools, self._pools = self._pools, {}
        for loop, pool in pools.items():
            if loop is here:
                await pool.ending.aclose()
            elif loop.is_running():
                # Not waited for: that loop may be blocked until this returns.
                try:
                    loop.call_soon_threadsafe(_close_soon, pool)
                except RuntimeError:  # It was closed just now, and its sockets with it.
                    continue

    async def _client(self) -> httpx.AsyncClient:
        # Each loop's thread only ever touches its own entry: no lock is needed,
        # and none can be inherited locked by a forked child.
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or pool.client.is_closed:
            for old in [old for old in list(self._pools) if old.is_closed()]:
                self._pools.pop(old, None)
            client = self._new_client()
            pool = self._pools[loop] = _Pool(client, _close_at_end(client))
            await pool.ending.__anext__()
        return pool.client

    def _new_client(self) -> httpx.AsyncClient:
        headers = {"Content-Type": "application/json"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        try:
            return self._httpx_client(headers)
        except (ImportError, ValueError) as error:
            # A proxy of the environment that httpx cannot use as it is installed.
            raise SandboxConnectionError(f"cannot connect to {self.base_url}: {error}") from error

    def _httpx_client(self, headers: dict[str, str]) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.base_url,
            headers=headers,
            limits=httpx.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE,
            ),
            verify=_tls(),
            # A proxy named in the environment is never on the way to this machine.
            trust_env=not _is_loopback(self.base_url.host),
        )

    def decode(self, response: httpx.Response) -> Answer:
        """The JSON object that came as an answer.

        Raises:
            SandboxConnectionError: If it is none.
        """
        try:
            body = read_json(response.content)
        except ValueError:
            body = None
        if isinstance(body, dict):
            return Answer(response.status_code, body)
        # What charset it names is as little to be trusted as the rest of it.
        began = response.content[:200].decode("utf-8", "replace")
        raise SandboxConnectionError(
            f"{self.base_url} answered HTTP {response.status_code} with something that is not "
            f"a JSON object; is it a sandbox server? It began: {began!r}",
            response.status_code,
            may_have_run=True,
        )

    def failure(self, error: httpx.HTTPError, wait: float) -> SandboxConnectionError:
        """What this error says of a request."""
        sent = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
        if not sent:
            return SandboxConnectionError(f"cannot connect to {self.base_url}: {_reason(error)}")
        if isinstance(error, httpx.TimeoutException):
            said = f"{self.base_url} did not answer within {wait:g} s"
        else:
            said = f"{self.base_url} gave no complete answer: {_reason(error)}"
        return SandboxConnectionError(
            f"{said}; the request may have been carried out", may_have_run=True
        )


def _may_repeat(error: httpx.HTTPError, repeatable: bool) -> bool:
    if isinstance(error, httpx.ConnectError):
        return True
    return repeatable and is_cut_off(error)


def is_cut_off(error: httpx.HTTPError) -> bool:
    """Whether the connection was lost, and not only slow."""
    return isinstance(error, (httpx.NetworkError, httpx.RemoteProtocolError))


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


@functools.cache
def _tls() -> ssl.SSLContext:
    # Reading the machine's certificates takes longer than everything else that
    # a new client does, and programs make a client for each of many workers.
    return httpx.create_ssl_context()


async def _close_at_end(client: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await client.aclose()


def _close_soon(pool: _Pool) -> None:
    task = asyncio.get_running_loop().create_task(pool.client.aclose())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


def _checked_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text.rstrip("/"))
    except httpx.InvalidURL as error:
        raise SandboxConnectionError(f"not a server address: {text!r} ({error})") from error
    # Whatever httpx has read as one, only these are ports.
    is_port = url.port is None or 0 < url.port < 65536
    if url.scheme not in ("http", "https") or not url.host or not is_port:
        raise SandboxConnectionError(
            f"not a server address: {text!r}; it looks like http://localhost:18890"
        )
    return url


def _checked_key(key: str | None) -> str | None:
    """The key without the line end of the file that it may be from."""
    key = (key or "").strip()
    if not (key.isascii() and key.isprintable()):
        # Not shown: it is a secret.
        raise SandboxConnectionError(
            "the API key has characters that cannot be sent; is it the right one? "
            "(api_key= or SANDBOX_API_KEY)"
        )
    return key or None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
