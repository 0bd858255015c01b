"""What the demo's servers have in common: JSON over HTTP on a loopback port the kernel picks.

A server says that it is ready by one line on the file named by --ready (a named pipe serves well): its port and PID.
It ends with status 0 on SIGTERM.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

LARGEST_REQUEST = 4 << 20  # bytes; more is answered 413


def arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--ready", type=Path, required=True, help="file or named pipe that gets the ready line")
    parser.add_argument("--model", type=Path, help="ONNX file to serve")
    return parser.parse_args()


class HeapWalk(ctypes.Structure):
    """struct mallinfo2, mallinfo(3): what the allocator itself finds by walking its arenas."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]


def walk_heap() -> dict[str, int]:
    """Bytes in use by the allocator's own account, chunk headers included, and how many blocks are mapped alone."""
    walk = ctypes.CDLL(None).mallinfo2
    walk.restype = HeapWalk
    found = walk()
    return {"in_use_bytes": found.uordblks + found.hblkhd, "mapped_blocks": found.hblks}


def serve(ready: Path, answer: Callable[[Any], Any]) -> None:
    """Answers each POST with `answer` of its JSON body until SIGTERM. ValueError from `answer` becomes status 422."""

    class Exchange(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # header and body in one write
        disable_nagle_algorithm = True  # or the end of a long answer waits 40 ms for the client's acknowledgement

        def do_GET(self) -> None:
            self.reply(200, walk_heap()) if self.path == "/heap" else self.reply(404, {"error": "POST a request, or GET /heap"})

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            if length > LARGEST_REQUEST:
                self.close_connection = True
                return self.reply(413, {"error": f"a request is at most {LARGEST_REQUEST} bytes"})
            try:
                self.reply(200, answer(json.loads(self.rfile.read(length))))
            except (ValueError, KeyError, TypeError) as problem:
                self.reply(422, {"error": f"{type(problem).__name__}: {problem}"})

        def reply(self, status: int, value: Any) -> None:
            body = json.dumps(value, separators=(",", ":")).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass  # the client sees every answer

    server = HTTPServer(("127.0.0.1", 0), Exchange)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ready.write_text(json.dumps({"port": server.server_address[1], "pid": os.getpid()}) + "\n")
    while True:
        server.handle_request()  # blocks; serve_forever() would wake up twice a second
