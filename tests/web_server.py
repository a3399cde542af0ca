"""A folder over HTTP with byte ranges, that can be told to fail: for tests of reading."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class WebServer(ThreadingHTTPServer):
    """faults: what becomes of the next requests, in turn: a status, or "cut" for half a body."""

    def __init__(self, folder: Path, ranges: bool = True):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.ranges = folder, ranges
        self.faults: list[int | str] = []
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def web_server(folder: Path, ranges: bool = True) -> Iterator[WebServer]:
    with WebServer(folder, ranges) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        server = self.server
        assert isinstance(server, WebServer)
        server.asked.append(self.path)
        fault = server.faults.pop(0) if server.faults else None
        path = server.folder / self.path.lstrip("/")
        status = fault if isinstance(fault, int) else 200 if path.is_file() else 404
        data = path.read_bytes() if status == 200 else b"no"
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if status == 200 and asked and server.ranges:
            begin, end = int(asked[1]), int(asked[2]) + 1
            status, data = (206, data[begin:end]) if begin < len(data) else (416, b"")
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data[: len(data) // 2] if fault == "cut" else data)

    def log_message(self, format: str, *args: object) -> None:
        pass
