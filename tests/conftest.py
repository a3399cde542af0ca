"""Fixtures that several folders of tests share."""

import secrets
from collections.abc import Iterator

import pytest

from tests.s3_server import S3Server

BUCKET = "people"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One for the whole run; a test that kills a server starts its own."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture
def s3_uri(s3_server: S3Server) -> Iterator[str]:
    """A fresh prefix on the session's S3 server, its AWS_* variables set."""
    with s3_server.environment():
        yield f"s3://{BUCKET}/{secrets.token_hex(4)}"
