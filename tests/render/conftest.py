"""The embedded body, read once."""

import pytest

from posedive.body.smpl import load_body


@pytest.fixture(scope="session")
def model():
    return load_body("embedded")
