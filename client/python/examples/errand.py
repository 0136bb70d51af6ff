"""An errand through every kind of resource, done by many workers at once.

Each worker opens a page, fills its form and reads the answer from the page's snapshot;
types that answer into an editor on a desktop of its own and looks at it; runs a program
over it; indexes what came out, and finds it again. What one worker wrote must never turn
up at another.

    python errand.py --server http://127.0.0.1:18890 --workers 20 --pictures /tmp/pictures

The server needs the backends `browser`, `vm`, `code` and `rag`; the page is served by this
program on loopback, so `browser` must list 127.0.0.1 under `allowed_hosts`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import html
import json
import re
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sandbox import Sandbox

FORM = """<!doctype html><title>Order</title><form action="/order">
<label>Name <input name="name"></label><button>Order</button></form>"""

#: How long the editor may take until its window shows something.
PATIENCE = 30.0


class Page(BaseHTTPRequestHandler):
    """A form, and the page that answers it."""

    def do_GET(self) -> None:
        """Answers with the form, or with what was asked for in it."""
        url = urllib.parse.urlparse(self.path)
        name = urllib.parse.parse_qs(url.query).get("name", [""])[0]
        ordered = f"<!doctype html><title>Ordered</title><h1>Order {html.escape(name)} taken</h1>"
        body = (ordered if url.path == "/order" else FORM).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing: the server under test has a log of its own."""


async def call(sandbox: Sandbox, action: str, **params: Any) -> dict[str, Any]:
    """Calls a tool that must succeed; its data."""
    answer = await sandbox.execute(action, params)
    if answer["code"] != 0:
        raise RuntimeError(f"{action}: {answer['code']} {answer['message']}")
    data: dict[str, Any] = answer["data"]
    return data


def ref_of(snapshot: str, role: str) -> str:
    """The ref of the first element of this role."""
    found = re.search(rf"{role}\b[^\n]*?\[ref=([^\]]+)\]", snapshot)
    if not found:
        raise RuntimeError(f"no {role} in the snapshot:\n{snapshot}")
    return found[1]


async def errand(server: str, page: str, number: int, pictures: Path | None) -> float:
    """One worker's errand; the seconds it took."""
    name = f"number-{number}-{number * 7919 % 1000}"
    started = time.monotonic()
    async with Sandbox(server_url=server, worker_id=f"errand-{number}") as sandbox:
        created = await sandbox.create_session(
            {"browser": {}, "vm": {"screen_size": [800, 600]}, "code": {}}
        )
        if created["status"] != "success":
            raise RuntimeError(f"sessions: {created}")
        # 1. The page: fill the form by its snapshot's refs, read the answer from the next snapshot.
        await call(sandbox, "browser:goto", url=page)
        form = (await call(sandbox, "browser:snapshot"))["snapshot"]
        await call(sandbox, "browser:type", ref=ref_of(form, "textbox"), text=name)
        await call(sandbox, "browser:click", ref=ref_of(form, "button"))
        await call(sandbox, "browser:wait_for_selector", selector="h1")
        answer = (await call(sandbox, "browser:snapshot"))["snapshot"]
        found = re.search(r"Order (\S+) taken", answer)
        if not found or found[1] != name:
            raise RuntimeError(f"the page answered somebody else:\n{answer}")
        # 2. The desktop: type it into an editor, and see it there.
        await call(sandbox, "vm:launch", command=["l3afpad", "note.txt"])
        await shown(sandbox, "note.txt")
        await call(sandbox, "vm:click", x=400, y=300)
        await call(sandbox, "vm:type", text=found[0])
        after = await shown(sandbox, found[0])
        await call(sandbox, "vm:hotkey", keys=["ctrl", "s"])
        if pictures:
            shot = (await call(sandbox, "browser:screenshot"))["image"]
            (pictures / f"{number}-page.png").write_bytes(base64.b64decode(shot))
            (pictures / f"{number}-desktop.png").write_bytes(base64.b64decode(after))
        # 3. A program over the text.
        program = "import sys; print(sys.stdin.read()[::-1], end='')"
        ran = await call(sandbox, "code:execute", code=program, language="python", stdin=found[0])
        if ran["stdout"] != found[0][::-1]:
            raise RuntimeError(f"the program read something else: {ran}")
        # 4. The index: put it in, and find it again.
        document = {"id": f"errand-{number}", "title": name, "text": f"{found[0]} {ran['stdout']}"}
        await call(sandbox, "rag:index", documents=[document])
        results = (await call(sandbox, "rag:search", query=found[0], top_k=3))["results"]
        if not any(result["title"] == name for result in results):
            raise RuntimeError(f"not found again: {[result['title'] for result in results]}")
        await call(sandbox, "rag:delete", ids=[document["id"]])
        await sandbox.destroy_session(["browser", "vm", "code"])
    return time.monotonic() - started


async def shown(sandbox: Sandbox, text: str) -> str:
    """Waits until a window of the desktop holds this text; a picture of it.

    What windows hold is in the accessibility tree that comes with each picture. Pictures
    themselves are a poor thing to wait for: a cursor blinks in them.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        screen = await call(sandbox, "vm:screenshot")
        if text in json.dumps(screen["accessibility_tree"]):
            image: str = screen["image"]
            return image
        await call(sandbox, "vm:wait", seconds=0.2)
    raise RuntimeError(f"no window shows {text!r}")


async def run(arguments: argparse.Namespace) -> None:
    """Sends all workers."""
    pictures: Path | None = arguments.pictures
    site = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    page = f"http://127.0.0.1:{site.server_address[1]}/"
    numbers = range(arguments.workers)
    errands = [errand(arguments.server, page, number, pictures) for number in numbers]
    results = await asyncio.gather(*errands, return_exceptions=True)
    failed = [
        (number, result)
        for number, result in zip(numbers, results)
        if isinstance(result, BaseException)
    ]
    for number, result in failed:
        print(f"worker {number}: {result}")
    took = sorted(result for result in results if isinstance(result, float))
    if took:
        print(f"{len(took)} of {arguments.workers} done, in {took[0]:.1f} to {took[-1]:.1f} s each")
    if failed:
        raise SystemExit(1)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--server", default="http://127.0.0.1:18890")
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument(
        "--pictures", type=Path, help="where to put a picture of each page and desktop"
    )
    arguments = parser.parse_args()
    if arguments.pictures:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    asyncio.run(run(arguments))


if __name__ == "__main__":
    main()
