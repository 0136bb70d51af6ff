"""Stands in for the server's executable where only its process matters.

Called as `sandbox serve --config X --host H --port P`. What it does is decided
by the key `standin` of the configuration.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ready = True

    def do_GET(self) -> None:
        self._answer({"status": "ready" if self.ready else "starting"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/v1/server/shutdown":
            self._answer({"status": "success"})
            signal.raise_signal(signal.SIGTERM)
        else:
            self._answer({"code": 0, "message": "success", "data": None, "meta": {}})

    def _answer(self, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(200 if self.ready else 503)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Server(ThreadingHTTPServer):
    # HTTPServer's own asks for the machine's name, and waits for a DNS that may not answer.
    server_bind = TCPServer.server_bind


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("serve", choices=["serve"])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    behaviour = json.loads(arguments.config.read_text()).get("standin", "serve")
    print("config", arguments.config, file=sys.stderr, flush=True)  # noqa: T201
    if behaviour == "fail":
        sys.exit("error: resources.rag: corpus not found")
    Handler.ready = behaviour != "never ready"
    if behaviour == "ignore SIGTERM":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Server((arguments.host, arguments.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
