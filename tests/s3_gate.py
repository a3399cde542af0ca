"""A gate before a real S3 server that can end a client in the very act of putting a shard.

with S3Gate(server.endpoint) as gate:
    gate.endpoint                  # for AWS_ENDPOINT_URL
    gate.arm("during")             # the next PUT of a shard kills the process that makes it:
                                   # before  the store has seen nothing of it
                                   # during  the store has half of the body
                                   # after   the store has it all; the answer never arrives
All else passes through unchanged. A client is found by the port it speaks from.
"""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import psutil

MOMENTS = ("before", "during", "after")
TIMEOUT_S = 60


class S3Gate:
    def __init__(self, endpoint: str):
        upstream = urlsplit(endpoint)
        self.host, self.upstream_port = str(upstream.hostname), int(upstream.port or 80)
        self.fired = 0
        self._armed: str | None = None
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.gate = self
        self.port = self._server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "S3Gate":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def arm(self, moment: str) -> None:
        assert moment in MOMENTS
        with self._lock:
            self._armed = moment

    def disarm(self) -> None:
        with self._lock:
            self._armed = None

    def taken(self, method: str, path: str) -> str | None:
        """What is to befall this request; armed once, it befalls one."""
        with self._lock:
            if method != "PUT" or "/shards/" not in path:
                return None
            moment, self._armed = self._armed, None
            return moment

    def kill_client(self, port: int) -> None:
        for connection in psutil.net_connections("tcp"):
            ends = (connection.laddr, connection.raddr)
            if [end[1] for end in ends if end] == [port, self.port] and connection.pid:
                psutil.Process(connection.pid).kill()
                self.fired += 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    gate: S3Gate

    def handle_error(self, request, client_address) -> None:
        """A client that was killed, or a store that is away: both are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _forward(self) -> None:
        assert isinstance(self.server, _Server)
        gate, me = self.server.gate, self.client_address[1]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        moment = gate.taken(self.command, self.path)
        if moment == "before":
            self.close_connection = True
            return gate.kill_client(me)
        store = http.client.HTTPConnection(gate.host, gate.upstream_port, timeout=TIMEOUT_S)
        try:
            store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    store.putheader(name, value)
            store.endheaders()
            if moment == "during":
                store.send(body[: len(body) // 2])
                self.close_connection = True
                return gate.kill_client(me)
            store.send(body)
            answer = store.getresponse()
            data = answer.read()
            if moment == "after":
                self.close_connection = True
                return gate.kill_client(me)
            self._answer(answer, data)
        except (OSError, http.client.HTTPException):
            self.close_connection = True  # the store is away, and so the gate is
        finally:
            store.close()

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _forward

    def _answer(self, answer: http.client.HTTPResponse, data: bytes) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        told = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", told or str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass
