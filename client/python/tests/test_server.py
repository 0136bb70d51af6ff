"""Whose server is started, waited for, and stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from live import free_url
from loopback import PATIENCE, Loopback

import sandbox.server
from sandbox import HTTPServiceClient, Sandbox, SandboxServerStartError
from sandbox.server import find_binary
from sandbox.watcher import Watcher

pytestmark = pytest.mark.anyio


@pytest.fixture
def url() -> Iterator[str]:
    with free_url() as url:
        yield url.replace("127.0.0.1", "localhost")


@pytest.fixture
def binary(tmp_path: Path) -> str:
    script = tmp_path / "sandbox"
    standin = Path(__file__).with_name("standin.py")
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{standin}" "$@"\n')
    script.chmod(0o755)
    return str(script)


def config(tmp_path: Path, behaviour: str) -> str:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"standin": behaviour}))
    return str(path)


def pid_of(started: Sandbox) -> int:
    process = started._server
    assert process is not None
    return process.pid


def is_alive(pid: int) -> bool:
    """Whether it runs; one that ended and was waited for is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_server_is_started_when_none_answers_and_stopped_again(
    url: str, binary: str, tmp_path: Path
) -> None:
    path = config(tmp_path, "serve")
    sandbox = Sandbox(url, auto_start_server=True, binary=binary, server_config_path=path)
    async with sandbox as started:
        pid = pid_of(started)
        assert (await started.execute("t"))["code"] == 0
        assert started.get_server_log() == f"config {path}"
    assert not is_alive(pid)
    assert started.get_server_log() is None


def test_without_a_config_the_default_one_is_served(url: str, binary: str) -> None:
    with Sandbox(url, auto_start_server=True, binary=binary) as started:
        path = Path((started.get_server_log() or "").split(" ", 1)[1])
        assert json.loads(path.read_text()) == started.get_server_config()
    assert not path.exists()


async def test_a_server_that_was_there_is_used_and_left_alone(
    server: Loopback, binary: str
) -> None:
    async with Sandbox(server.url, auto_start_server=True, binary=binary) as joined:
        assert joined._server is None
    async with Sandbox(server.url) as again:
        assert (await again.execute("t"))["code"] == 0


async def test_sandboxes_of_one_process_share_a_server_until_the_last(
    url: str, binary: str
) -> None:
    made = [Sandbox(url, auto_start_server=True, binary=binary) for _ in range(4)]
    await asyncio.gather(*(each.start() for each in made))
    (pid,) = {pid_of(each) for each in made}
    late = Sandbox(url.replace("localhost", "127.0.0.1"), auto_start_server=True, binary=binary)
    await late.start()
    for each in made:
        await each.close()
    assert (await late.execute("t"))["code"] == 0
    await late.close()
    assert not is_alive(pid)


