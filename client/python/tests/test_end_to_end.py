"""Against the real server, with its `bash` and `rag` backends.

`SANDBOX_BINARY` names the executable; without it these tests fail, because a
run that left them out would say nothing about the two working together.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from live import write_config
from loopback import PATIENCE

from sandbox import (
    HTTPClientError,
    HTTPServiceClient,
    Sandbox,
    SandboxConnectionError,
    SandboxServerStartError,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def sandbox(owner: Sandbox) -> Iterator[Sandbox]:
    """A worker of its own, whose sessions end with the test."""
    worker = Sandbox(owner.server_url)
    worker.start_sync()
    yield worker
    worker.close_sync(destroy_sessions=True)


async def test_a_command_answers_with_its_output(sandbox: Sandbox) -> None:
    result = await sandbox.execute("bash:run", {"command": "echo hello; echo oops >&2"})
    assert (result["code"], result["message"]) == (0, "success")
    assert result["data"]["stdout"].strip() == "hello"
    assert result["data"]["stderr"].strip() == "oops"
    assert result["data"]["exit_code"] == result["data"]["return_code"] == 0
    assert result["meta"]["tool"] == "bash:run"
    assert result["meta"]["resource_type"] == "bash"
    assert result["meta"]["temporary_session"] is True
    assert await sandbox.list_sessions() == []


async def test_a_session_keeps_its_shell(sandbox: Sandbox) -> None:
    made = await sandbox.create_session("bash", {"env": {"COLOUR": "red"}}, custom_name="mine")
    report = made["sessions"]["bash"]
    assert (made["status"], report["status"]) == ("success", "success")
    assert report["session_name"] == f"bash_{sandbox.worker_id}_001_mine"
    assert report["session_id"].startswith(report["session_name"] + "_")
    await sandbox.execute("bash:run", command="cd /usr; shape=round")
    seen = await sandbox.execute("bash:run", command='echo "$PWD $shape $COLOUR"')
    assert seen["data"]["stdout"].strip() == "/usr round red"
    assert seen["meta"]["session_id"] == report["session_id"]
    assert "temporary_session" not in seen["meta"]
    (row,) = await sandbox.list_sessions()
    assert (row["resource_type"], row["session_id"]) == ("bash", report["session_id"])


async def test_a_second_create_finds_the_first(sandbox: Sandbox) -> None:
    first = (await sandbox.create_session("bash"))["sessions"]["bash"]
    second = (await sandbox.create_session("bash"))["sessions"]["bash"]
    assert second["already_existed"]
    assert (second["status"], second["session_id"]) == ("success", first["session_id"])


async def test_several_sessions_at_once(sandbox: Sandbox) -> None:
    made = await sandbox.create_session({"bash": {"cwd": "/usr"}, "rag": {"top_k": 1}})
    assert (made["status"], made["total"], made["success"]) == ("success", 2, 2)
    assert made["sessions"]["rag"]["compatibility_mode"] is True
    where = await sandbox.execute("bash:pwd")
    assert where["data"]["cwd"] == "/usr"
    ended = await sandbox.destroy_session()
    assert (ended["status"], set(ended["details"])) == ("success", {"bash", "rag"})
    assert await sandbox.list_sessions() == []


async def test_a_resource_that_does_not_exist_is_reported(sandbox: Sandbox) -> None:
    made = await sandbox.create_session(["bash", "nope"])
    assert (made["status"], made["sessions"]["nope"]["code"]) == ("partial", 1005)
    ended = await sandbox.destroy_session("rag")
    assert (ended["status"], ended["details"]["rag"]["code"]) == ("partial", 1003)


async def test_reinitialize_gives_a_fresh_shell(sandbox: Sandbox) -> None:
    await sandbox.create_session("bash")
    await sandbox.execute("bash:run", command="kept=yes")
    fresh = await sandbox.reinitialize("bash", {"cwd": "/usr"})
    assert fresh["status"] == "success"
    assert fresh["new_session_id"] != fresh["old_session_id"] is not None
    seen = await sandbox.execute("bash:run", command='echo "$PWD [$kept]"')
    assert seen["data"]["stdout"].strip() == "/usr []"


async def test_refreshing_moves_the_expiry(sandbox: Sandbox) -> None:
    await sandbox.create_session("bash")
    (before,) = await sandbox.list_sessions()
    deadline = time.monotonic() + PATIENCE
    while True:  # Until the clock that the server writes has moved on.
        one = await sandbox.refresh_sessions("bash")
        assert (one["code"], one["data"]["session_id"]) == (0, before["session_id"])
        if moment(one["data"]["expires_at"]) > moment(before["expires_at"]):
            break
        assert time.monotonic() < deadline
    every = await sandbox.refresh_sessions()
    assert every["data"]["refreshed_count"] == 1
    assert (await sandbox.refresh_sessions("rag"))["code"] == 1003


def moment(text: str) -> tuple[str, float]:
    """Compares RFC 3339 times in UTC, whatever the digits of their seconds."""
    assert text.endswith("Z")
    return text[:17], float(text[17:-1])


async def test_errors_of_tools_are_answers(sandbox: Sandbox) -> None:
    unknown = await sandbox.execute("bash:nope")
    wrong = await sandbox.execute("bash:run", {"command": 3})
    failed = await sandbox.execute("bash:run", {"command": "(exit 7)"})
    assert (unknown["code"], wrong["code"]) == (1001, 1002)
    assert "command" in wrong["message"]
    assert (failed["code"], failed["data"]["exit_code"]) == (0, 7)


async def test_a_timeout_is_an_answer_too(sandbox: Sandbox) -> None:
    began = time.monotonic()
    by_call = await sandbox.execute("bash:run", {"command": "sleep 600"}, timeout=0.3)
    by_tool = await sandbox.execute("bash:run", {"command": "echo one; sleep 600", "timeout": 0.3})
    assert (by_call["code"], by_tool["code"]) == (2002, 2002)
    assert time.monotonic() - began < PATIENCE


async def test_a_batch_answers_in_the_order_asked(sandbox: Sandbox) -> None:
    actions = [{"action": "bash:run", "params": {"command": f"echo {n}"}} for n in range(3)]
    bad = {"action": "bash:nope", "params": {}}
    good = await sandbox.execute_batch(actions, parallel=True)
    assert [each["data"]["stdout"].strip() for each in good["data"]["results"]] == ["0", "1", "2"]
    some = await sandbox.execute_batch([*actions, bad, *actions], stop_on_error=False)
    assert (some["code"], some["data"]["success_count"], some["data"]["total"]) == (2005, 6, 7)
    stopped = await sandbox.execute_batch([actions[0], bad, actions[1]])
    assert stopped["data"]["executed"] == 2


async def test_retrieval_finds_indexes_and_deletes(sandbox: Sandbox) -> None:
    found = await sandbox.execute("rag:search", {"query": "crab", "top_k": 1})
    assert found["code"] == 0
    (hit,) = found["data"]["results"]
    assert (hit["id"], hit["title"]) == ("ferris", "Ferris")
    assert "Ferris the crab" in found["data"]["context"]
    added = await sandbox.execute(
        "rag:index", documents=[{"id": "tux", "title": "Tux", "contents": "Tux is a penguin."}]
    )
    assert (added["code"], added["data"]["indexed"]) == (0, 1)
    many = await sandbox.execute("rag:batch_search", queries=["penguin", "gopher"], top_k=1)
    assert [each[0]["id"] for each in many["data"]["results"]] == ["tux", "gopher"]
    gone = await sandbox.execute("rag:delete", ids=["tux"])
    assert gone["data"]["deleted"] == 1


async def test_tools_describe_themselves(sandbox: Sandbox) -> None:
    tools = {each["full_name"]: each for each in await sandbox.get_tools()}
    assert {"bash:run", "bash:pwd", "rag:search", "rag:index", "rag:stats"} <= set(tools)
    schema = await sandbox.get_tool_schema("bash:run")
    assert schema["input_schema"]["properties"].keys() >= {"command", "timeout"}
    with pytest.raises(HTTPClientError) as caught:
        await sandbox.get_tool_schema("bash:nope")
    assert caught.value.code == 1001


async def test_status_and_warm_up(sandbox: Sandbox) -> None:
    warmed = await sandbox.warmup(["bash", "rag"])
    assert (warmed["status"], warmed["results"]) == ("success", {"bash": True, "rag": True})
    told = await sandbox.get_warmup_status()
    assert told["backends"]["rag"] == {"loaded": True, "warmed_up": True}
    await sandbox.create_session("bash")
    status = await sandbox.get_status()
    assert status["data"]["worker_id"] == sandbox.worker_id
    assert status["data"]["active_resources"] == ["bash"]


async def test_every_other_route(owner: Sandbox) -> None:
    async with HTTPServiceClient(owner.server_url) as client:
        made = await client.init_resource("bash", {"cwd": "/usr"})
        assert (made["code"], made["meta"]["tool"]) == (0, "init:resource")
        beat = await client.heartbeat()
        assert beat["data"]["active_sessions"] == ["bash"]
        several = await client.init_batch({"rag": {"content": {"top_k": 2}}})
        assert several["data"]["results"]["rag"]["status"] == "success"
        loaded = await client.init_from_config("config.json")
        assert loaded["data"]["config_loaded"]
        assert (await client.init_from_config("../etc/passwd"))["code"] != 0
        gone = await client.destroy_all_sessions()
        assert gone["data"]["sessions_cleaned"] == 2


def test_blocking_calls_from_many_threads(sandbox: Sandbox) -> None:
    def call(number: int) -> str:
        result = sandbox.execute_sync("bash:run", command=f"echo {number}")
        return str(result["data"]["stdout"]).strip()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(call, range(32))) == [str(n) for n in range(32)]


async def test_a_call_that_is_cancelled_ends_in_the_server(sandbox: Sandbox) -> None:
    await sandbox.create_session("bash")
    (before,) = await sandbox.list_sessions()
    call = asyncio.ensure_future(sandbox.execute("bash:run", {"command": "sleep 600"}, timeout=600))
    deadline = time.monotonic() + PATIENCE
    while (await sandbox.list_sessions())[0]["last_activity"] == before["last_activity"]:
        assert time.monotonic() < deadline, "the call has not begun"
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    # The session's shell is free again long before the sleep would have ended.
    after = await asyncio.wait_for(sandbox.execute("bash:run", command="echo free"), PATIENCE)
    assert (after["code"], after["data"]["stdout"].strip()) == (0, "free")


def test_the_started_server_stops_and_sessions_with_it(
    url: str, binary: str, tmp_path: Path
) -> None:
    started = Sandbox(
        url,
        auto_start_server=True,
        binary=binary,
        server_config_path=write_config(tmp_path),
        warmup_resources=["bash"],
    )
    with started:
        started.create_session_sync("bash")
        process = started._server
        assert process is not None
        assert started.shutdown_server_sync()["status"] == "success"
        assert process.exit_code == 0
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(started.server_url.rsplit(":", 1)[1])))


def test_a_faulty_config_is_told_in_the_servers_own_words(
    url: str, binary: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"resourcez": {}}')
    starting = Sandbox(url, auto_start_server=True, binary=binary, server_config_path=str(path))
    with pytest.raises(SandboxServerStartError, match="resourcez") as caught:
        starting.start_sync()
    assert "resources" in caught.value.output


async def test_a_stream_ends_with_the_envelope(sandbox: Sandbox) -> None:
    events = [each async for each in sandbox.execute_stream("bash:run", command="echo streamed")]
    assert [name for name, _ in events][-1] == "result"
    assert events[-1][1]["data"]["stdout"] == "streamed\n"
    ((event, refused),) = list(sandbox.execute_stream_sync("no:tool"))
    assert (event, refused["code"]) == ("result", 1001)


@pytest.mark.parametrize("way", ["cancelled", "too late"])
async def test_a_call_that_is_given_up_ends_in_the_server(
    url: str, binary: str, tmp_path: Path, way: str
) -> None:
    # A server that waits for ever for those who may come back.
    path = write_config(tmp_path, idempotency={"return_within": 600})
    async with Sandbox(
        url, auto_start_server=True, binary=binary, server_config_path=path
    ) as sandbox:
        await sandbox.create_session("bash")
        client = HTTPServiceClient(
            sandbox.server_url, sandbox.worker_id, timeout=1 if way == "too late" else 60
        )
        call = asyncio.ensure_future(client.execute("bash:run", {"command": "sleep 600"}))
        if way == "cancelled":
            await _until_busy(sandbox)
            call.cancel()
        with pytest.raises((asyncio.CancelledError, SandboxConnectionError)):
            await call
        # The session's next call waits for the one before.
        after = await sandbox.execute("bash:run", command="echo free", timeout=PATIENCE)
        assert (after["code"], after["data"]["stdout"]) == (0, "free\n")
        await client.close()


async def _until_busy(sandbox: Sandbox) -> None:
    """Returns when a call of the worker runs: another one has to wait for it."""
    while (await sandbox.execute("bash:run", command=":", timeout=0.1))["code"] == 0:
        pass
