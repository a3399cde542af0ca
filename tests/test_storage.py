import errno
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from posedive.errors import StorageError
from posedive.storage import FileStore, Store, open_store
from posedive.storage.files import _explained
from tests.conftest import BUCKET
from tests.s3_server import S3Server


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "file":
        return open_store(str(tmp_path / "store"))
    return open_store(request.getfixturevalue("s3_uri"), patience_s=20)


def test_bytes_come_back_as_they_went(store: Store):
    assert store.put_if_absent("shards/a.tar", b"\0one") is True
    store.put("index.json", b"{}")
    assert store.get("shards/a.tar") == b"\0one"
    assert store.list() == [("index.json", 2), ("shards/a.tar", 4)]
    assert store.list("shards/") == [("shards/a.tar", 4)]
    assert store.list("shards/b") == store.list("nothing/") == []
    assert store.exists("index.json") and not store.exists("shards")
    store.delete("index.json")
    store.delete("index.json")
    assert not store.exists("index.json")


def test_second_commit_keeps_the_first_bytes(store: Store):
    assert store.put_if_absent("a", b"first") is True
    assert store.put_if_absent("a", b"second") is False
    assert store.get("a") == b"first"


def test_put_overwrites(store: Store):
    store.put("report.html", b"old")
    store.put("report.html", b"new")
    assert store.get("report.html") == b"new"


def test_of_sixteen_writers_one_wins_and_its_bytes_stand(store: Store):
    for round_ in range(5):
        start = threading.Barrier(16)

        def write(writer: int, name: str = f"race-{round_}", start: threading.Barrier = start):
            start.wait()
            return store.put_if_absent(name, bytes([writer]) * 50_000)

        with ThreadPoolExecutor(16) as pool:
            won = list(pool.map(write, range(16)))
        assert sum(won) == 1
        assert store.get(f"race-{round_}") == bytes([won.index(True)]) * 50_000


def test_the_probe_passes_and_leaves_nothing(store: Store):
    store.probe_conditional_put()
    assert store.list() == []


def test_a_store_travels_by_pickle(store: Store):
    store.put("a", b"1")
    twin = pickle.loads(pickle.dumps(store))
    assert twin.uri == store.uri and twin.get("a") == b"1"


@pytest.mark.parametrize(
    "name",
    ["../a", "a/../../b", "/etc/passwd", "", "a//b", ".", "a\\..\\b", "a\0", ".partial/a", "a/"],
)
def test_no_name_leads_out_of_the_store(store: Store, name: str):
    for use in (store.get, store.exists, store.delete):
        with pytest.raises(StorageError, match="expected a relative name"):
            use(name)
    with pytest.raises(StorageError, match="expected a relative name"):
        store.put_if_absent(name, b"")


def test_what_is_missing_is_named(store: Store):
    with pytest.raises(StorageError, match="shards/a.tar: there is no such"):
        store.get("shards/a.tar")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("gs://bucket/a", "got gs://"),
        ("s3://", "is no bucket"),
        ("s3://Bucket/a", "is no bucket"),
        ("s3://bucket/../a", "expected a relative name"),
        ("s3://bucket/a?versionId=1", "expected no"),
        ("file://host/a", "expected file:///"),
        ("", "expected a path"),
    ],
)
def test_a_wrong_uri_is_told(uri: str, said: str):
    with pytest.raises(StorageError, match=said):
        open_store(uri)


def test_credentials_in_a_uri_are_refused_and_not_repeated():
    with pytest.raises(StorageError, match="credentials in a URI") as caught:
        open_store("s3://AKIA:hunter2@bucket/a")
    assert "hunter2" not in str(caught.value)


def test_file_uris_and_paths_are_the_same_folder(tmp_path: Path):
    with_space = tmp_path / "a b"
    assert open_store(with_space.as_uri()).uri == open_store(str(with_space)).uri
    assert open_store("here").uri == (Path.cwd() / "here").as_uri()


# A folder's own troubles


