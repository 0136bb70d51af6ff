"""What this package raises.

A tool that fails is not an exception: its answer is an envelope whose `code`
is not 0. Exceptions are for calls that got no such answer. Everything derives
from `SandboxError`.
"""

from __future__ import annotations

from typing import Any


class SandboxError(Exception):
    """Base of everything that this package raises on purpose."""


class HTTPClientError(SandboxError):
    """A request that did not get the answer it asked for.

    Raised itself when the server refuses a request whose successful answer is
    not an envelope (tools, warm-up, shutdown).

    Attributes:
        status_code: The HTTP status, if an answer came.
        response: The decoded body, if it was a JSON object.
    """

    def __init__(
        self,
        message: str,
        status_code: int | None = None,
        response: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.response = response

    @property
    def code(self) -> int | None:
        """The protocol's code from the server's envelope, if it sent one."""
        code = (self.response or {}).get("code")
        return code if isinstance(code, int) else None


class SandboxConnectionError(HTTPClientError):
    """No answer: not reachable, cut off, timed out, or not a sandbox server.

    Attributes:
        may_have_run: False only when the request certainly never left this
            process, so that sending it again cannot do anything twice.
    """

    def __init__(
        self, message: str, status_code: int | None = None, *, may_have_run: bool = False
    ) -> None:
        super().__init__(message, status_code)
        self.may_have_run = may_have_run


class SandboxSessionError(HTTPClientError):
    """A session operation that has no envelope to report its failure in."""


class SandboxServerStartError(SandboxError):
    """The server that was to be started here did not become ready.

    Attributes:
        output: The end of what the server printed.
    """

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(f"{message}\n{output}" if output else message)
        self.output = output
