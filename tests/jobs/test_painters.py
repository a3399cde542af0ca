"""Who draws: what they draw is what their names say."""

import json

import numpy as np
import pytest

from posedive.body.smpl import load_body
from posedive.datasets.embedded import EmbeddedWorld
from posedive.jobs.planning import planned
from posedive.jobs.references import NAME
from posedive.jobs.sources import people_of
from posedive.jobs.stages.painters import conditions_of, digest_of, painter
from posedive.jobs.stages.rows import Rows, from_png, to_png
from posedive.render.maps import condition_fit, render_maps
from posedive.spec.generate import Generate


@pytest.fixture
def asked(tmp_path):
    def spec(weights: str, **generator) -> Generate:
        return Generate.model_validate(
            {
                "kind": "generate",
                "dataset": {"name": "embedded", "seed": 7, "identities": 2},
                "generator": {"weights": weights} | generator,
                "images_per_identity": 2,
                "output": {"uri": str(tmp_path)},
            }
        )

    return spec


def test_a_composite_is_the_rows_own(asked):
    picture = to_png(np.full((128, 64, 3), 7, np.uint8))
    rows = {"composite": [b"", picture]}
    assert painter(asked("composite")).draw(rows, [1]) == [picture]
    assert "appearance" in conditions_of(asked("composite"))
    assert digest_of(asked("composite")) == "composite"


def test_an_oracle_draws_the_person_of_the_pair_where_the_condition_has_them(asked, tmp_path):
    spec = asked("oracle")
    world = EmbeddedWorld(seed=7)
    images = people_of(spec.dataset, world)
    confidence = {image.key: 1.0 for image in images}
    (tmp_path / NAME).write_text(json.dumps({"estimator": "any", "confidence": confidence}))
    plan = planned(spec, images, None)
    pairs = plan.shard(0).pairs
    rows = {"key": [p.key for p in pairs], "shard": [0] * len(pairs)}
    drawn = [from_png(png) for png in painter(spec).draw(rows, list(range(len(pairs))))]
    body = load_body("embedded")
    for pair, picture in zip(pairs, drawn, strict=True):
        fit = condition_fit(body, pair.condition, spec.size)
        truth, foreground = world.foreground(pair.pid, pair.camid, fit, spec.size, pair.seed)
        np.testing.assert_array_equal(picture, truth)
        mask = render_maps(body, fit, spec.size).mask
        assert (mask & foreground).sum() > 0.8 * mask.sum()


def rows(carried: bool) -> Rows:
    """One pair of noise."""
    rng = np.random.default_rng(0)

    def picture(channels: int) -> bytes:
        return to_png(rng.integers(0, 256, (128, 64, channels)).astype(np.uint8))

    columns = {name: [picture(3)] for name in ("reference", "depth", "normals", "skeleton")}
    body = np.zeros((128, 64, 4), np.uint8)
    if carried:
        body[30:100, 20:44] = 200
    return columns | {"appearance": [to_png(body)], "composite": [picture(3)], "seed": [3]}


@pytest.mark.parametrize("carried", [True, False])
def test_pixels_are_kept_where_a_person_was_carried_and_when_asked(asked, carried):
    given = rows(carried)
    kept, drawn = (
        from_png(painter(asked("embedded", steps=1, pixels=pixels)).draw(given, [0])[0])
        for pixels in ("carried", "drawn")
    )
    scene = from_png(given["composite"][0]) if carried else drawn
    np.testing.assert_array_equal(kept[:20], scene[:20])
    assert (kept != drawn).any() == carried
