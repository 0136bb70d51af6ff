"""Stopping a server whose program has ended without stopping it.

A signal that ends a program at once leaves it no time to stop its server. So a
small process waits at the other end of a pipe, which the system closes however
the program ends, and stops the server then.
"""

from __future__ import annotations

import contextlib
import subprocess

#: Asks, waits, kills. A line from the program says that the server has ended. Without
#: the program nobody may be there to reap it: it has ended as a zombie too.
_SCRIPT = """
read -r line && exit
kill -TERM "$1" 2>/dev/null
left=$3
while kill -0 "$1" 2>/dev/null; do
    read -r state <"/proc/$1/stat"
    case $state in *") Z "*) break ;; esac
    [ "$left" -gt 0 ] || { kill -KILL "$1"; break; }
    left=$((left - 1))
    sleep 1
done
[ -z "$2" ] || rm -rf -- "$2"
"""


class Watcher:
    """Stops the process `pid`, and removes `folder`, once this program is gone.

    It has `grace` seconds to end by itself. Where there is no shell, this does nothing.
    """

    def __init__(self, pid: int, folder: str | None, grace: float) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            arguments = [str(pid), folder or "", str(round(grace))]
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "sandbox-watcher", *arguments],
                stdin=subprocess.PIPE,
                bufsize=0,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                # What ends the program must not end this.
                start_new_session=True,
            )

    def dismiss(self) -> None:
        """The server has ended: its number may be another process's soon."""
        process, self._process = self._process, None
        if process is not None:
            # Unlike a close, a line reaches it whoever else has the pipe.
            with contextlib.suppress(OSError):
                process.communicate(b"\n")

    def forget(self) -> None:
        """In a forked child, which must not keep its parent's pipe open."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
