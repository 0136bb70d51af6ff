"""A real server and a real browser, for tests of the pages that the server gives to people."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

# A loaded machine may need it; nothing waits for longer than it must.
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)

FIXTURES = {name: {"backend_class": name} for name in ("echo", "counter")}


@dataclass
class Server:
    """A running `sandbox serve`."""

    url: str
    process: subprocess.Popen[str]
    log: list[dict[str, Any]] = field(default_factory=list)

    def post(self, path: str, body: Any, **headers: str) -> Any:
        """Asks as a program would, from outside the browser."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=PATIENCE / 1000) as answer:
            return json.load(answer)

    def refused(self, path: str, body: Any) -> Any:
        """The answer to what is not done."""
        with pytest.raises(urllib.error.HTTPError) as refusal:
            self.post(path, body)
        return json.load(refusal.value)

    def logged(self, **fields: str) -> dict[str, Any]:
        """Waits for the line of the log that has these fields."""
        until = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < until:
            for entry in list(self.log):
                if fields.items() <= entry.items():
                    return entry
            time.sleep(0.02)
        pytest.fail(f"nothing in the log has {fields}")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE / 1000) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def binary() -> Path:
    path = os.environ.get("SANDBOX_BINARY")
    if not path:
        pytest.fail("set SANDBOX_BINARY to the sandbox server's executable to run these tests")
    return Path(path)


@pytest.fixture(scope="session")
def start(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts servers; all of them end with the tests."""
    servers: list[Server] = []

    def start(**config: Any) -> Server:
        config.setdefault("resources", FIXTURES)
        config["server"] = {"plugin_dirs": [str(binary.parent)], "port": 0} | config.get("server", {})
        path = tmp_path_factory.mktemp("server") / "config.json"
        path.write_text(json.dumps(config))
        process = subprocess.Popen(
            [binary, "serve", "--log-format", "json", "--config", path],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr
        seen = []
        for line in process.stderr:
            seen.append(line)
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("message") == "listening":
                server = Server(entry["url"], process)
                threading.Thread(target=follow, args=(server,), daemon=True).start()
                servers.append(server)
                return server
        process.kill()
        pytest.fail(f"the server does not listen: {seen}")

    yield start
    for server in servers:
        server.process.terminate()
        server.process.wait()


def follow(server: Server) -> None:
    """Reads the log, or the server would wait for somebody to."""
    assert server.process.stderr
    for line in server.process.stderr:
        if line.startswith("{"):
            server.log.append(json.loads(line))


@pytest.fixture(scope="session")
def server(start: Callable[..., Server]) -> Server:
    """A server without keys, for all tests that do not mind others."""
    return start()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if not path:
        pytest.fail("no Chromium; on Debian: apt-get install chromium-headless-shell")
    with sync_playwright() as playwright:
        # In a container, whoever runs the tests is often root, which Chromium's own sandbox refuses.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, and everything that it did wrong."""

    page: Page
    faults: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages; when the test is over, none of them may have complained or asked anybody else."""
    opened: list[tuple[str, Watched]] = []

    def open_page(url: str, ready: str = "main", **options: Any) -> Page:
        options = {"viewport": {"width": 1280, "height": 800}} | options
        page = browser.new_context(**options).new_page()
        page.set_default_timeout(PATIENCE)
        watched = Watched(page)
        page.on(
            "console", lambda said: said.type in ("error", "warning") and watched.faults.append(said.text)
        )
        page.on("pageerror", lambda error: watched.faults.append(str(error)))
        page.on("request", lambda request: watched.asked.append(request.url))
        opened.append((url, watched))
        page.goto(url)
        page.wait_for_selector(ready)
        return page

    yield open_page
    for url, watched in opened:
        origin = "/".join(url.split("/")[:3])
        elsewhere = [asked for asked in watched.asked if not asked.startswith((origin, "data:"))]
        # The browser itself notes every answer that is no success: those are the tests' own.
        faults = [fault for fault in watched.faults if "Failed to load resource" not in fault]
        watched.page.context.close()
        assert not elsewhere
        assert not faults


def fits(page: Page) -> bool:
    """Whether nothing sticks out at the side."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def unreachable(page: Page) -> list[str]:
    """What can be clicked, and cannot be reached with the keyboard."""
    return page.evaluate(
        """() => [...document.querySelectorAll("button, a, input, select, textarea, summary")]
        .filter((one) => one.checkVisibility() && !one.disabled && one.tabIndex < 0)
        .map((one) => one.outerHTML)"""
    )
