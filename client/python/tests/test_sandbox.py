"""The shapes that `Sandbox` gives its callers, and what it sends for them."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import re
from typing import Any

import pytest
from loopback import Answer, Loopback, Raw, Reply, Request, envelope, loopback, protocol

from sandbox import (
    HTTPServiceClient,
    Sandbox,
    SandboxConfig,
    SandboxConnectionError,
    SandboxError,
    SandboxSessionError,
)

pytestmark = pytest.mark.anyio

SESSION = {"session_id": "id", "session_name": "name", "session_status": "active"}


def sessions(request: Request) -> Answer:
    """A server with the backends `bash` and `rag`; `rag` has a session already."""
    kind = (request.body or {}).get("resource_type")
    if request.path.startswith("/api/v1/session/") and kind not in (None, "bash", "rag"):
        return Reply(envelope(1005, None, f"no resource type {kind!r}"), 404)
    if request.path == "/api/v1/session/create":
        return Reply(envelope(data={**SESSION, **({"status": "exists"} if kind == "rag" else {})}))
    if request.path == "/api/v1/session/destroy":
        return Reply(envelope(data={"message": "destroyed", **SESSION}))
    if request.path == "/api/v1/session/list":
        rows = [{"resource_type": "bash"}, {"resource_type": "rag"}]
        return Reply(envelope(data={"sessions": rows, "count": 2}))
    return protocol(request)


def sent(server: Loopback, path: str) -> list[dict[str, Any]]:
    return [each.body for each in server.requests if each.path == path]


async def test_one_session_by_name(server: Loopback) -> None:
    server.answer = sessions
    async with Sandbox(server.url, worker_id="w") as sandbox:
        result = await sandbox.create_session("bash", {"cwd": "/tmp"}, custom_name="mine", ttl=5)
    assert result.pop("create_time_ms") > 0
    assert result == {
        "status": "success",
        "total": 1,
        "success": 1,
        "sessions": {
            "bash": {
                "status": "success",
                "session_id": "id",
                "session_name": "name",
                "config_applied": {"cwd": "/tmp"},
                "message": "success",
                "code": 0,
            }
        },
    }
    assert sent(server, "/api/v1/session/create") == [
        {
            "worker_id": "w",
            "resource_type": "bash",
            "session_config": {"cwd": "/tmp"},
            "custom_name": "mine",
            "auto_extend": True,
            "ttl": 5,
        }
    ]


async def test_sessions_by_list_and_by_mapping(server: Loopback) -> None:
    server.answer = sessions
    configs: dict[str, Any] = {"bash": {"cwd": "/", "custom_name": "b"}, "rag": None}
    async with Sandbox(server.url) as sandbox:
        listed = await sandbox.create_session(["bash", "rag"])
        mapped = await sandbox.create_session(configs)
    assert list(listed["sessions"]) == list(mapped["sessions"]) == ["bash", "rag"]
    assert listed["status"] == mapped["status"] == "success"
    asked = {
        (each["resource_type"], each["custom_name"], str(each["session_config"]))
        for each in sent(server, "/api/v1/session/create")[2:]
    }
    assert asked == {("bash", "b", "{'cwd': '/'}"), ("rag", None, "{}")}
    assert configs["bash"] == {"cwd": "/", "custom_name": "b"}, "the caller's own dict"


async def test_a_session_that_existed_did_not_take_the_config(server: Loopback) -> None:
    server.answer = sessions
    async with Sandbox(server.url) as sandbox:
        report = (await sandbox.create_session("rag", {"top_k": 3}))["sessions"]["rag"]
    assert (report["status"], report["already_existed"], report["config_applied"]) == (
        "success",
        True,
        {},
    )


async def test_a_session_that_fails_is_reported_not_raised(server: Loopback) -> None:
    server.answer = sessions
    async with Sandbox(server.url) as sandbox:
        some = await sandbox.create_session(["bash", "nope"])
        none = await sandbox.create_session("nope")
        gone = await sandbox.destroy_session(["bash", "nope"])
    assert (some["status"], some["success"], some["total"]) == ("partial", 1, 2)
    assert none["status"] == "error"
    failed = none["sessions"]["nope"]
    assert (failed["status"], failed["code"]) == ("error", 1005)
    assert failed["error"] == "no resource type 'nope'"
    assert (gone["status"], gone["success"]) == ("partial", 1)
    assert gone["details"]["bash"] == {
        "status": "success",
        "session_id": "id",
        "message": "destroyed",
    }
    assert gone["details"]["nope"]["error"] == "no resource type 'nope'"


async def test_destroying_without_a_name_destroys_all(server: Loopback) -> None:
    server.answer = sessions
    async with Sandbox(server.url) as sandbox:
        result = await sandbox.destroy_session()
    assert (result["status"], result["total"]) == ("success", 2)
    asked = {each["resource_type"] for each in sent(server, "/api/v1/session/destroy")}
    assert asked == {"bash", "rag"}


async def test_reinitialize_destroys_then_creates(server: Loopback) -> None:
    server.answer = sessions
    async with Sandbox(server.url) as sandbox:
        result = await sandbox.reinitialize("bash", {"cwd": "/", "custom_name": "again"})
        failed = await sandbox.reinitialize("nope")
    assert result.pop("reinit_time_ms") > 0
    assert result == {
        "status": "success",
        "resource_type": "bash",
        "old_session_id": "id",
        "new_session_id": "id",
        "new_session_name": "name",
        "config_applied": {"cwd": "/"},
    }
    paths = [each.path for each in server.requests if each.path.startswith("/api/v1/session/")]
    assert paths[:2] == ["/api/v1/session/destroy", "/api/v1/session/create"]
    assert sent(server, "/api/v1/session/create")[0]["custom_name"] == "again"
    assert (failed["status"], failed["error"]) == ("error", "no resource type 'nope'")


async def test_keywords_join_the_parameters(server: Loopback) -> None:
    async with Sandbox(server.url) as sandbox:
        await sandbox.execute("t", {"a": 1}, a=2, b=3, c=None, self=4)
        await asyncio.to_thread(sandbox.execute_sync, "t", a=2)
    first, second = server.executed()
    assert first.body["params"] == {"a": 1, "b": 3, "self": 4}
    assert second.body["params"] == {"a": 2}


async def test_what_is_no_resource_is_a_session_error(server: Loopback) -> None:
    async with Sandbox(server.url) as sandbox:
        with pytest.raises(SandboxSessionError, match="not int"):
            await sandbox.create_session(3)  # type: ignore[arg-type]


async def test_a_refused_list_of_sessions_is_a_session_error() -> None:
    with loopback(lambda _: Reply(envelope(1006, None, "no key"), 401)) as server:
        client = HTTPServiceClient(server.url)
        with pytest.raises(SandboxSessionError, match="no key") as caught:
            await client.list_sessions()
        assert caught.value.code == 1006
        await client.close()


async def test_a_lost_connection_is_raised_once_all_have_ended(server: Loopback) -> None:
    def answer(request: Request) -> Answer:
        return None if request.path == "/api/v1/session/create" else sessions(request)

    server.answer = answer
    async with Sandbox(server.url, timeout=1, lifecycle_timeout=1) as sandbox:
        with pytest.raises(SandboxConnectionError):
            await sandbox.create_session(["bash", "rag"])
    assert len(server.wait_for(2, "/api/v1/session/create")) == 2


async def test_closing_may_destroy_the_sessions(server: Loopback) -> None:
    sandbox = Sandbox(server.url, worker_id="w")
    await sandbox.start()
    await sandbox.close()
    assert sent(server, "/api/v1/worker/disconnect") == []
    await sandbox.start()
    await sandbox.close(destroy_sessions=True)
    assert sent(server, "/api/v1/worker/disconnect") == [{"worker_id": "w"}]


async def test_start_warms_up_what_it_is_told(server: Loopback) -> None:
    server.answer = lambda request: (
        Reply({"status": "success", "results": {}})
        if request.path == "/api/v1/warmup"
        else protocol(request)
    )
    sandbox = Sandbox(server.url, warmup_resources=["bash"])
    assert await sandbox.start() is sandbox
    await sandbox.close()
    await sandbox.start(["rag"])
    await sandbox.warmup("vm")
    await sandbox.warmup()
    await sandbox.close()
    asked = [each["backends"] for each in sent(server, "/api/v1/warmup")]
    assert asked == [["bash"], ["rag"], ["vm"], None]


async def test_start_waits_for_a_server_that_is_starting(server: Loopback) -> None:
    seen: list[str] = []

    def answer(request: Request) -> Answer:
        if request.path == "/ready" and len(seen) < 3:
            seen.append(request.path)
            return Reply({"status": "starting"}, 503)
        return protocol(request)

    server.answer = answer
    async with Sandbox(server.url) as sandbox:
        assert sandbox.is_started
        assert sandbox.is_connected
    assert len(seen) == 3
    assert not sandbox.is_started


@pytest.mark.parametrize("auto", [False, True])
async def test_a_server_that_is_slow_to_answer_is_there(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, auto: bool
) -> None:
    monkeypatch.setattr("sandbox.client.PROBE_TIMEOUT", 0.2)
    late = iter([True])
    server.answer = lambda request: None if next(late, False) else protocol(request)
    # Another one, if it were started, would be nowhere.
    async with Sandbox(server.url, auto_start_server=auto, binary="/nowhere") as sandbox:
        assert (await sandbox.execute("t"))["code"] == 0
    assert {each.path for each in server.requests} == {"/ready", "/api/v1/execute"}


async def test_a_server_that_comes_while_it_is_looked_for_is_found(server: Loopback) -> None:
    gone = iter([True])
    server.answer = lambda request: Raw() if next(gone, False) else protocol(request)
    async with Sandbox(server.url) as sandbox:
        assert (await sandbox.execute("t"))["code"] == 0


async def test_start_does_not_wait_for_ever(server: Loopback) -> None:
    server.answer = lambda _: Reply({"status": "draining"}, 503)
    with pytest.raises(SandboxConnectionError, match=r"is draining after 0\.1 s"):
        await Sandbox(server.url, server_startup_timeout=0.1).start()


async def test_start_says_that_nothing_is_there() -> None:
    with loopback(protocol, listening=False) as server:
        sandbox = Sandbox(server.url, retry_count=1)
        with pytest.raises(SandboxConnectionError, match="cannot connect"):
            await sandbox.start()
        assert not sandbox.is_started


METHODS = sorted(
    name
    for name, member in vars(Sandbox).items()
    if inspect.iscoroutinefunction(member) and not name.startswith("_")
)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_blocking_twin(name: str) -> None:
    method, blocking = getattr(Sandbox, name), getattr(Sandbox, f"{name}_sync")
    assert inspect.signature(blocking) == inspect.signature(method)
    assert not inspect.iscoroutinefunction(blocking)
    assert blocking.__doc__ == method.__doc__


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"start", "close"}))
def test_every_method_needs_a_start(name: str) -> None:
    arguments: dict[str, list[Any]] = {
        "execute": ["t"],
        "execute_batch": [[]],
        "create_session": ["bash"],
        "reinitialize": ["bash"],
        "get_tool_schema": ["t"],
    }
    with pytest.raises(SandboxConnectionError, match="not started"):
        getattr(Sandbox(), f"{name}_sync")(*arguments.get(name, []))


def test_closing_twice_or_before_the_start_does_nothing() -> None:
    sandbox = Sandbox()
    sandbox.close_sync()
    sandbox.close_sync()


def test_worker_ids_are_made_up_and_differ() -> None:
    made = {Sandbox().worker_id for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"sandbox_[0-9a-f]{8}", each) for each in made)
    assert re.fullmatch(r"worker_[0-9a-f]{8}", HTTPServiceClient().worker_id)


def test_a_config_decides_alone() -> None:
    config = SandboxConfig(server_url="http://a:1", worker_id="w")
    sandbox = Sandbox("http://b:2", config=config)
    assert (sandbox.server_url, sandbox.worker_id) == ("http://a:1", "w")
    assert repr(sandbox) == "Sandbox(worker_id='w', server='http://a:1', not started)"


def test_old_imports_still_work() -> None:
    from sandbox.client import HTTPClientConfig, HTTPClientError
    from sandbox.protocol import HTTPEndpoints
    from sandbox.sandbox import DEFAULT_SERVER_CONFIG, SandboxServerStartError

    assert HTTPClientConfig().base_url == "http://localhost:18890"
    assert HTTPEndpoints.EXECUTE == "/api/v1/execute"
    assert "resources" in DEFAULT_SERVER_CONFIG
    # What was raised for a lost call stays catchable under its old name.
    assert issubclass(SandboxConnectionError, HTTPClientError)
    assert issubclass(HTTPClientError, SandboxError)
    assert issubclass(SandboxServerStartError, SandboxError)


async def test_one_that_is_not_started_may_be_copied_to_another_process(server: Loopback) -> None:
    copy = pickle.loads(pickle.dumps(Sandbox(server.url, worker_id="w")))
    async with copy:
        assert (await copy.execute("t"))["data"]["worker_id"] == "w"
