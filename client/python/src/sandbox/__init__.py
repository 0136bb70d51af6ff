"""Python client of the sandbox server: tools for AI agents over HTTP.

Read `sandbox.py` first: it is what programs use. `client.py` has one method
per route, `transport.py` sends, `server.py` starts a server when asked to.
"""

from .client import HTTPServiceClient, create_client, quick_execute
from .config import DEFAULT_SERVER_CONFIG, HTTPClientConfig, SandboxConfig, get_default_config
from .errors import (
    HTTPClientError,
    SandboxConnectionError,
    SandboxError,
    SandboxServerStartError,
    SandboxSessionError,
)
from .protocol import HTTPEndpoints
from .sandbox import Sandbox, create_sandbox

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_SERVER_CONFIG",
    "HTTPClientConfig",
    "HTTPClientError",
    "HTTPEndpoints",
    "HTTPServiceClient",
    "Sandbox",
    "SandboxConfig",
    "SandboxConnectionError",
    "SandboxError",
    "SandboxServerStartError",
    "SandboxSessionError",
    "create_client",
    "create_sandbox",
    "get_default_config",
    "quick_execute",
]
