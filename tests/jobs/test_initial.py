"""What a training starts from, by what `initial` names."""

from dataclasses import asdict

import pytest
import torch

from posedive.diffusion.generator import Generator
from posedive.diffusion.weights import load_generator, save_generator
from posedive.errors import WeightsError
from posedive.jobs.initial import initial_codec, initial_generator, trained
from posedive.spec.train import Train
from tests.diffusion.conftest import tiny_config
from tests.diffusion.published import sd15
from tests.diffusion.test_importing import tiny_sd15


def asked(**fields) -> Train:
    document = {"kind": "train", "what": "generator", "dataset": {"name": "embedded"}, "steps": 1}
    return Train.model_validate(document | {"output": "out/x"} | fields)


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint in our own layout; `guided`: its guiders have been trained."""

    def make(guided: bool):
        torch.manual_seed(1)
        generator = Generator(tiny_config())
        if guided:
            for name, tensor in generator.pose_guiders.named_parameters():
                if name.endswith("weight"):
                    torch.nn.init.normal_(tensor, std=0.1)
        save_generator(generator, tmp_path / "weights", torch.float32)
        model = asdict(tiny_config()) | {"latent_mean": (1.0,) * 8}
        return asked(initial=str(tmp_path / "weights"), model=model), generator

    return make


def test_a_trained_checkpoint_goes_on_as_it_is(checkpoint):
    spec, generator = checkpoint(guided=True)
    assert trained(spec)
    for name, tensor in initial_generator(spec).state_dict().items():
        torch.testing.assert_close(tensor, generator.state_dict()[name])


def test_of_a_vae_jobs_checkpoint_only_the_codec_is_taken(checkpoint):
    spec, generator = checkpoint(guided=False)
    assert not trained(spec)
    made = initial_generator(spec)
    for name, tensor in made.codec.state_dict().items():
        torch.testing.assert_close(tensor, generator.codec.state_dict()[name])
    ours = made.denoising_unet.conv_in.weight
    assert not torch.equal(ours, generator.denoising_unet.conv_in.weight)
    assert made.config.latent_mean == generator.config.latent_mean


def test_from_nothing_the_codec_is_the_shipped_one_that_the_latents_are_made_with():
    spec = asked(initial=None)
    made, shipped = initial_generator(spec), initial_codec(spec)
    for name, tensor in made.codec.state_dict().items():
        torch.testing.assert_close(tensor, shipped.state_dict()[name])
    assert made.config.latent_mean == load_generator("embedded").config.latent_mean
    assert not torch.equal(
        made.denoising_unet.conv_in.weight,
        load_generator("embedded").denoising_unet.conv_in.weight,
    )


def test_a_model_of_other_sizes_has_to_say_what_it_starts_from():
    with pytest.raises(WeightsError, match="VAE of the model's sizes, got embedded"):
        initial_generator(asked(initial=None, model=asdict(tiny_config())))


def test_weights_made_elsewhere_give_generator_and_codec(tmp_path):
    config = tiny_sd15()
    published = sd15(tmp_path, config)
    spec = asked(
        initial=str(published.source), model=asdict(config), conditions=list(config.conditions)
    )
    assert not trained(spec)
    made = initial_generator(spec)
    torch.testing.assert_close(
        made.denoising_unet.state_dict()["conv_in.weight"][:, : config.latent_channels],
        published.denoising["conv_in.weight"].float(),
    )
    for name, tensor in initial_codec(spec).state_dict().items():
        torch.testing.assert_close(tensor, made.codec.state_dict()[name])
