import numpy as np

from posedive.diffusion.sampler import generate


def one(asked: dict, i: int) -> dict:
    """The i-th picture of the batch, asked for alone."""
    return {
        "references": asked["references"][[asked["reference_index"][i]]],
        "reference_index": [0],
        "maps": {name: m[[i]] for name, m in asked["maps"].items()},
        "composite": asked["composite"][[i]],
        "seeds": [asked["seeds"][i]],
    }


def test_a_picture_does_not_depend_on_its_batch(generator, asked):
    together = generate(generator, **asked, steps=3, guidance_scale=1.0)
    assert together.shape == (3, 64, 32, 3) and together.dtype == np.uint8
    for i in range(3):
        alone = generate(generator, **one(asked, i), steps=3, guidance_scale=1.0)[0]
        assert np.abs(alone.astype(int) - together[i]).max() <= 2


def test_seed_reference_and_each_condition_change_the_picture(generator, asked):
    base = one(asked, 0)
    plain = generate(generator, **base, steps=2, guidance_scale=1.0).astype(int)
    others = {
        "seed": base | {"seeds": [99]},
        "reference": base | {"references": asked["references"][[1]]},
        "composite": base | {"composite": asked["composite"][[1]]},
    }
    for name in base["maps"]:
        others[name] = base | {"maps": base["maps"] | {name: asked["maps"][name][[1]]}}
    for name, changed in others.items():
        picture = generate(generator, **changed, steps=2, guidance_scale=1.0)
        assert (picture != plain).any(), name


def test_guidance_scale_moves_away_from_the_picture_without_reference(generator, asked):
    plain = generate(generator, **asked, steps=2, guidance_scale=1.0).astype(int)
    guided = generate(generator, **asked, steps=2, guidance_scale=3.0)
    assert np.abs(guided - plain).mean() > 0.5


def test_an_empty_appearance_map_makes_the_composite_irrelevant(generator, asked):
    empty = asked | {"maps": asked["maps"] | {"appearance": np.zeros((3, 64, 32, 4), np.uint8)}}
    other = empty | {"composite": 255 - asked["composite"]}
    first = generate(generator, **empty, steps=2, guidance_scale=1.0)
    second = generate(generator, **other, steps=2, guidance_scale=1.0)
    np.testing.assert_array_equal(first, second)
