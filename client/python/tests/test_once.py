"""A call that was lost is asked for again, and never run again; one given up is ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from typing import Any, Callable

import pytest
from loopback import PATIENCE, Answer, Loopback, Raw, Reply, Request, envelope, loopback, protocol

from sandbox import HTTPClientConfig, HTTPServiceClient, Sandbox, SandboxConnectionError

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def every_farewell_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a loaded machine takes for it."""
    monkeypatch.setattr("sandbox.once.FAREWELL", PATIENCE)


def client_of(server: Loopback, **settings: Any) -> HTTPServiceClient:
    settings = {"retry_delay": 0.01, "worker_id": "w", **settings}
    return HTTPServiceClient(config=HTTPClientConfig(base_url=server.url, **settings))


def answered(data: Any = None, code: int = 0, status: int = 200, **headers: str | None) -> Raw:
    body = json.dumps(envelope(code, data))
    named = {f"Idempotency-{name}": value for name, value in headers.items() if value}
    lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in named.items())]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: close", "", ""])
    return Raw((head + body).encode())


def scripted(*answers: Answer) -> Callable[[Request], Answer]:
    """Answers these to one call after the other."""
    left = iter(answers)
    return lambda request: next(left) if request.path == "/api/v1/execute" else protocol(request)


async def test_a_lost_call_is_asked_for_again_where_answers_are_kept() -> None:
    script = scripted(
        answered(1, Instance="one", Replayed="false"),
        Raw(),
        answered(2, Instance="one", Replayed="true"),
    )
    with loopback(script) as server:
        async with client_of(server) as client:
            assert (await client.execute("t"))["data"] == 1
            assert (await client.execute("t"))["data"] == 2
        first, lost, again = server.executed()
    assert first.headers["idempotency-key"] != lost.headers["idempotency-key"]
    assert lost.headers["idempotency-key"] == again.headers["idempotency-key"]
    assert {"idempotency-instance", "idempotency-repeat"}.isdisjoint(lost.headers)
    assert again.headers["idempotency-instance"] == "one"
    assert again.headers["idempotency-repeat"] == "true"
    assert lost.body == again.body


async def test_a_server_that_knows_no_keys_is_not_asked_again() -> None:
    with loopback(scripted(answered(1), Raw(), answered(2))) as server:
        async with client_of(server) as client:
            await client.execute("t")
            with pytest.raises(SandboxConnectionError) as lost:
                await client.execute("t")
        assert len(server.executed()) == 2
    assert lost.value.may_have_run


STRANGERS = {
    "a server that does not know the call": answered(code=1002, status=409, Instance="two"),
    "a server that knows no keys": answered(),
    "a proxy": Raw(b"HTTP/1.1 502 x\r\nContent-Length: 3\r\n\r\nbad"),
    "nobody": Raw(),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
async def test_only_the_calls_own_answer_counts_after_it_was_lost(stranger: Answer) -> None:
    script = scripted(answered(Instance="one"), Raw(), *[stranger] * 5)
    with loopback(script) as server:
        async with client_of(server) as client:
            await client.execute("t")
            with pytest.raises(SandboxConnectionError, match="may have been carried out") as lost:
                await client.execute("t")
    assert lost.value.may_have_run


@pytest.mark.parametrize("status", [429, 503])
async def test_a_repeat_that_comes_too_early_says_nothing_of_the_call(status: int) -> None:
    refused = answered(code=1007, status=status)
    known = answered(3, Instance="one", Replayed="true")
    with loopback(scripted(answered(Instance="one"), Raw(), refused, known)) as server:
        async with client_of(server, max_retries=3) as client:
            await client.execute("t")
            assert (await client.execute("t"))["data"] == 3
    with loopback(scripted(answered(Instance="one"), Raw(), refused, refused)) as server:
        async with client_of(server, max_retries=3) as client:
            await client.execute("t")
            with pytest.raises(SandboxConnectionError) as lost:
                await client.execute("t")
    assert lost.value.may_have_run


async def test_who_answers_while_a_call_runs_is_not_who_was_asked() -> None:
    # Between the call and its loss, a second one is answered by another server.
    other_answered = threading.Event()

    def answer(request: Request) -> Answer:
        if request.body["action"] != "slow":
            return answered(Instance=request.body["action"])
        if "idempotency-repeat" in request.headers:
            return answered(code=1002, status=409)
        assert other_answered.wait(PATIENCE)
        return Raw()

    with loopback(answer) as server:
        client = client_of(server)
        await client.execute("one")
        slow = asyncio.ensure_future(client.execute("slow"))
        await asyncio.to_thread(server.wait_for, 2)
        await client.execute("two")
        other_answered.set()
        with pytest.raises(SandboxConnectionError):
            await slow
        await client.close()
        assert server.executed()[-1].headers["idempotency-instance"] == "one"


# Giving up.


def farewell(request: Request) -> Answer:
    """Leaves calls without an answer, until they are given up."""
    gone = "idempotency-abandon" in request.headers
    return Reply(envelope(2002), 504) if gone else None


def assert_ended(server: Loopback) -> None:
    # The two have connections of their own: which is read first is chance.
    call, end = sorted(server.wait_for(2), key=lambda each: "idempotency-abandon" in each.headers)
    assert end.headers["idempotency-abandon"] == "true"
    assert end.headers["idempotency-key"] == call.headers["idempotency-key"]
    assert end.body == {"worker_id": "w"}, "nothing that could be run"


async def test_a_call_without_an_answer_ends_at_the_clients_timeout() -> None:
    with loopback(farewell) as server:
        client = client_of(server, timeout=1)
        with pytest.raises(SandboxConnectionError, match=r"within 1 s") as caught:
            await client.execute("t")
        assert caught.value.may_have_run
        assert_ended(server)
        await client.close()


async def test_cancelling_a_call_hangs_up_and_ends_it() -> None:
    with loopback(farewell) as server:
        client = client_of(server)
        call = asyncio.ensure_future(client.execute("t"))
        await asyncio.to_thread(server.wait_for, 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(server.hung_up.wait, PATIENCE)
        assert_ended(server)
        await client.close()


async def test_a_call_that_was_not_sent_is_not_ended() -> None:
    with loopback(farewell, listening=False) as server:
        client = client_of(server, retry_delay=60)
        call = asyncio.ensure_future(client.execute("t"))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert server.requests == []
        await client.close()


def test_a_call_is_ended_though_its_loop_ends_with_it() -> None:
    async def leave(server: Loopback, client: HTTPServiceClient) -> None:
        call = asyncio.ensure_future(client.execute("t"))
        await asyncio.to_thread(server.wait_for, 1)
        assert not call.done()

    with loopback(farewell) as server:
        asyncio.run(leave(server, client_of(server)))
        assert_ended(server)


async def test_a_server_that_does_not_hear_it_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sandbox.once.FAREWELL", 0.05)
    with loopback(lambda _: None) as server:
        client = client_of(server, timeout=0.05)
        with pytest.raises(SandboxConnectionError):
            await client.execute("t")
        await client.close()


def test_an_interrupted_twin_ends_its_call() -> None:
    def answer(request: Request) -> Answer:
        if request.path != "/api/v1/execute":
            return protocol(request)
        if "idempotency-abandon" not in request.headers:
            os.kill(os.getpid(), signal.SIGINT)
        return farewell(request)

    with loopback(answer) as server, Sandbox(server.url, worker_id="w") as sandbox:
        with pytest.raises(KeyboardInterrupt):
            sandbox.execute_sync("t")
        assert_ended(server)