async def test_one_that_finds_a_server_only_when_it_is_ready_shares_it_too(
    url: str, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, started = asyncio.Event(), asyncio.Event()
    readiness = HTTPServiceClient.readiness

    async def held_up(client: HTTPServiceClient) -> str:
        if client.worker_id == "late":
            looking.set()
            await started.wait()
        return await readiness(client)

    monkeypatch.setattr(HTTPServiceClient, "readiness", held_up)
    late = Sandbox(url, worker_id="late", auto_start_server=True, binary=binary)
    starting = asyncio.ensure_future(late.start())
    await looking.wait()
    async with Sandbox(url, auto_start_server=True, binary=binary) as first:
        pid = pid_of(first)
        started.set()
        await starting
    assert (await late.execute("t"))["code"] == 0
    await late.close()
    assert not is_alive(pid)


async def test_one_that_is_started_several_times_at_once_has_one_server(
    url: str, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leased = threading.Event()
    lease = sandbox.server.lease

    def watched(*args: Any) -> sandbox.server.ServerProcess:
        server = lease(*args)
        leased.set()
        return server

    monkeypatch.setattr(sandbox.server, "lease", watched)
    started = Sandbox(url, auto_start_server=True, binary=binary)
    starting = [asyncio.ensure_future(started.start())]
    assert await asyncio.to_thread(leased.wait, PATIENCE)
    # These find the server of the first before that has become the sandbox's.
    starting += [asyncio.ensure_future(started.start()) for _ in range(3)]
    starting += [asyncio.ensure_future(asyncio.to_thread(started.start_sync)) for _ in range(3)]
    await asyncio.gather(*starting)
    pid = pid_of(started)
    assert (await started.execute("t"))["code"] == 0
    await started.close()
    assert not is_alive(pid)


async def test_the_loser_of_a_race_for_the_port_joins_the_winner(url: str, binary: str) -> None:
    async with Sandbox(url, auto_start_server=True, binary=binary) as winner:
        # As in another process, which knows nothing of the winner's server.
        sandbox.server._forget_parent()
        late = Sandbox(url, auto_start_server=True, binary=binary)
        loser = sandbox.server.lease(url, binary, None)
        assert await asyncio.to_thread(loser._process.wait, PATIENCE) != 0
        await late.start()
        assert (await late.execute("t"))["code"] == 0
        await late.close()
        sandbox.server.release(loser)
        assert (await winner.execute("t"))["code"] == 0


async def test_a_server_that_fails_says_why(url: str, binary: str, tmp_path: Path) -> None:
    path = config(tmp_path, "fail")
    starting = Sandbox(url, auto_start_server=True, binary=binary, server_config_path=path)
    with pytest.raises(SandboxServerStartError, match="corpus not found") as caught:
        await starting.start()
    assert "the server exited with code 1" in str(caught.value)
    assert caught.value.output.splitlines()[-1] == "error: resources.rag: corpus not found"


async def test_a_server_that_never_gets_ready_is_given_up_and_stopped(
    url: str, binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[int] = []
    release = sandbox.server.release

    def watched(process: sandbox.server.ServerProcess) -> None:
        release(process)
        released.append(process.pid)

    monkeypatch.setattr(sandbox.server, "release", watched)
    path = config(tmp_path, "never ready")
    starting = Sandbox(
        url,
        auto_start_server=True,
        binary=binary,
        server_config_path=path,
        server_startup_timeout=1.0,
    )
    with pytest.raises(SandboxServerStartError, match=r"is (starting|absent|silent) after 1 s"):
        await starting.start()
    (pid,) = released
    assert not is_alive(pid)


async def test_a_server_that_will_not_end_is_killed(
    url: str, binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path, "ignore SIGTERM")
    started = Sandbox(url, auto_start_server=True, binary=binary, server_config_path=path)
    await started.start()
    process = started._server
    assert process is not None
    process.stop(grace=0.1)
    assert not is_alive(process.pid)
    await started.close()


async def test_shutting_down_waits_for_the_end(url: str, binary: str) -> None:
    started = Sandbox(url, auto_start_server=True, binary=binary)
    await started.start()
    pid = pid_of(started)
    assert (await started.shutdown_server())["status"] == "success"
    assert not is_alive(pid)
    assert not started.is_started


def test_the_exit_of_the_process_stops_its_server(url: str, binary: str) -> None:
    program = f"""
        from sandbox import Sandbox
        started = Sandbox({url!r}, auto_start_server=True, binary={binary!r}).start_sync()
        print(started._server.pid)
        """
    assert not is_alive(int(run(program)))


@pytest.mark.parametrize("end", ["SIGTERM", "SIGHUP", "SIGKILL"])
@pytest.mark.parametrize("forked", [False, True], ids=["alone", "with a child that goes on"])
def test_the_death_of_the_process_stops_its_server(
    url: str, binary: str, end: str, forked: bool
) -> None:
    program = f"""
        import os, sys
        from sandbox import Sandbox
        started = Sandbox({url!r}, auto_start_server=True, binary={binary!r}).start_sync()
        if {forked} and os.fork() == 0:
            os.close(1)
            sys.stdin.read()
            os._exit(0)
        print(started.get_server_log(), flush=True)
        sys.stdin.read()
        """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as dying:
        assert dying.stdout is not None
        config = Path(dying.stdout.readline().strip().split(" ", 1)[1])
        address = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        with socket.create_connection(address, timeout=PATIENCE) as watching:
            dying.send_signal(getattr(signal, end))
            # The server ends, and its connections with it.
            with suppress(ConnectionResetError):
                assert watching.recv(1) == b""
        _until_gone(config.parent)


def _until_gone(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_that_nobody_reaps_has_ended_all_the_same(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as ended:
        watcher = Watcher(ended.pid, str(tmp_path), grace=600)
        watcher.forget()  # Which is as if the program were gone.
        assert watcher._process is not None
        assert watcher._process.wait(PATIENCE) == 0
    assert ended.returncode == -signal.SIGTERM
    assert not tmp_path.exists()


def test_a_server_that_has_ended_is_watched_no_more(url: str, binary: str) -> None:
    # Its process number may be another one's by now.
    with Sandbox(url, auto_start_server=True, binary=binary) as started:
        server = started._server
        assert server is not None
        watcher = server._watcher._process
        assert watcher is not None
        server._process.kill()
        server._process.wait()
        assert server.exit_code is not None
        assert watcher.returncode == 0


def test_a_forked_child_does_not_stop_its_parents_server(url: str, binary: str) -> None:
    program = f"""
        import os, pathlib, sys
        from sandbox import Sandbox
        with Sandbox({url!r}, auto_start_server=True, binary={binary!r}) as started:
            config = pathlib.Path(started.get_server_log().split(" ", 1)[1])
            child = os.fork()
            if child == 0:
                started.close_sync()
                sys.exit()
            assert os.waitpid(child, 0)[1] == 0
            assert config.exists()
            print(started.execute_sync("t")["code"])
        """
    assert run(program) == "0"


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def test_only_plain_http_can_be_started(binary: str) -> None:
    starting = Sandbox("https://localhost:1", auto_start_server=True, binary=binary)
    with pytest.raises(SandboxServerStartError, match="not http://"):
        await starting.start()


def test_the_binary_is_looked_for_in_order(binary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(binary).parent))
    monkeypatch.delenv("SANDBOX_BINARY", raising=False)
    assert find_binary() == binary
    monkeypatch.setenv("SANDBOX_BINARY", "/bin/sh")
    assert find_binary() == "/bin/sh"
    assert find_binary(binary) == binary


def test_a_binary_that_was_named_is_not_replaced_by_another(
    binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(binary).parent))
    with pytest.raises(SandboxServerStartError, match="binary=: no executable '/nowhere'"):
        find_binary("/nowhere")


def test_a_missing_binary_is_told_with_every_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("SANDBOX_BINARY", raising=False)
    with pytest.raises(SandboxServerStartError) as caught:
        find_binary()
    assert "binary=: not set" in str(caught.value)
    assert "SANDBOX_BINARY: not set" in str(caught.value)
    assert "PATH: no executable 'sandbox'" in str(caught.value)


def test_configurations_are_written_and_read(tmp_path: Path) -> None:
    path = str(tmp_path / "config.json")
    Sandbox.create_config_template(path)
    assert Sandbox(server_config_path=path).get_server_config() == Sandbox().get_server_config()
    Sandbox().save_server_config({"resources": {}}, path)
    assert Sandbox(server_config_path=path).get_server_config() == {"resources": {}}
    with pytest.raises(SandboxServerStartError, match="cannot read"):
        Sandbox(server_config_path=path + "x").get_server_config()
