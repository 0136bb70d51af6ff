"""Blocking twins of asynchronous methods.

All of them run on one event loop, in one daemon thread of this process. That
is what lets a twin be called from any thread, from inside a running event
loop (which it blocks, as any blocking call does), and any number of times:
connections stay open from one call to the next.

Nothing here waits for that thread when it cannot go on: on the thread itself,
and once the interpreter ends. The collector of garbage runs code of streams in
both places.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import os
import sys
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar, cast

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    P = ParamSpec("P")

#: Seconds that an interrupted call has to end: it tells the server first.
INTERRUPT_GRACE = 5.0

# What yields, held here so that the collector never finds it together with who
# reads it: it would end the parts of a stream in any order, all at once.
_open: set[AsyncGenerator[Any, None]] = set()

S = TypeVar("S")
T = TypeVar("T")


def twin(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], T]:
    """The blocking form of an `async` method, with the same arguments."""

    @functools.wraps(method)
    def blocking(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(method(self, *args, **kwargs))

    blocking.__name__ = f"{method.__name__}_sync"
    blocking.__qualname__ = f"{method.__qualname__}_sync"
    return cast("Callable[Concatenate[S, P], T]", blocking)


def stream_twin(
    method: Callable[Concatenate[S, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[S, P], Iterator[T]]:
    """The blocking form of a method that yields, with the same arguments."""

    @functools.wraps(method)
    def blocking(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        values = method(self, *args, **kwargs)
        _open.add(values)
        try:
            while True:
                try:
                    value = run(_next(values))
                except StopAsyncIteration:
                    return
                yield value
        finally:
            _close(values)

    blocking.__name__ = f"{method.__name__}_sync"
    blocking.__qualname__ = f"{method.__qualname__}_sync"
    return cast("Callable[Concatenate[S, P], Iterator[T]]", blocking)


async def _next(values: AsyncGenerator[T, None]) -> T:
    return await values.__anext__()


async def _closed(values: AsyncGenerator[Any, None]) -> None:
    try:
        await values.aclose()
    finally:
        _open.discard(values)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on the background loop and waits for what it returns.

    Being interrupted (Ctrl-C) cancels the coroutine, and waits until it has ended.

    Raises:
        RuntimeError: Where waiting would be for ever.
    """
    if not _background.may_be_waited_for():
        coroutine.close()
        raise RuntimeError(
            "blocking calls are not possible on the thread that does them, "
            "nor while the interpreter ends"
        )
    call = _Call(coroutine)
    loop = _background.loop()
    try:
        # Within, as an interrupt may come as soon as the other thread has this.
        loop.call_soon_threadsafe(call.begin)
        return call.outcome.result()
    except BaseException:
        if not call.outcome.done():
            loop.call_soon_threadsafe(call.cancel)
            concurrent.futures.wait([call.outcome], INTERRUPT_GRACE)
        raise
    finally:
        del call  # It has the error, whose traceback has this frame.


class _Call(Generic[T]):
    """A coroutine on its way through the background loop."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[T] | None = None
        #: Unlike that of `run_coroutine_threadsafe` it is done when the task is,
        #: and not when that is asked to end.
        self.outcome: concurrent.futures.Future[T] = concurrent.futures.Future()

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._coroutine)
        self._task.add_done_callback(self._done)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:  # Interrupted before it could begin, which it never will now.
            self._coroutine.close()
            self.outcome.cancel()
            self.outcome.set_running_or_notify_cancel()  # Or nobody who waits hears of it.

    def _done(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.outcome.set_exception(concurrent.futures.CancelledError())
            return
        error = task.exception()
        if error is None:
            self.outcome.set_result(task.result())
        else:
            self.outcome.set_exception(error)


def _close(values: AsyncGenerator[Any, None]) -> None:
    """Ends what yields, and waits for that where it is possible."""
    if _background.may_be_waited_for():
        # Being interrupted for too long leaves it running; that is no news then.
        with contextlib.suppress(RuntimeError):
            run(_closed(values))
    elif not sys.is_finalizing():
        _background.close_soon(values)


class _Background:
    """The loop and its thread, started by the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        # The loop itself holds them only weakly.
        self._closing: set[asyncio.Task[None]] = set()

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=loop.run_forever, name="sandbox-sync", daemon=True
                )
                self._thread.start()
                self._loop = loop  # Last, as an interrupt may come before the thread is there.
            return self._loop

    def may_be_waited_for(self) -> bool:
        """Whether the thread goes on while the one that asks waits."""
        return self._thread is not threading.current_thread() and not sys.is_finalizing()

    def close_soon(self, values: AsyncGenerator[Any, None]) -> None:
        """Ends what yields, from the thread itself."""
        if self._loop is not None:
            task = self._loop.create_task(_closed(values))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


_background = _Background()


def _forget_parent() -> None:
    # Threads do not survive a fork, and the lock may have been held at it.
    global _background
    _background = _Background()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
