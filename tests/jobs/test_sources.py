import pytest

from posedive.errors import DatasetError
from posedive.jobs.sources import open_spec_dataset, people_of
from posedive.spec.parts import Dataset


def pids(**changes) -> set[int]:
    spec = Dataset(name="embedded", **changes)
    return {image.pid for image in people_of(spec, open_spec_dataset(spec, (64, 128)))}


def test_identities_are_drawn_by_the_seed_from_the_split():
    few = pids(identities=5)
    assert len(few) == 5 and few < pids()
    assert few == pids(identities=5) and few != pids(identities=5, seed=1)


def test_more_identities_than_there_are_is_an_error_with_the_number():
    with pytest.raises(DatasetError, match="at most the 100 pids of split 'train', got 500"):
        pids(identities=500)


def test_a_wide_world_is_as_large_as_it_is_asked_to_be():
    assert len(pids(wide=True, identities=30)) == 30
