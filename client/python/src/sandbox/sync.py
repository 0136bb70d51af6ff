"""Blocking twins of asynchronous methods.

All of them run on one event loop, in one daemon thread of this process. That
is what lets a twin be called from any thread, from inside a running event
loop (which it blocks, as any blocking call does), and any number of times:
connections stay open from one call to the next.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Callable, TypeVar, cast

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    P = ParamSpec("P")

S = TypeVar("S")
T = TypeVar("T")


def twin(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], T]:
    """The blocking form of an `async` method, with the same arguments."""

    @functools.wraps(method)
    def blocking(self: S, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(method(self, *args, **kwargs))

    blocking.__name__ = f"{method.__name__}_sync"
    blocking.__qualname__ = f"{method.__qualname__}_sync"
    return cast("Callable[Concatenate[S, P], T]", blocking)


def stream_twin(
    method: Callable[Concatenate[S, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[S, P], Iterator[T]]:
    """The blocking form of a method that yields, with the same arguments."""

    @functools.wraps(method)
    def blocking(self: S, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        values = method(self, *args, **kwargs)
        try:
            while True:
                try:
                    value = run(_next(values))
                except StopAsyncIteration:
                    return
                yield value
        finally:
            run(values.aclose())

    blocking.__name__ = f"{method.__name__}_sync"
    blocking.__qualname__ = f"{method.__qualname__}_sync"
    return cast("Callable[Concatenate[S, P], Iterator[T]]", blocking)


async def _next(values: AsyncGenerator[T, None]) -> T:
    return await values.__anext__()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on the background loop and waits for what it returns.

    Being interrupted (Ctrl-C) cancels the coroutine.
    """
    future = asyncio.run_coroutine_threadsafe(coroutine, _background.loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


class _Background:
    """The loop and its thread, started by the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, name="sandbox-sync", daemon=True
                ).start()
            return self._loop


_background = _Background()


def _forget_parent() -> None:
    # Threads do not survive a fork, and the lock may have been held at it.
    global _background
    _background = _Background()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
