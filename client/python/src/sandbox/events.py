"""Reading JSON, and streams of events, from the bytes of an answer.

What is read comes from whoever answers at an address. Whatever that may be,
`ValueError` is all that it can cause here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any


def read_json(content: bytes) -> Any:
    """The value that `content` is.

    Raises:
        ValueError: If it is none.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


async def read_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, Any]]:
    """The events of a stream: name and decoded data; comments and other fields are left out.

    Raises:
        ValueError: If the data of one is not JSON.
    """
    event = ""
    data: list[bytes] = []
    lines = _Lines()
    async for chunk in chunks:
        for line in lines.take(chunk):
            name, _, value = line.partition(b":")
            if value.startswith(b" "):
                value = value[1:]
            if name == b"event":
                event = value.decode("utf-8", "replace")
            elif name == b"data":
                data.append(value)
            elif not line:
                if data:
                    yield event, read_json(b"\n".join(data))
                event, data = "", []


class _Lines:
    """Puts lines together, wherever the bytes are cut.

    They are split as bytes: text has more line ends (U+2028 for one) than a
    stream of events has, and those occur within its data.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._after_return = False

    def take(self, chunk: bytes) -> list[bytes]:
        """The lines that end in this chunk, without their ends."""
        if self._after_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_return = False
        if not chunk:
            return []
        self._after_return = chunk.endswith(b"\r")
        lines = chunk.splitlines()
        unfinished = b"" if chunk.endswith((b"\r", b"\n")) else lines.pop()
        if lines:
            lines[0] = b"".join([*self._parts, lines[0]])
            self._parts = []
        if unfinished:
            self._parts.append(unfinished)
        return lines