def test_a_killed_writer_leaves_nothing_to_see(tmp_path: Path):
    store = FileStore(tmp_path)
    code = (
        "import os, sys, posedive.storage.files as files\n"
        "files.os.link = lambda *names: os.kill(os.getpid(), 9)\n"
        "files.FileStore(files.Path(sys.argv[1])).put_if_absent('shards/a.tar', b'half')\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == -9
    assert len(list((tmp_path / ".partial").iterdir())) == 1
    assert store.list() == []
    assert store.put_if_absent("shards/a.tar", b"whole") is True
    left_over = next((tmp_path / ".partial").iterdir())
    store.probe_conditional_put()
    assert left_over.exists()  # it may be another driver's, at work now
    os.utime(left_over, (0, 0))
    store.probe_conditional_put()
    assert not left_over.exists()


def test_no_space_is_told(tmp_path: Path):
    # A file-size limit stands in for a full disk: a file that can't be written to its end.
    code = (
        "import resource, signal, sys\n"
        "from posedive.errors import StorageError\n"
        "from posedive.storage import open_store\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: open_store(sys.argv[1]).put_if_absent('a', b'x' * 5000)\n"
        "except StorageError as error: print(error)\n"
    )
    run = [sys.executable, "-c", code, str(tmp_path)]
    assert "no space" in subprocess.run(run, capture_output=True, text=True).stdout
    assert open_store(str(tmp_path)).list() == [] and not list((tmp_path / ".partial").iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_device_is_told(tmp_path: Path):
    store = FileStore(tmp_path)
    (tmp_path / ".partial").mkdir()
    with pytest.raises(OSError) as full, open("/dev/full", "wb") as device:
        device.write(b"x")
        device.flush()
    assert full.value.errno == errno.ENOSPC
    assert "no space left on the device" in str(_explained(full.value, store.root))


def test_a_file_where_a_folder_should_be_is_told(tmp_path: Path):
    (tmp_path / "out").write_text("notes")
    with pytest.raises(StorageError, match="a part of this path is a file"):
        open_store(str(tmp_path / "out")).probe_conditional_put()


@pytest.mark.skipif(not Path("/proc/sys").exists(), reason="no /proc")
def test_a_folder_that_takes_no_files_is_told():
    with pytest.raises(StorageError, match=r"no permission|read-only|no such file|not permitted"):
        open_store("/proc/posedive").probe_conditional_put()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission_is_told(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="no permission"):
        open_store(str(tmp_path)).probe_conditional_put()


# A bucket's own troubles


def test_a_missing_bucket_is_told(s3_server: S3Server):
    with s3_server.environment(), pytest.raises(StorageError, match="there is no such bucket"):
        open_store("s3://nobody-made-this/a").probe_conditional_put()


def test_requests_wait_for_a_killed_server_to_return(tmp_path: Path):
    with S3Server(tmp_path) as server, server.environment():
        server.create_bucket(BUCKET)
        store = open_store(f"s3://{BUCKET}/a")
        assert store.put_if_absent("one", b"1") is True
        server.kill()
        back = threading.Timer(1.5, server.start)
        back.start()
        assert store.put_if_absent("two", b"2") is True
        back.join()
        assert store.put_if_absent("one", b"other") is False
        assert store.list() == [("one", 1), ("two", 1)]


def test_patience_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    server = S3Server(tmp_path)  # never started
    store = open_store(f"s3://{BUCKET}/a", patience_s=1)
    with server.environment():
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:hunter2@127.0.0.1:{server.port}")
        began = time.monotonic()
        with pytest.raises(
            StorageError, match=rf"at 127.0.0.1:{server.port}; is the store up"
        ) as e:
            store.get("one")
    assert time.monotonic() - began < 5 and "hunter2" not in str(e.value)


def told(caught: pytest.ExceptionInfo[StorageError]) -> str:
    """All that Python would print of an error that nobody caught."""
    return "".join(traceback.format_exception(caught.value))


@contextmanager
def s3_that_says(answers: list[tuple[int, str]], seen: list[str]) -> Iterator[None]:
    """An S3 that answers these (status, error code) in turn, and 200 from then on."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append(f"{self.command} {self.headers.get('If-None-Match', '')}".strip())
            status, code = answers.pop(0) if answers else (200, "")
            body = f"<Error><Code>{code}</Code><Message>hunter2</Message></Error>" if code else ""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_PUT = do_DELETE = _answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    before = dict(os.environ)
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.server_port}",
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="hunter2",
        AWS_REGION="us-east-1",
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (409, "ConditionalRequestConflict"),
        (503, "SlowDown"),
        (503, "SLOW_DOWN"),
        (500, "InternalError"),
        (502, ""),
        (429, "TooManyRequests"),
    ],
)
def test_passing_troubles_are_tried_again(status: int, code: str, caplog: pytest.LogCaptureFixture):
    seen: list[str] = []
    with s3_that_says([(status, code)] * 2, seen), caplog.at_level(logging.WARNING, "posedive"):
        assert open_store(f"s3://{BUCKET}/a").put_if_absent("one", b"1") is True
    assert seen == ["PUT *"] * 3
    assert caplog.text.count("retrying object=s3://people/a/one") == 2
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "no permission"),
        (403, "InvalidAccessKeyId", "check AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "check AWS_SECRET_ACCESS_KEY"),
        (400, "ExpiredToken", "renew them"),
        (404, "NoSuchBucket", "no such bucket"),
        (501, "NotImplemented", "no conditional PUT"),
        (507, "XMinioStorageFull", "no space left"),
        (403, "QuotaExceeded", "no space left"),
    ],
)
def test_lasting_troubles_are_told_at_once(status: int, code: str, said: str):
    seen: list[str] = []
    with (
        s3_that_says([(status, code)], seen),
        pytest.raises(StorageError, match=f"s3://people/a/one: .*{said}") as caught,
    ):
        open_store(f"s3://{BUCKET}/a").put_if_absent("one", b"1")
    assert len(seen) == 1 and "hunter2" not in told(caught)


def test_412_is_a_normal_answer():
    with s3_that_says([(412, "PreconditionFailed")], []):
        assert open_store(f"s3://{BUCKET}/a").put_if_absent("one", b"1") is False


def test_a_store_that_ignores_the_condition_is_refused():
    seen: list[str] = []
    with s3_that_says([], seen), pytest.raises(StorageError, match="ignores If-None-Match"):
        open_store(f"s3://{BUCKET}/a").probe_conditional_put()
    assert seen == ["PUT *", "PUT *", "DELETE"]


def test_missing_credentials_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StorageError, match="set AWS_ACCESS_KEY_ID"):
        open_store(f"s3://{BUCKET}/a").get("one")


def test_a_token_with_a_line_break_is_not_repeated(monkeypatch: pytest.MonkeyPatch):
    with s3_that_says([], []):
        monkeypatch.setenv("AWS_SESSION_TOKEN", "hunter2\nhunter3")
        with pytest.raises(StorageError, match="line break") as caught:
            open_store(f"s3://{BUCKET}/a").get("one")
    assert "hunter" not in told(caught)
