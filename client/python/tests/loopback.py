"""A small HTTP server for what no real server can be made to do on demand.

It answers each request as the test says: cut off, late, garbage, or an answer
of the protocol. It keeps every request that reached it, which is how tests see
that none was sent twice.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Callable, Union


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    #: Counts connections from 0: tells which requests shared one.
    connection: int


@dataclass(frozen=True)
class Raw:
    """Bytes sent as they are, after which the connection is closed."""

    content: bytes = b""


@dataclass(frozen=True)
class Reply:
    """A JSON answer; `then_close` closes the connection without saying so."""

    body: Any
    status: int = 200
    then_close: bool = False


#: Seconds to wait for what must come: a loaded machine may need them, and nobody waits longer
#: than for the event.
PATIENCE = 60.0

#: What a test may answer; None leaves the client waiting.
Answer = Union[Raw, Reply, None]


def envelope(code: int = 0, data: Any = None, message: str = "success") -> dict[str, Any]:
    return {"code": code, "message": message, "data": data, "meta": {"tool": "t"}}


class Loopback:
    def __init__(self, answer: Callable[[Request], Answer], *, listening: bool = True) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self._arrival = threading.Condition()
        self.hung_up = threading.Event()
        self.closed_connection = threading.Event()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        if listening:
            self.listen()

    def listen(self) -> None:
        """Until then, connecting is refused."""
        self._listener.listen(64)
        self._run(self._accept)

    def executed(self) -> list[Request]:
        return self._to("/api/v1/execute")

    def wait_for(self, count: int, path: str = "/api/v1/execute") -> list[Request]:
        """The requests to a path, once there are so many."""
        with self._arrival:
            assert self._arrival.wait_for(lambda: len(self._to(path)) >= count, PATIENCE)
        return self._to(path)

    def _to(self, path: str) -> list[Request]:
        return [each for each in self.requests if each.path == path]

    def close(self) -> None:
        for each in [self._listener, *self._open]:
            # Wakes the thread that waits for it; closing alone does not.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _run(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            self._run(self._serve, connection, number)
            number += 1

    def _serve(self, connection: socket.socket, number: int) -> None:
        stream = connection.makefile("rb")
        try:
            while True:
                request = _read(stream, number)
                if request is None:
                    self.hung_up.set()
                    return
                with self._arrival:
                    self.requests.append(request)
                    self._arrival.notify_all()
                answer = self.answer(request)
                if answer is None:
                    continue
                content = answer.content if isinstance(answer, Raw) else _encode(answer)
                connection.sendall(content)
                if isinstance(answer, Raw) or answer.then_close:
                    return
        except OSError:
            self.hung_up.set()
        finally:
            stream.close()
            connection.close()
            self.closed_connection.set()


def _read(stream: Any, connection: int) -> Request | None:
    line = stream.readline().decode()
    if not line:
        return None
    method, path, _ = line.split(" ")
    headers: dict[str, str] = {}
    while (field := stream.readline().decode().strip()) != "":
        name, value = field.split(":", 1)
        headers[name.lower()] = value.strip()
    content = stream.read(int(headers.get("content-length", 0)))
    return Request(method, path, headers, json.loads(content) if content else None, connection)


def _encode(reply: Reply) -> bytes:
    content = json.dumps(reply.body).encode()
    head = f"HTTP/1.1 {reply.status} x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


@contextmanager
def loopback(answer: Callable[[Request], Answer], *, listening: bool = True) -> Iterator[Loopback]:
    server = Loopback(answer, listening=listening)
    try:
        yield server
    finally:
        server.close()


def protocol(request: Request) -> Reply:
    """Just enough of a server for `Sandbox.start()` and a call."""
    if request.path == "/health":
        return Reply({"status": "healthy"})
    if request.path == "/ready":
        return Reply({"status": "ready"})
    return Reply(envelope(data=request.body))
