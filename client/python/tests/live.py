"""A configuration and an address for tests that drive the real server."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DOCUMENTS = [
    {"id": "ferris", "title": "Ferris", "contents": "Ferris the crab is the mascot of Rust."},
    {"id": "gopher", "title": "Gopher", "contents": "The gopher is the mascot of Go."},
    {"id": "duke", "title": "Duke", "contents": "Duke is the mascot of Java."},
]


@contextmanager
def free_url() -> Iterator[str]:
    """An address that stays free for a server: nobody else is given its port meanwhile."""
    with socket.socket() as probe:
        # With this a server, which sets it too, may listen beside a socket that does not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{probe.getsockname()[1]}"


def write_config(folder: Path, **server: Any) -> str:
    """A config with both backends, whose corpus and index lie beside it."""
    lines = [json.dumps(document) for document in DOCUMENTS]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    resources = {
        "bash": {
            "enabled": True,
            "backend_class": "bash",
            # These tests are about the client; a machine that cannot isolate may run them.
            # What they end in time, the backend itself would let run much longer.
            "config": {"sandbox": "best_effort", "default_timeout": 600},
        },
        "rag": {
            "enabled": True,
            "backend_class": "rag",
            "config": {
                "index_path": str(folder / "index"),
                "corpus_path": str(folder / "corpus.jsonl"),
            },
        },
    }
    path = folder / "config.json"
    path.write_text(json.dumps({"server": {"session_ttl": 300, **server}, "resources": resources}))
    return str(path)
