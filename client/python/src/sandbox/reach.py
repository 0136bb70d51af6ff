"""Waiting for a server to be ready, and starting one where none is.

Nothing is kept here: who starts at the same time as another does not meet it.
What a started server is, and who shares it, is `server.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time

from . import server
from .client import HTTPServiceClient
from .config import SandboxConfig
from .errors import SandboxConnectionError, SandboxError, SandboxServerStartError

_log = logging.getLogger("sandbox")

#: The first pause, in seconds, between two looks at a server that is starting:
#: it usually takes less than a tenth of one.
FIRST_PAUSE = 0.02


async def reach(client: HTTPServiceClient, config: SandboxConfig) -> server.ServerProcess | None:
    """Returns once the server is ready; starts it if that is allowed and needed.

    Returns:
        The server, if it was started by this process. It is to be released.

    Raises:
        SandboxConnectionError: If no server is there and none may be started.
        SandboxServerStartError: If the one started here does not get ready.
    """
    search = _Search(client, config)
    try:
        await search.until_ready()
    except BaseException:
        if search.leased is not None:
            await asyncio.to_thread(server.release, search.leased)
        raise
    return search.leased


class _Search:
    def __init__(self, client: HTTPServiceClient, config: SandboxConfig) -> None:
        self._client = client
        self._config = config
        self.leased: server.ServerProcess | None = None
        self._join()

    async def until_ready(self) -> None:
        deadline = time.monotonic() + self._config.server_startup_timeout
        pause = FIRST_PAUSE
        while True:
            # Looked at in this order: one that lost the race for its port has
            # exited, and the winner, which answers, is as good.
            exit_code = None if self.leased is None else self.leased.exit_code
            state = await self._client.readiness()
            if state == "ready":
                self._join()  # Who leased it meanwhile must not stop it under this one.
                return
            if state == "absent":
                if exit_code is not None:
                    raise self._start_error(f"the server exited with code {exit_code}")
                if self.leased is None:
                    await self._start()
            if time.monotonic() > deadline:
                raise self._late(state)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, self._config.server_check_interval)

    def _join(self) -> None:
        if self.leased is None and self._config.auto_start_server:
            self.leased = server.join(self._config.server_url)

    async def _start(self) -> None:
        config = self._config
        if not config.auto_start_server:
            # Its error says why nothing answers; without one the server has come just now.
            await self._client.connect()
            return
        self.leased = server.lease(config.server_url, config.binary, config.server_config_path)
        _log.info("started a server at %s (pid %d)", config.server_url, self.leased.pid)

    def _late(self, state: str) -> SandboxError:
        after = f"{self._config.server_startup_timeout:g} s"
        said = f"{self._config.server_url} is {state} after {after}"
        return SandboxConnectionError(said) if self.leased is None else self._start_error(said)

    def _start_error(self, message: str) -> SandboxServerStartError:
        output = "" if self.leased is None else self.leased.output(server.QUOTED_LINES)
        return SandboxServerStartError(message, output)
