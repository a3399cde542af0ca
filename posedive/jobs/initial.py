"""What a training starts from: our own checkpoint, a VAE's, weights made elsewhere, or nothing."""

from dataclasses import replace
from pathlib import Path

from posedive.diffusion.config import CONFIGS, GeneratorConfig
from posedive.diffusion.encoders import LatentCodec
from posedive.diffusion.generator import Generator
from posedive.diffusion.importing import import_codec, import_generator, made_elsewhere
from posedive.diffusion.weights import load_generator
from posedive.errors import WeightsError
from posedive.spec.train import Train

SHIPPED = "embedded"


def config_of(spec: Train) -> GeneratorConfig:
    if isinstance(spec.model, dict):
        base = GeneratorConfig(**spec.model)
    else:
        base = CONFIGS[spec.model](spec.size)
    return replace(base, conditions=tuple(spec.conditions))


def initial_generator(spec: Train) -> Generator:
    """The `initial` checkpoint; one that a VAE job wrote gives its codec, the rest is new, as with
    the shipped codec where nothing is named; one made elsewhere is imported."""
    if spec.initial is not None and made_elsewhere(spec.initial):
        return import_generator(Path(spec.initial), config_of(spec))
    loaded = load_generator(spec.initial or SHIPPED)
    if trained(spec):
        return loaded
    fresh = replace(
        config_of(spec), latent_mean=loaded.config.latent_mean, latent_std=loaded.config.latent_std
    )
    generator = Generator(fresh)
    try:
        generator.codec.load_state_dict(loaded.codec.state_dict())
    except RuntimeError:
        raise WeightsError(
            "initial: expected weights with a VAE of the model's sizes, got"
            f" {spec.initial or SHIPPED}; name others (jobs/vae.yaml makes a VAE's)"
        ) from None
    return generator


def trained(spec: Train) -> bool:
    """Guiders start at zero: where they are not, somebody trained them."""
    if spec.initial is None or made_elsewhere(spec.initial):
        return False
    guiders = load_generator(spec.initial).pose_guiders.guiders.values()
    return any(bool(guider[-1].weight.any()) for guider in guiders)  # type: ignore[index]


def initial_codec(spec: Train) -> LatentCodec:
    """The VAE alone: latents are made before there is a generator to train."""
    if spec.initial is not None and made_elsewhere(spec.initial):
        return import_codec(Path(spec.initial), config_of(spec))
    return load_generator(spec.initial or SHIPPED).codec
