"""Starting a server for `auto_start_server`, and stopping it again.

Only ever stops what this very process started: not a server that was there
before, not one that another process started meanwhile, and not, in a forked
child, its parent's. Several `Sandbox` objects of a process that ask for the
same address share one server, which stops with the last of them, or when the
process ends: when it exits here, and when it is killed by `watcher.py`.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .config import get_default_config
from .errors import SandboxServerStartError
from .watcher import Watcher

#: Seconds between asking a server to end and killing it: longer than it lets
#: running calls go on when it is stopped.
STOP_GRACE = 15.0
#: How much of the server's output an error message quotes.
QUOTED_LINES = 20


def find_binary(binary: str | None = None) -> str:
    """The server's executable: the argument, `SANDBOX_BINARY`, or on `PATH`.

    Raises:
        SandboxServerStartError: If it is nowhere; tells where this looked.
    """
    looked = []
    for source, name in (
        ("binary=", binary),
        ("SANDBOX_BINARY", os.environ.get("SANDBOX_BINARY")),
        ("PATH", "sandbox"),
    ):
        if not name:
            looked.append(f"{source}: not set")
            continue
        found = shutil.which(os.path.expanduser(name))
        if found:
            return os.path.abspath(found)
        looked.append(f"{source}: no executable {name!r}")
        if source != "PATH":
            break  # What was named is meant; another one would be a surprise.
    trace = "\n".join(f"  {line}" for line in looked)
    raise SandboxServerStartError(
        f"the sandbox server's executable was not found; looked in\n{trace}\n"
        "Install it, or name it with binary= or SANDBOX_BINARY."
    )


def load_config(path: str | None) -> dict[str, Any]:
    """The configuration at `path`, as written; without one the default.

    Raises:
        SandboxServerStartError: If it cannot be read.
    """
    if path is None:
        return get_default_config()
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SandboxServerStartError(f"cannot read the configuration {path}: {error}") from error
    if not isinstance(config, dict):
        raise SandboxServerStartError(f"the configuration {path} is not a JSON object")
    return config


class ServerProcess:
    """A running `sandbox serve`.

    Raises:
        SandboxServerStartError: If it cannot be run.
    """

    def __init__(self, binary: str, config_path: str | None, host: str, port: int) -> None:
        self.users = 0
        self._owner = os.getpid()
        # Unnamed and opened for appending: nothing is left behind, and reading
        # it here does not move the place where the server writes.
        self._output = tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115
        # Not a TemporaryDirectory: that one a forked child would remove as it exits.
        self._directory = None if config_path else tempfile.mkdtemp(prefix="sandbox-")
        if self._directory:
            config_path = os.path.join(self._directory, "config.json")
            Path(config_path).write_text(json.dumps(get_default_config()), encoding="utf-8")
        command = [binary, "serve", "--config", os.path.abspath(config_path or "")]
        command += ["--host", host, "--port", str(port)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in a terminal is for the program; it stops its server itself.
                start_new_session=True,
            )
        except OSError as error:
            self._discard_files()
            raise SandboxServerStartError(f"cannot run {binary}: {error}") from error
        self._watcher = Watcher(self._process.pid, self._directory, STOP_GRACE)

    @property
    def exit_code(self) -> int | None:
        """Its exit code, or None while it runs."""
        code = self._process.poll()
        if code is not None and self._owner == os.getpid():
            self._watcher.dismiss()
        return code

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def output(self, tail_lines: int | None = None) -> str:
        """What it has printed, or the end of that; empty once it was stopped."""
        if self._output.closed:
            return ""
        self._output.seek(0)
        text = (self._output.read() or b"").decode("utf-8", "replace")
        lines = text.splitlines()
        return "\n".join(lines[-tail_lines:] if tail_lines else lines)

    def stop(self, grace: float = STOP_GRACE) -> None:
        """Asks it to end, waits, and kills it if it does not."""
        if self._owner != os.getpid():
            return
        if self._process.poll() is None:
            self._process.terminate()
        self.wait_or_kill(grace)

    def wait_or_kill(self, grace: float = STOP_GRACE) -> None:
        """Waits for it to end by itself, and kills it if it does not."""
        if self._owner != os.getpid():
            return
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._watcher.dismiss()
        self._discard_files()

    def forget(self) -> None:
        """In a forked child, whose server this is not."""
        self._watcher.forget()

    def _discard_files(self) -> None:
        self._output.close()
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)


class _Servers:
    """The servers that this process runs, by address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[tuple[str, int], ServerProcess] = {}

    def lease(self, url: str, binary: str | None, config_path: str | None) -> ServerProcess:
        with self._lock:
            server = self._running.get(_address(url))
            if server is None or server.exit_code is not None:
                if urlsplit(url).scheme != "http":
                    raise SandboxServerStartError(f"cannot start a server for {url!r}: not http://")
                server = ServerProcess(find_binary(binary), config_path, *_address(url))
                self._running[_address(url)] = server
            server.users += 1
            return server

    def join(self, url: str) -> ServerProcess | None:
        with self._lock:
            server = self._running.get(_address(url))
            if server is None or server.exit_code is not None:
                return None
            server.users += 1
            return server

    def release(self, server: ServerProcess) -> None:
        with self._lock:
            server.users -= 1
            if server.users > 0:
                return
            self._running = {key: each for key, each in self._running.items() if each is not server}
        server.stop()

    def forget_all(self) -> None:
        # Without the lock, which may have been held at the fork.
        for server in self._running.values():
            server.forget()

    def stop_all(self) -> None:
        with self._lock:
            servers, self._running = list(self._running.values()), {}
        for server in servers:
            server.stop()


_servers = _Servers()


def lease(url: str, binary: str | None, config_path: str | None) -> ServerProcess:
    """Starts the server at `url`, or shares the one started there before.

    Raises:
        SandboxServerStartError: If it cannot be run.
    """
    return _servers.lease(url, binary, config_path)


def join(url: str) -> ServerProcess | None:
    """Shares the server that this process runs at `url`, if it does."""
    return _servers.join(url)


def release(server: ServerProcess) -> None:
    """Gives a shared server back; the last one stops it, and waits for that."""
    _servers.release(server)


def _address(url: str) -> tuple[str, int]:
    """Where a server must listen to be reached at `url`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return ("127.0.0.1" if host == "localhost" else host), 80 if parts.port is None else parts.port


def _stop_all() -> None:
    _servers.stop_all()


def _forget_parent() -> None:
    # A forked child runs no servers; and the lock may have been held at the fork.
    global _servers
    _servers = _Servers()


def _begin_child() -> None:
    _servers.forget_all()
    _forget_parent()


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_child)
