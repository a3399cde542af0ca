"""A web server's folder as a store, read only: `https://host/path` -> objects by name below it.

Passing failures (no connection, a body cut short, 5xx, 429) are tried again with backoff and jitter
until the store's patience is over. Messages hold no more of an address than host and path.
"""

import logging
import os
import random
import time
from threading import Lock
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from posedive.errors import StorageError
from posedive.storage.contract import checked_name

log = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 8.0
TIMEOUT = urllib3.Timeout(connect=5, read=30)
PASSING = {408, 425, 429, 500, 502, 503, 504}


class HttpStore:
    """Objects below an address; each process makes its own connections."""

    def __init__(self, uri: str, patience_s: float):
        parts = urlsplit(uri)
        if "@" in parts.netloc:
            # Not echoed: what stands before the @ is a secret.
            raise StorageError("storage: credentials in a URI; serve the folder without, or use s3")
        if not parts.hostname or parts.query or parts.fragment:
            raise StorageError(
                f"{parts.scheme}://{parts.netloc}: expected https://host/path without '?' or '#'"
            )
        self.uri, self.patience_s = uri.rstrip("/"), patience_s
        self._lock = Lock()
        self._pool: urllib3.PoolManager | None = None
        self._pool_pid = 0

    def __reduce__(self):
        return HttpStore, (self.uri, self.patience_s)

    def __repr__(self) -> str:
        return f"HttpStore({self.uri!r})"

    def get(self, name: str) -> bytes:
        return self._ask("GET", name).data

    def get_range(self, name: str, start: int, length: int) -> bytes:
        answer = self._ask("GET", name, {"Range": f"bytes={start}-{start + length - 1}"}, (416,))
        if answer.status == 416:  # the object ends before `start`
            return b""
        # 200: a server that knows no ranges sends all of it.
        return answer.data if answer.status == 206 else answer.data[start : start + length]

    def exists(self, name: str) -> bool:
        return self._ask("HEAD", name, accepted=(404, 410)).status not in (404, 410)

    def _ask(
        self,
        method: str,
        name: str,
        headers: dict[str, str] | None = None,
        accepted: tuple[int, ...] = (),
    ) -> urllib3.BaseHTTPResponse:
        where = f"{self.uri}/{checked_name(name)}"
        give_up_at = time.monotonic() + self.patience_s
        wait_s = FIRST_WAIT_S
        while True:
            try:
                answer = self._connected().request(
                    method, where, headers=headers, retries=False, redirect=True, timeout=TIMEOUT
                )
                if answer.status < 300 or answer.status in accepted:
                    return answer
                because = f"HTTP {answer.status}"
                if answer.status not in PASSING:
                    said = "there is no such object" if answer.status == 404 else because
                    raise StorageError(f"{where}: {said}")
            except SSLError as error:
                raise StorageError(
                    f"{where}: no trusted connection ({type(error).__name__}); is its certificate"
                    " known to this machine?"
                ) from None
            except HTTPError as error:
                because = type(error).__name__
            if time.monotonic() + wait_s > give_up_at:
                raise StorageError(
                    f"{where}: {because} for {self.patience_s:.0f} s; is the server up?"
                    " run again to resume"
                )
            log.warning("retrying object=%s because=%s wait_s=%.1f", where, because, wait_s)
            time.sleep(random.uniform(0, wait_s))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _connected(self) -> urllib3.PoolManager:
        with self._lock:
            if self._pool is None or self._pool_pid != os.getpid():  # a fork shares no socket
                self._pool, self._pool_pid = urllib3.PoolManager(), os.getpid()
            return self._pool
