"""A bucket's prefix as a store, on S3 or anything that speaks it and has conditional PUT.

Address and credentials come from the environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, ...).
Passing failures (no connection, 5xx, SlowDown) are tried again with exponential backoff and full
jitter until the store's patience is over. No message repeats what a library or a server said:
such texts can hold tokens and signatures.
"""

import logging
import os
import random
import time
from collections.abc import Callable
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ResponseStreamingError,
    SSLError,
)

from posedive.errors import StorageError
from posedive.storage.contract import checked_name, probe_conditional_put

log = logging.getLogger(__name__)

PATIENCE_S = 60.0
PROBE_PATIENCE_S = 10.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 8.0
# A cache between store and reader asks by the ETag each time: what was rewritten isn't served on.
REVALIDATED = {"CacheControl": "no-cache"}

_PASSING = {
    "ConditionalRequestConflict",  # 409: another conditional PUT is under way; ask again
    "OperationAborted",
    "RequestLimitExceeded",
    "RequestTimeout",
    "SlowDown",
    "SLOW_DOWN",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
}
_LASTING = {
    "403": "no permission, or no such bucket",
    "404": "there is no such object",
    "AccessDenied": "no permission; allow s3:GetObject, PutObject, DeleteObject and ListBucket, and"
    " ListBucketVersions and DeleteObjectVersion for takedowns",
    "AllAccessDisabled": "no permission; the bucket's owner has shut it",
    "ExpiredToken": "the credentials have expired; renew them",
    "InvalidAccessKeyId": "bad credentials; check AWS_ACCESS_KEY_ID",
    "InvalidToken": "bad credentials; check AWS_SESSION_TOKEN",
    "NoSuchBucket": "there is no such bucket; create it or correct the URI",
    "NoSuchKey": "there is no such object",
    "NotImplemented": "the store has no conditional PUT (If-None-Match: *), which commits need",
    "PermanentRedirect": "the bucket is in another region; set AWS_REGION",
    "QuotaExceeded": "no space left in the bucket's quota",
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it",
    "SignatureDoesNotMatch": "bad credentials; check AWS_SECRET_ACCESS_KEY",
    "XMinioStorageFull": "no space left on the store",
}


