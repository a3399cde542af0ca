from pathlib import Path

import numpy as np
import pytest
import torch

from posedive.diffusion.sampler import generate
from posedive.diffusion.weights import PARTS, load_generator, save_generator, weights_digest
from posedive.errors import WeightsError


@pytest.fixture
def folder(generator, tmp_path: Path) -> Path:
    save_generator(generator, tmp_path / "weights", torch.float32)
    return tmp_path / "weights"


def test_a_checkpoint_read_back_draws_the_same_pictures(generator, folder, asked):
    again = load_generator(str(folder))
    assert again.config == generator.config
    first = generate(generator, **asked, steps=2, guidance_scale=1.0)
    np.testing.assert_array_equal(first, generate(again, **asked, steps=2, guidance_scale=1.0))


def test_the_digest_follows_the_weights(folder):
    before = weights_digest(str(folder))
    assert before == weights_digest(str(folder))
    path = folder / "codec.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert weights_digest(str(folder)) != before


def test_a_truncated_part_is_named(folder):
    path = folder / "denoising_unet.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="denoising_unet.safetensors: not a whole safetensors"):
        load_generator(str(folder))


def test_a_missing_part_is_named(folder):
    (folder / "pose_guiders.safetensors").unlink()
    with pytest.raises(WeightsError, match="pose_guiders.safetensors: missing"):
        load_generator(str(folder))


def test_weights_of_another_architecture_are_refused_by_tensor(folder):
    parts = [folder / f"{part}.safetensors" for part in ("codec", "image_encoder")]
    parts[0].write_bytes(parts[1].read_bytes())
    with pytest.raises(WeightsError, match="codec.safetensors: of another architecture; missing"):
        load_generator(str(folder))


def test_a_folder_that_is_no_checkpoint_says_what_one_is(tmp_path):
    with pytest.raises(WeightsError, match=r"no config\.json .* expected 'embedded' or"):
        load_generator(str(tmp_path))


def test_a_config_of_something_else_is_refused(folder):
    (folder / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(WeightsError, match="expected a generator's fields"):
        load_generator(str(folder))


def test_the_reference_branch_ships_without_what_nobody_reads(folder):
    from safetensors.torch import load_file

    names = load_file(folder / "reference_unet.safetensors").keys()
    assert not [n for n in names if n.startswith(("conv_out", "conv_norm_out", "up_blocks.2"))]
    assert len(PARTS) == 5
