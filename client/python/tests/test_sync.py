"""Blocking twins wait for nothing that cannot come, and let go when they are interrupted."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from loopback import PATIENCE, Answer, Loopback, Raw, Request, loopback, protocol

from sandbox import Sandbox
from sandbox.sync import _Call

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: output\ndata: {}\n\n"


def streaming(request: Request) -> Answer:
    return Raw(STREAM) if request.path == "/api/v1/execute" else protocol(request)


def run(server: Loopback, program: str) -> subprocess.CompletedProcess[str]:
    """A program of its own: what hangs can be killed with it."""
    begin = f"from sandbox import Sandbox\nsandbox = Sandbox({server.url!r}).start_sync()\n"
    command = [sys.executable, "-c", begin + textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


ENDS = {
    "at its end": """
        stream = sandbox.execute_stream_sync("t")
        print(next(stream))
    """,
    "with an error": """
        def main():
            stream = sandbox.execute_stream_sync("t")
            print(next(stream))
            raise SystemExit(0)
        main()
    """,
    "in a module that is taken apart": """
        import sys
        class Late:
            def __del__(self, box=sandbox):
                try:
                    box.execute_sync("t")
                except RuntimeError:
                    pass
        sys.late = Late()
        print(next(sandbox.execute_stream_sync("t")))
    """,
}


@pytest.mark.parametrize("program", ENDS.values(), ids=ENDS.keys())
def test_a_program_ends_with_a_stream_that_it_has_not_read(program: str) -> None:
    with loopback(streaming) as server:
        ended = run(server, program)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "('output', {})\n", "")


def test_a_stream_may_be_collected_on_the_thread_that_reads_it() -> None:
    with loopback(streaming) as server:
        ended = run(
            server,
            """
            import gc
            from sandbox.sync import run

            gc.disable()
            def leave():
                stream = sandbox.execute_stream_sync("t")
                next(stream)
                cycle = {"stream": stream}
                cycle["self"] = cycle
            leave()

            async def collect():
                gc.collect()

            run(collect())
            print(sandbox.get_status_sync()["code"])
            """,
        )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "0\n", "")


def test_an_interrupted_stream_is_an_interrupt() -> None:
    def answer(request: Request) -> Answer:
        if request.path != "/api/v1/execute":
            return protocol(request)
        os.kill(os.getpid(), signal.SIGINT)
        return None

    with loopback(answer) as server, Sandbox(server.url) as sandbox:
        for _ in range(5):
            with pytest.raises(KeyboardInterrupt):
                next(sandbox.execute_stream_sync("t"))
            assert server.hung_up.wait(PATIENCE)


def test_a_parameter_of_a_tool_may_have_any_name() -> None:
    with loopback(protocol) as server, Sandbox(server.url) as sandbox:
        answer = sandbox.execute_sync("t", self=1)
        assert answer["data"]["params"] == {"self": 1}


def test_a_call_that_is_interrupted_before_it_begins_is_not_waited_for() -> None:
    call = _Call(asyncio.sleep(600))
    call.cancel()
    assert concurrent.futures.wait([call.outcome], timeout=PATIENCE).done
