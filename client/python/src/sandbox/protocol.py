"""The paths of the wire protocol, and the shape of its answers."""

from __future__ import annotations

from typing import Any

#: Where a server listens unless told otherwise.
DEFAULT_SERVER_URL = "http://localhost:18890"

#: `{"code": int, "message": str, "data": Any, "meta": {...}}`; `code` 0 is success.
Envelope = dict[str, Any]


class HTTPEndpoints:
    """The path of every route."""

    HEALTH = "/health"
    READY = "/ready"
    EXECUTE = "/api/v1/execute"
    EXECUTE_BATCH = "/api/v1/execute/batch"
    SESSION_CREATE = "/api/v1/session/create"
    SESSION_DESTROY = "/api/v1/session/destroy"
    SESSION_LIST = "/api/v1/session/list"
    SESSION_REFRESH = "/api/v1/session/refresh"
    HEARTBEAT = "/api/v1/lifecycle/heartbeat"
    STATUS = "/api/v1/lifecycle/status"
    WORKER_DISCONNECT = "/api/v1/worker/disconnect"
    INIT_RESOURCE = "/api/v1/init/resource"
    INIT_BATCH = "/api/v1/init/batch"
    INIT_FROM_CONFIG = "/api/v1/init/from-config"
    TOOLS_LIST = "/api/v1/tools"
    TOOLS_SCHEMA = "/api/v1/tools/{tool_name}/schema"
    WARMUP = "/api/v1/warmup"
    WARMUP_STATUS = "/api/v1/warmup/status"
    SHUTDOWN = "/api/v1/server/shutdown"


def is_envelope(body: dict[str, Any]) -> bool:
    """Whether a decoded body is an envelope, and not a bare answer."""
    code = body.get("code")
    return isinstance(code, int) and not isinstance(code, bool) and "message" in body


def objects(value: Any, key: str) -> list[dict[str, Any]] | None:
    """The decoded value, if it is a list of objects, each with a name under `key`."""
    if not isinstance(value, list):
        return None
    named = (isinstance(each, dict) and isinstance(each.get(key), str) for each in value)
    return value if all(named) else None
