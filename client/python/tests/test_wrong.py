"""Whatever is answered or asked for, what goes wrong is a `SandboxError` that says what."""

from __future__ import annotations

import asyncio
from typing import Any, Callable

import pytest
from loopback import Answer, Loopback, Raw, Reply, Request, envelope, loopback, protocol

from sandbox import HTTPServiceClient, Sandbox, SandboxConnectionError, SandboxSessionError

pytestmark = pytest.mark.anyio


def of_type(kind: str, content: bytes = b"x") -> Raw:
    # Closing is announced: the next request could otherwise meet the connection as it closes.
    lines = [f"Content-Type: {kind}", f"Content-Length: {len(content)}", "Connection: close"]
    return Raw("\r\n".join(["HTTP/1.1 200 x", *lines, "", ""]).encode() + content)


FOREIGN: dict[str, Answer] = {
    "nested too deeply": of_type("application/json", b"[" * 200_000),
    "a charset of names": of_type("text/html; charset=idna", b"\xff" * 100),
    "a charset that is none": of_type("text/html; charset=zlib"),
    "an empty object": Reply({}),
    "another object": Reply({"hello": 1}),
    "a list": Reply(envelope(data=[1])),
    "text": Reply(envelope(data="abc")),
    "lists of other things": Reply({**envelope(data={"sessions": [1]}), "tools": [1]}),
    "lists of other objects": Reply({**envelope(data={"sessions": [{"a": 1}]}), "tools": [{}]}),
}
LISTS: list[Callable[[Sandbox], Any]] = [
    lambda sandbox: sandbox.list_sessions_sync(),
    lambda sandbox: sandbox.destroy_session_sync(),
    lambda sandbox: sandbox.get_tools_sync(),
    lambda sandbox: sandbox.get_tool_schema_sync("t"),
    lambda sandbox: sandbox.warmup_sync(),
    lambda sandbox: sandbox.get_warmup_status_sync(),
]
CALLS: list[Callable[[Sandbox], Any]] = [
    lambda sandbox: sandbox.execute_sync("t"),
    lambda sandbox: list(sandbox.execute_stream_sync("t")),
    lambda sandbox: sandbox.get_status_sync(),
]


@pytest.mark.parametrize("answer", FOREIGN.values(), ids=FOREIGN.keys())
def test_an_answer_that_is_none_is_a_lost_one(answer: Answer) -> None:
    def server_answer(request: Request) -> Answer:
        return protocol(request) if request.path == "/ready" else answer

    is_envelope = isinstance(answer, Reply) and "code" in answer.body
    with loopback(server_answer) as server, Sandbox(server.url, retry_count=1) as sandbox:
        for call in LISTS + ([] if is_envelope else CALLS):
            with pytest.raises(SandboxConnectionError, match="answered HTTP 200") as caught:
                call(sandbox)
            assert caught.value.may_have_run


EVENTS = {"a result that is no envelope": '{"x":1}', "a result that is no object": "[]"}


@pytest.mark.parametrize("data", EVENTS.values(), ids=EVENTS.keys())
def test_a_result_that_is_none_is_a_lost_one(data: str) -> None:
    stream = of_type("text/event-stream", f"event: result\ndata: {data}\n\n".encode())

    def server_answer(request: Request) -> Answer:
        return protocol(request) if request.path == "/ready" else stream

    with loopback(server_answer) as server, Sandbox(server.url) as sandbox:
        events = sandbox.execute_stream_sync("t")
        with pytest.raises(SandboxConnectionError):
            list(events)


def test_a_refusal_has_its_status() -> None:
    refusal = envelope(1006, None, "no key")
    with loopback(lambda _: Reply(refusal, 401)) as server:
        client = HTTPServiceClient(server.url)
        with pytest.raises(SandboxSessionError, match="no key") as caught:
            asyncio.run(client.list_sessions())
    assert (caught.value.status_code, caught.value.code) == (401, 1006)


# What the caller says.


async def test_a_key_may_end_in_a_line_end(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_API_KEY", "secret\n")
    async with Sandbox(server.url):
        assert server.requests[0].headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("key", ["xyz\nret", "xyzé", "xyz\x00ret", "xyz\x7fret"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(SandboxConnectionError, match="API key") as caught:
        Sandbox(api_key=key).start_sync()
    assert not caught.value.may_have_run
    assert key[:2] not in str(caught.value)


@pytest.mark.parametrize("port", ["0", "70000", "-1", "x"])
def test_an_address_has_a_port_that_can_be(port: str) -> None:
    with pytest.raises(SandboxConnectionError, match="not a server address"):
        Sandbox(f"http://127.0.0.1:{port}", auto_start_server=True).start_sync()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "gopher://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(SandboxConnectionError, match="cannot connect") as caught:
        asyncio.run(HTTPServiceClient("http://server.test").execute("t"))
    assert not caught.value.may_have_run


RESOURCES: list[Any] = [5, {"bash": "xx"}, {"bash": 1}, [5], {5: {}}, ["bash", None]]


@pytest.mark.parametrize("resources", RESOURCES)
async def test_what_names_no_resources_is_refused(server: Loopback, resources: Any) -> None:
    async with Sandbox(server.url) as sandbox:
        with pytest.raises(SandboxSessionError, match="must be"):
            await sandbox.create_session(resources)
    assert [each.path for each in server.requests] == ["/ready"]


async def test_one_backend_to_warm_up_is_not_its_letters() -> None:
    def answer(request: Request) -> Answer:
        warmup = request.path == "/api/v1/warmup"
        return Reply({"status": "success"}) if warmup else protocol(request)

    with loopback(answer) as server:
        sandbox = Sandbox(server.url)
        await sandbox.start("rag")
        await sandbox.close()
        async with Sandbox(server.url, warmup_resources="rag"):
            pass
    bodies = [each.body for each in server.requests if each.path == "/api/v1/warmup"]
    assert bodies == [{"backends": ["rag"]}] * 2