class S3Store:
    """Objects under a prefix of a bucket; each process makes its own client, on first use."""

    def __init__(self, bucket: str, prefix: str, patience_s: float = PATIENCE_S):
        self.bucket, self.prefix, self.patience_s = bucket, prefix, patience_s
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self._root = f"{prefix}/" if prefix else ""
        self._lock = Lock()
        self._client: Any = None
        self._client_pid = 0

    def __reduce__(self):
        return S3Store, (self.bucket, self.prefix, self.patience_s)

    def __repr__(self) -> str:
        return f"S3Store({self.uri!r})"

    def get(self, name: str) -> bytes:
        request = self._request(name)
        return self._ask(name, lambda s3: s3.get_object(**request)["Body"].read())

    def get_range(self, name: str, start: int, length: int) -> bytes:
        request = self._request(name) | {"Range": f"bytes={start}-{start + length - 1}"}
        # 416: the object ends before `start`.
        read = self._ask(name, lambda s3: s3.get_object(**request)["Body"].read(), none_for=416)
        return read or b""

    def put_if_absent(self, name: str, data: bytes) -> bool:
        # 412: another attempt got there first; its bytes stand. It may have been our own, when
        # the answer to it was lost on the way: also then the bytes are in place.
        request = self._request(name) | {"Body": data, **REVALIDATED, "IfNoneMatch": "*"}
        return self._ask(name, lambda s3: s3.put_object(**request), none_for=412) is not None

    def put(self, name: str, data: bytes) -> None:
        request = self._request(name) | {"Body": data, **REVALIDATED}
        self._ask(name, lambda s3: s3.put_object(**request))

    def list(self, prefix: str = "") -> list[tuple[str, int]]:
        request = {"Bucket": self.bucket, "Prefix": self._root + prefix}
        found: list[tuple[str, int]] = []
        while True:
            page = self._ask(prefix, lambda s3: s3.list_objects_v2(**request))
            found += [(o["Key"][len(self._root) :], o["Size"]) for o in page.get("Contents", [])]
            if not page.get("IsTruncated"):
                return sorted(found)
            request["ContinuationToken"] = page["NextContinuationToken"]

    def exists(self, name: str) -> bool:
        request = self._request(name)
        return self._ask(name, lambda s3: s3.head_object(**request), none_for=404) is not None

    def delete(self, name: str) -> None:
        request = self._request(name)
        self._ask(name, lambda s3: s3.delete_object(**request))

    def forget(self, name: str) -> None:
        """Deletes what a bucket with versions keeps of `name` beside the newest, if it has any."""
        request = {"Bucket": self.bucket, "Prefix": self._root + checked_name(name)}
        while True:
            # 501: a store that knows no versions.
            page = self._ask(name, lambda s3: s3.list_object_versions(**request), none_for=501)
            if page is None:
                return
            for old in page.get("Versions", []):
                if old["Key"] == request["Prefix"] and not old["IsLatest"]:
                    one = self._request(name) | {"VersionId": old["VersionId"]}
                    self._ask(name, lambda s3, one=one: s3.delete_object(**one))
            if not page.get("IsTruncated"):
                return
            request["KeyMarker"] = page["NextKeyMarker"]
            request["VersionIdMarker"] = page["NextVersionIdMarker"]

    def probe_conditional_put(self) -> None:
        # A store that isn't there is found out in seconds; only later do we wait for it to return.
        impatient = S3Store(self.bucket, self.prefix, min(self.patience_s, PROBE_PATIENCE_S))
        probe_conditional_put(impatient)

    def _request(self, name: str) -> dict[str, Any]:
        return {"Bucket": self.bucket, "Key": self._root + checked_name(name)}

    def _ask(self, name: str, request: Callable[[Any], Any], none_for: int = 0) -> Any:
        """The answer to `request`, or None when its HTTP status is `none_for`."""
        where = f"{self.uri}/{name}".rstrip("/")
        give_up_at = time.monotonic() + self.patience_s
        wait_s = FIRST_WAIT_S
        while True:
            try:
                return request(self._connected())
            except (ClientError, BotoCoreError, ValueError) as error:
                if _status(error) == none_for:
                    return None
                lasting = _lasting(error)
                if lasting:
                    raise StorageError(f"{where}: {lasting}") from None
                if time.monotonic() + wait_s > give_up_at:
                    raise StorageError(
                        f"{where}: {_named(error)} for {self.patience_s:.0f} s"
                        f"{_endpoint(error)}; is the store up? run again to resume"
                    ) from None
                log.warning(
                    "retrying object=%s because=%s wait_s=%.1f", where, _named(error), wait_s
                )
            time.sleep(random.uniform(0, wait_s))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None or self._client_pid != os.getpid():  # a fork shares no socket
                self._client, self._client_pid = _new_client(), os.getpid()
            return self._client


def _new_client() -> Any:
    # Of the stores behind an endpoint URL, many know no bucket by host name, nor new checksums.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    config = Config(
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=32,
        retries={"total_max_attempts": 1},  # the retrying is ours
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"} if endpoint else {},
    )
    return Session().client("s3", config=config)


def _status(error: Exception) -> int:
    if not isinstance(error, ClientError):
        return -1
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", -1)


def _named(error: Exception) -> str:
    code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None
    return code or type(error).__name__


def _lasting(error: Exception) -> str:
    """What to tell about an error that trying again can't mend; empty for a passing one."""
    if isinstance(error, ClientError):
        code, status = _named(error), _status(error)
        if code in _PASSING or status == 429 or (status >= 500 and code not in _LASTING):
            return ""
        return _LASTING.get(code, f"the store answered {code} ({status})")
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"
    if isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "the store's certificate can't be verified; set AWS_CA_BUNDLE"
    if type(error) is HTTPClientError:
        return "the request couldn't be made; a line break in AWS_SESSION_TOKEN or another key?"
    passing = (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError)
    if isinstance(error, passing):
        return ""
    return f"the client can't be made ({type(error).__name__}); check the AWS_ variables"


def _endpoint(error: Exception) -> str:
    if not isinstance(error, EndpointConnectionError):
        return ""
    url = urlsplit(str(error.kwargs.get("endpoint_url", "")))
    return f" at {url.hostname}:{url.port}" if url.port else f" at {url.hostname}"
