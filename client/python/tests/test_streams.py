"""A stream of events is read as it was sent, whatever is in it and wherever it is cut."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from loopback import Answer, Raw, Request, envelope, loopback, protocol

from sandbox import Sandbox, SandboxConnectionError
from sandbox.events import read_events

pytestmark = pytest.mark.anyio

STREAM = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
RESULT = f"event: result\ndata: {json.dumps(envelope())}\n\n"


async def events_of(stream: str) -> list[tuple[str, Any]]:
    content = (STREAM + stream).encode()

    def answer(request: Request) -> Answer:
        return Raw(content) if request.path == "/api/v1/execute" else protocol(request)

    with loopback(answer) as server:
        async with Sandbox(server.url) as sandbox:
            return [each async for each in sandbox.execute_stream("t")]


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
async def test_what_ends_a_line_of_text_ends_none_of_a_stream(odd: str) -> None:
    chunk = f"one{odd}two"
    output = "event: output\ndata: " + json.dumps({"chunk": chunk}, ensure_ascii=False) + "\n\n"
    if odd < " ":  # JSON has no other way to say these.
        output = f"event: output\ndata: {json.dumps({'chunk': chunk})}\n\n"
    assert await events_of(output + RESULT) == [
        ("output", {"chunk": chunk}),
        ("result", envelope()),
    ]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
async def test_events_are_read_wherever_they_are_cut(end: str) -> None:
    lines = [": alive", "", "event:output", 'data:{"chunk":', 'data: "ü"}', "", "data: 1", "", ""]
    content = end.join(lines).encode()
    for size in range(1, len(content)):
        cut = [content[at : at + size] for at in range(0, len(content), size)]
        events = [each async for each in read_events(_each(cut))]
        assert events == [("output", {"chunk": "ü"}), ("", 1)]


async def _each(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize("data", ["{", "\\", "[" * 100_000, "NaN or so"])
async def test_an_event_that_cannot_be_read_is_a_lost_call(data: str) -> None:
    with pytest.raises(SandboxConnectionError, match="cannot be read") as caught:
        await events_of(f"event: output\ndata: {data}\n\n{RESULT}")
    assert caught.value.may_have_run
