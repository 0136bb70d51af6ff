"""No request is carried out twice, and no failure is mistaken for an answer."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from loopback import PATIENCE, Answer, Loopback, Raw, Reply, Request, envelope, loopback, protocol

from sandbox import (
    HTTPClientConfig,
    HTTPClientError,
    HTTPServiceClient,
    Sandbox,
    SandboxConnectionError,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_connection_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests tell requests' connections apart, however long they pause between them."""
    monkeypatch.setattr("sandbox.transport.KEEP_ALIVE", 600.0)


def client_of(server: Loopback, **settings: Any) -> HTTPServiceClient:
    settings = {"retry_delay": 0.01, "worker_id": "w", **settings}
    return HTTPServiceClient(config=HTTPClientConfig(base_url=server.url, **settings))


async def test_execute_sends_what_the_protocol_says(server: Loopback) -> None:
    async with client_of(server, api_key="secret") as client:
        await client.execute("bash:run", {"command": "echo ü"}, timeout=1.5)
    (request,) = server.executed()
    assert request.method == "POST"
    assert request.body == {
        "worker_id": "w",
        "action": "bash:run",
        "params": {"command": "echo ü"},
        "timeout": 1.5,
    }
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["content-type"] == "application/json"


async def test_the_key_may_come_from_the_environment(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_API_KEY", "from-env")
    async with Sandbox(server.url) as sandbox:
        await sandbox.execute("t")
    assert {each.headers["authorization"] for each in server.requests} == {"Bearer from-env"}
    assert "from-env" not in repr(sandbox)
    assert "from-env" not in repr(HTTPClientConfig())


@pytest.mark.parametrize("status", [200, 400, 401, 404, 409, 429, 500, 503, 504])
async def test_an_envelope_is_an_answer_whatever_its_status(status: int) -> None:
    failed = envelope(2001, {"partial": 1}, "the backend failed")
    with loopback(lambda _: Reply(failed, status)) as server:
        client = client_of(server)
        assert await client.execute("t") == failed
        await client.close()
        assert len(server.requests) == 1


CUTS = {
    "before the answer": b"",
    "in the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "in the body": b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"code": 0, "mess',
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
@pytest.mark.parametrize("reused", [False, True], ids=["new connection", "kept connection"])
async def test_an_execute_that_is_cut_off_is_not_repeated(cut: bytes, reused: bool) -> None:
    def answer(request: Request) -> Answer:
        return protocol(request) if request.path == "/health" else Raw(cut)

    with loopback(answer) as server:
        client = client_of(server)
        if reused:
            await client.connect()
        with pytest.raises(SandboxConnectionError) as caught:
            await client.execute("t")
        await client.close()
        assert caught.value.may_have_run
        (request,) = server.executed()
        assert request.connection == 0


async def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    with loopback(lambda _: Reply(envelope(), then_close=True)) as server:
        client = client_of(server)
        for number in range(3):
            assert (await client.execute("t"))["code"] == 0
            assert await asyncio.to_thread(server.closed_connection.wait, PATIENCE)
            server.closed_connection.clear()
            assert server.requests[number].connection == number
        await client.close()
        assert len(server.requests) == 3


async def test_a_refused_connect_is_tried_again_for_nothing_was_sent() -> None:
    refused = threading.Event()

    class Notice(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "trying again" in record.getMessage():
                refused.set()

    logger, notice = logging.getLogger("sandbox"), Notice()
    logger.addHandler(notice)
    logger.setLevel(logging.INFO)
    try:
        with loopback(protocol, listening=False) as server:
            client = client_of(server, max_retries=500)
            call = asyncio.ensure_future(client.execute("t"))
            assert await asyncio.to_thread(refused.wait, PATIENCE)
            server.listen()
            assert (await call)["code"] == 0
            assert len(server.executed()) == 1
            await client.close()
    finally:
        logger.removeHandler(notice)
        logger.setLevel(logging.NOTSET)


async def test_a_refused_connect_certainly_did_not_run() -> None:
    with loopback(protocol, listening=False) as server:
        client = client_of(server)
        with pytest.raises(SandboxConnectionError, match="cannot connect") as caught:
            await client.execute("t")
        assert not caught.value.may_have_run


async def test_a_read_that_is_cut_off_is_repeated() -> None:
    def answer(request: Request) -> Answer:
        return Raw() if request.connection == 0 else Reply({"tools": [{"name": "t"}], "count": 1})

    with loopback(answer) as server:
        client = client_of(server)
        assert await client.list_tools() == [{"name": "t"}]
        assert len(server.requests) == 2
        await client.close()


async def test_a_read_is_not_repeated_for_ever() -> None:
    with loopback(lambda _: Raw()) as server:
        client = client_of(server, max_retries=4)
        with pytest.raises(SandboxConnectionError):
            await client.get_status()
        assert len(server.requests) == 4
        await client.close()


FOREIGN = {
    "html": Raw(b"HTTP/1.1 502 x\r\nContent-Length: 12\r\n\r\n<h1>bad</h1>"),
    "not utf-8": Raw(b"HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\n\xff\xfe"),
    "a list": Reply([1, 2]),
    "no envelope": Reply({"error": "bad gateway"}, 502),
    "a redirect": Raw(b"HTTP/1.1 307 x\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"),
    "not http": Raw(b"SSH-2.0-OpenSSH\r\n"),
}


@pytest.mark.parametrize("answer", FOREIGN.values(), ids=FOREIGN.keys())
async def test_what_is_not_the_protocol_raises(answer: Answer) -> None:
    with loopback(lambda _: answer) as server:
        client = client_of(server)
        with pytest.raises(SandboxConnectionError):
            await client.execute("t")
        assert len(server.requests) == 1
        await client.close()


async def test_the_client_waits_longer_than_the_tool_may_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The client's own patience is shorter than the answer takes: only the
    # limits that the call names make it wait long enough. What it gives up it
    # says to a server that does not answer that either.
    monkeypatch.setattr("sandbox.once.FAREWELL", 0.05)
    release = threading.Event()

    def answer(_: Request) -> Answer:
        assert release.wait(PATIENCE)
        return Reply(envelope())

    with loopback(answer) as server:
        client = client_of(server, timeout=0.05)
        calls = [
            asyncio.ensure_future(client.execute("t", timeout=1)),
            asyncio.ensure_future(client.execute("t", {"timeout": 1})),
            asyncio.ensure_future(client.execute_batch([{"action": "t", "timeout": 1}])),
        ]
        impatient = asyncio.ensure_future(client.execute("t"))
        with pytest.raises(SandboxConnectionError):
            await impatient
        release.set()
        assert [(await call)["code"] for call in calls] == [0, 0, 0]
        await client.close()


async def test_bare_routes_raise_what_the_server_refuses() -> None:
    refusal = envelope(1001, None, "no tool named 'x'")
    with loopback(lambda _: Reply(refusal, 404)) as server:
        client = client_of(server)
        with pytest.raises(HTTPClientError, match="no tool named") as caught:
            await client.get_tool_schema("a:b/c?d")
        assert (caught.value.status_code, caught.value.code) == (404, 1001)
        assert caught.value.response == refusal
        assert server.requests[0].path == "/api/v1/tools/a:b%2Fc%3Fd/schema"
        await client.close()


@pytest.mark.parametrize("params", [{"x": float("nan")}, {"x": object()}])
async def test_what_json_cannot_say_is_the_callers_error(
    server: Loopback, params: dict[str, Any]
) -> None:
    client = client_of(server)
    with pytest.raises((TypeError, ValueError)):
        await client.execute("t", params)
    assert server.requests == []


@pytest.mark.parametrize("url", ["", "localhost:18890", "ftp://localhost", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SandboxConnectionError, match="not a server address"):
        HTTPServiceClient(url)


async def test_a_proxy_is_never_used_for_this_machine(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with client_of(server) as client:
        assert (await client.execute("t"))["code"] == 0


# One client, several event loops, threads and processes.


def test_one_sandbox_serves_one_event_loop_after_another(server: Loopback) -> None:
    sandbox = Sandbox(server.url)
    asyncio.run(_started(sandbox))
    for _ in range(3):
        assert asyncio.run(sandbox.execute("t"))["code"] == 0
    assert sandbox.execute_sync("t")["code"] == 0
    asyncio.run(sandbox.close())
    assert len(server.executed()) == 5


async def _started(sandbox: Sandbox) -> None:
    await sandbox.start()
    await sandbox.execute("t")


def test_blocking_calls_work_many_times_in_a_row_on_one_connection(server: Loopback) -> None:
    with Sandbox(server.url) as sandbox:
        for _ in range(50):
            assert sandbox.execute_sync("t")["code"] == 0
    assert len({each.connection for each in server.executed()}) == 1
    assert len(server.executed()) == 50


def test_blocking_calls_work_from_any_thread(server: Loopback) -> None:
    with Sandbox(server.url) as sandbox, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: sandbox.execute_sync("t", {"n": n}), range(64)))
    assert [each["data"]["params"]["n"] for each in answers] == list(range(64))
    assert len(server.executed()) == 64


async def test_blocking_calls_work_inside_a_running_loop(server: Loopback) -> None:
    async with Sandbox(server.url) as sandbox:
        assert (await sandbox.execute("t"))["code"] == 0
        assert sandbox.execute_sync("t")["code"] == 0
        # Closing must not wait for this loop, which is blocked until it returns.
        sandbox.close_sync()
        assert not sandbox.is_started


def test_a_forked_child_has_connections_of_its_own(server: Loopback) -> None:
    with Sandbox(server.url) as sandbox:
        before = sandbox.execute_sync("t")["code"]
        child = multiprocessing.get_context("fork").Process(target=_call, args=(sandbox,))
        child.start()
        child.join(PATIENCE)
        assert child.exitcode == 0
        assert (before, sandbox.execute_sync("t")["code"]) == (0, 0)
    parent, childs, parent_again = [each.connection for each in server.executed()]
    assert parent == parent_again
    assert childs != parent


def _call(sandbox: Sandbox) -> None:
    assert sandbox.execute_sync("t")["code"] == 0
