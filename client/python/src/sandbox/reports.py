"""What `Sandbox` tells about session operations on several resources at once.

Envelopes go in, summaries come out; nothing here sends anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union

from .errors import SandboxSessionError
from .protocol import Envelope

#: One name, several, or names with their session configs.
Resources = Union[str, list[str], tuple[str, ...], Mapping[str, Any]]


def requested(resources: Resources, config: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """The session config of each resource that was asked for.

    Raises:
        SandboxSessionError: If that cannot be read from `resources`.
    """
    if isinstance(resources, str):
        return {resources: _config(config)}
    if isinstance(resources, Mapping):
        wanted = {name: _config(own) for name, own in resources.items()}
    elif isinstance(resources, (list, tuple)):
        wanted = {_name(name): _config(config) for name in resources}
    else:
        raise SandboxSessionError(
            "resources must be a name, a list of names, or a mapping of names to configs, "
            f"not {type(resources).__name__}"
        )
    for name in wanted:
        _name(name)
    return wanted


def _name(name: Any) -> str:
    if isinstance(name, str):
        return name
    raise SandboxSessionError(f"the name of a resource must be text, not {type(name).__name__}")


def _config(config: Any) -> dict[str, Any]:
    if config is None or isinstance(config, Mapping):
        return dict(config or {})
    raise SandboxSessionError(
        f"the config of a session must be a mapping, not {type(config).__name__}"
    )


def created(envelope: Envelope, config: dict[str, Any]) -> dict[str, Any]:
    """How creating one session went."""
    data = _data(envelope)
    existed = data.get("status") == "exists"
    succeeded = envelope["code"] == 0 and data.get("session_status") == "active"
    report: dict[str, Any] = {
        "status": "success" if succeeded else "error",
        "session_id": data.get("session_id"),
        "session_name": data.get("session_name"),
        # A session that was there already keeps the config it was made with.
        "config_applied": {} if existed else config,
        "message": envelope["message"],
        "code": envelope["code"],
    }
    if existed:
        report["already_existed"] = True
    if data.get("compatibility_mode"):
        report["compatibility_mode"] = True
        report["compatibility_message"] = data.get("compatibility_message", "")
    if not succeeded:
        report["error"] = data.get("error") or envelope["message"]
    return report


def destroyed(envelope: Envelope) -> dict[str, Any]:
    """How ending one session went."""
    data = _data(envelope)
    if envelope["code"] != 0:
        return {"status": "error", "code": envelope["code"], "error": envelope["message"]}
    return {
        "status": "success",
        "session_id": data.get("session_id"),
        "message": data.get("message") or envelope["message"],
    }


def reinitialized(
    resource_type: str, old: Envelope, new: Envelope, config: dict[str, Any], elapsed_ms: float
) -> dict[str, Any]:
    """How replacing one session went."""
    outcome = created(new, config)
    report = {
        "status": outcome["status"],
        "resource_type": resource_type,
        "old_session_id": _data(old).get("session_id"),
    }
    if outcome["status"] == "error":
        return {**report, "code": outcome["code"], "error": outcome["error"]}
    return {
        **report,
        "new_session_id": outcome["session_id"],
        "new_session_name": outcome["session_name"],
        "config_applied": outcome["config_applied"],
        "reinit_time_ms": elapsed_ms,
    }


def count_successes(reports: Mapping[str, Mapping[str, Any]]) -> int:
    """How many of them succeeded."""
    return sum(1 for report in reports.values() if report["status"] == "success")


def _data(envelope: Envelope) -> dict[str, Any]:
    data = envelope.get("data")
    return data if isinstance(data, dict) else {}
