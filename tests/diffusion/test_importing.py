import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from posedive.diffusion.config import (
    PAPER_CONDITIONS,
    GeneratorConfig,
    embedded_config,
    sd15_config,
)
from posedive.diffusion.importing import import_codec, import_generator, made_elsewhere
from posedive.diffusion.weights import PARTS, load_generator, save_generator
from posedive.errors import WeightsError
from posedive.jobs.initial import initial_generator
from posedive.spec.train import Train
from tests.diffusion.published import (
    LAYOUTS,
    Published,
    animate_anyone,
    champ,
    pose2id,
    sd15,
    sd15_original,
)


def tiny_sd15(**changes) -> GeneratorConfig:
    """sd15_config with its structure and few channels; latents of a quarter of the image's side."""
    config = sd15_config((32, 64))
    unet = config.unet | {
        "block_out_channels": [8, 16, 16],
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    }
    vae = config.vae | {
        "block_out_channels": [8, 8, 8],
        "down_block_types": ["DownEncoderBlock2D"] * 3,
        "up_block_types": ["UpDecoderBlock2D"] * 3,
        "norm_num_groups": 4,
    }
    encoder = config.image_encoder | {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "projection_dim": 16,
    }
    sizes = {"unet": unet, "vae": vae, "image_encoder": encoder, "guider_channels": (8, 16, 32)}
    return replace(config, **(sizes | changes))


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def same(a: Tensor, b: Tensor) -> bool:
    """torch.equal of halves, bit by bit: several times as fast."""
    return a.shape == b.shape and torch.equal(a.view(torch.int16), b.view(torch.int16))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Emptied when the test ends: pytest keeps its folders, and these can be large."""
    yield tmp_path
    shutil.rmtree(tmp_path)


SIZES = [
    pytest.param(tiny_sd15, id="tiny"),
    pytest.param(sd15_config, id="sd15", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_tensor_of_a_layout_finds_its_place(layout, size, folder):
    published = LAYOUTS[layout](folder, size())
    generator = import_generator(published.source, size(), torch.float16)
    assert {p.dtype for p in generator.parameters()} == {torch.float16}
    for module, state in (
        (generator.denoising_unet, published.denoising),
        (generator.reference_unet, published.reference),
        (generator.codec.kl, published.vae),
        (generator.image_encoder.clip, published.image_encoder),
    ):
        for name, tensor in module.state_dict().items():
            assert same(tensor, state[name]), name


CONDITIONS = {
    "sd15": (),
    "sd15_original": (),
    "animate_anyone": ("skeleton",),
    "pose2id": ("skeleton",),
    "champ": ("depth", "normals", "skeleton"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_condition_without_a_guider_there_starts_from_nothing(layout, tmp_path):
    generator = import_generator(LAYOUTS[layout](tmp_path, tiny_sd15()).source, tiny_sd15())
    assert set(generator.pose_guiders.guiders) == set(PAPER_CONDITIONS)
    for condition, guider in generator.pose_guiders.guiders.items():
        convolutions = [m for m in guider.children() if isinstance(m, nn.Conv2d)]
        assert [m.stride[0] for m in convolutions] == [1, 1, 2, 1, 2, 1]
        assert bool(convolutions[-1].weight.any()) == (condition in CONDITIONS[layout])


@pytest.mark.slow
def test_weights_of_full_size_are_exported_in_our_own_layout(folder):
    config = replace(sd15_config(), conditions=(*PAPER_CONDITIONS, "appearance"))
    generator = import_generator(champ(folder, config).source, config, torch.float16)
    save_generator(generator, folder / "ours")
    for part in PARTS:
        expected = generator.get_submodule(part).state_dict()
        with safe_open(folder / "ours" / f"{part}.safetensors", "pt") as file:
            assert set(file.keys()) == set(expected)
            for name in list(expected)[:4]:
                assert torch.equal(file.get_tensor(name), expected[name])


def save_as_libraries_do(folder: Path, config: GeneratorConfig) -> UNet2DConditionModel:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**config.unet).eval().requires_grad_(False)
    unet.save_pretrained(folder / "unet")
    AutoencoderKL(**config.vae).save_pretrained(folder / "vae")
    clip = CLIPVisionModelWithProjection(CLIPVisionConfig(**config.image_encoder))
    clip.save_pretrained(folder / "image_encoder")
    return unet


@pytest.mark.parametrize("conditions", [PAPER_CONDITIONS, (*PAPER_CONDITIONS, "appearance")])
def test_a_start_from_sd15_draws_what_sd15_draws(conditions, tmp_path):
    config = tiny_sd15(conditions=conditions)
    library = save_as_libraries_do(tmp_path, config)
    generator = import_generator(tmp_path, config)
    noisy, token, t = draw(1, 2, 4, 16, 8), draw(2, 2, 1, 16), torch.tensor([10, 900])
    maps = {c: draw(3, 2, 4 if c == "appearance" else 3, 64, 32) for c in conditions}
    start = None
    if "appearance" in conditions:
        start = generator.start(draw(4, 2, 4, 16, 8), maps["appearance"])
    got = generator.denoise(noisy, t, token, generator.pose_guiders(maps), None, start)
    expected = library(noisy, t, token, return_dict=False)[0]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_the_two_branches_share_no_memory(tmp_path):
    generator = import_generator(sd15(tmp_path, tiny_sd15()).source, tiny_sd15())
    addresses = [p.data_ptr() for p in generator.parameters()]
    assert len(set(addresses)) == len(addresses)


def peer_guider(state: dict[str, Tensor], maps: Tensor, heads: int) -> Tensor:
    """The peers' guider on maps in [0, 1], by hand; beyond the border grey, as ours has it."""
    state = {name: value.float() for name, value in state.items()}

    def affine(x: Tensor, name: str) -> Tensor:
        return functional.linear(x, state[f"{name}.weight"].flatten(1), state.get(f"{name}.bias"))

    def layer_norm(x: Tensor, name: str) -> Tensor:
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    def convolve(x: Tensor, name: str, stride: int = 1, padding: int = 1) -> Tensor:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return functional.conv2d(x, weight, bias, stride, padding)

    def attend(x: Tensor, name: str) -> Tensor:
        batch, channels, height, width = x.shape
        grouped = x.reshape(batch, 32, -1)
        mean, var = grouped.mean(-1, keepdim=True), grouped.var(-1, unbiased=False, keepdim=True)
        h = ((grouped - mean) / (var + 1e-6).sqrt()).reshape(batch, channels, -1).mT
        h = h * state[f"{name}.norm.weight"] + state[f"{name}.norm.bias"]
        h, block = affine(h, f"{name}.proj_in"), f"{name}.transformer_blocks.0"
        own = layer_norm(h, f"{block}.norm1")
        q, k, v = (
            affine(own, f"{block}.attn1.to_{n}").unflatten(-1, (heads, -1)).transpose(1, 2)
            for n in "qkv"
        )
        out = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v
        h = h + affine(out.transpose(1, 2).flatten(2), f"{block}.attn1.to_out.0")
        value, gate = affine(layer_norm(h, f"{block}.norm3"), f"{block}.ff.net.0.proj").chunk(2, -1)
        h = h + affine(value * functional.gelu(gate), f"{block}.ff.net.2")
        return x + affine(h, f"{name}.proj_out").mT.reshape(x.shape)

    x = functional.silu(convolve(functional.pad(maps, (1, 1, 1, 1), value=0.5), "conv_in", 1, 0))
    blocks = sum(name.startswith("blocks.") for name in state) // 2
    for n in range(blocks):
        x = functional.silu(convolve(x, f"blocks.{n}", stride=1 + n % 2))
    return convolve(attend(x, f"attentions.{blocks - 1}") if heads else x, "conv_out")


@pytest.mark.parametrize(
    "layout, file, condition, heads",
    [
        (animate_anyone, "pose_guider", "skeleton", 0),
        (pose2id, "pose_guider", "skeleton", 0),
        (champ, "guidance_encoder_dwpose", "skeleton", 8),
        (champ, "guidance_encoder_depth", "depth", 8),
        (champ, "guidance_encoder_normal", "normals", 8),
    ],
)
def test_a_guider_makes_of_our_maps_what_it_made_of_its_own(
    layout, file, condition, heads, tmp_path
):
    published = layout(tmp_path, tiny_sd15())
    state = {name: value.float() * 4 for name, value in published.guiders[file].items()}
    torch.save(state, next(tmp_path.rglob(f"{file}.pth")))
    generator = import_generator(tmp_path, tiny_sd15())
    maps = torch.rand((2, 3, 64, 32), generator=torch.Generator().manual_seed(1))
    got = generator.pose_guiders.guiders[condition](maps * 2 - 1)
    assert got.shape == (2, 8, 16, 8) and got.std() > 0.1
    torch.testing.assert_close(got, peer_guider(state, maps, heads), atol=1e-4, rtol=1e-4)


def test_motion_modules_are_dropped_and_counted(tmp_path, caplog):
    published = animate_anyone(tmp_path, tiny_sd15())
    motion = sum("motion_modules" in name for name in published.denoising)
    with caplog.at_level(logging.INFO):
        import_generator(tmp_path, tiny_sd15())
    tensors = len(published.denoising) - motion
    assert motion == 16 * 28
    assert f"denoising_unet.pth tensors={tensors} dropped={motion}" in caplog.text


@pytest.mark.parametrize(
    "layout, conditions, dropped",
    [
        (champ, PAPER_CONDITIONS, ["guidance_encoder_semantic_map.pth"]),
        (champ, ("depth",), ["guidance_encoder_normal.pth", "guidance_encoder_dwpose.pth"]),
        (animate_anyone, PAPER_CONDITIONS, ["motion_module.pth"]),
        (pose2id, PAPER_CONDITIONS, ["IFR.pth"]),
    ],
)
def test_a_file_without_counterpart_is_named(layout, conditions, dropped, tmp_path, caplog):
    layout(tmp_path, tiny_sd15())
    import_generator(tmp_path, tiny_sd15(conditions=conditions))
    for name in dropped:
        assert any(name in r.message and "dropped" in r.message for r in caplog.records)


def change(path: Path, remove: tuple[str, ...], tensors: dict[str, Tensor]) -> None:
    state = torch.load(path, weights_only=True)
    torch.save({k: v for k, v in (state | tensors).items() if k not in remove}, path)


@pytest.mark.parametrize(
    "file, remove, tensors, expected",
    [
        (
            "denoising_unet.pth",
            ("conv_in.bias", "mid_block.resnets.0.conv1.weight"),
            {"extra.a": torch.zeros(1), "extra.b": torch.zeros(1)},
            "missing conv_in.bias; missing mid_block.resnets.0.conv1.weight; "
            "unexpected extra.a; unexpected extra.b",
        ),
        (
            "reference_unet.pth",
            (),
            {"conv_in.weight": torch.zeros(8, 9, 3, 3)},
            "conv_in.weight: expected (8, 4, 3, 3), got (8, 9, 3, 3)",
        ),
        (
            "pose_guider.pth",
            ("conv_in.weight", "blocks.3.bias"),
            {"blocks.4.bias": torch.zeros(1)},
            "missing blocks.3.bias; missing conv_in.weight; unexpected blocks.4.bias",
        ),
        (
            "image_encoder/pytorch_model.bin",
            ("visual_projection.weight",),
            {},
            "missing visual_projection.weight",
        ),
    ],
)
def test_every_tensor_that_is_missing_left_over_or_of_another_shape_is_named(
    file, remove, tensors, expected, tmp_path
):
    animate_anyone(tmp_path, tiny_sd15())
    change(tmp_path / file, remove, tensors)
    with pytest.raises(WeightsError) as caught:
        import_generator(tmp_path, tiny_sd15())
    assert file in str(caught.value) and str(caught.value).endswith(expected)


def test_what_an_original_file_lacks_or_has_too_many_of_is_named(tmp_path):
    source = sd15_original(tmp_path, tiny_sd15()).source
    prefix = "model.diffusion_model."
    change(source, (f"{prefix}out.2.weight",), {f"{prefix}label_emb.a": torch.zeros(1)})
    with pytest.raises(WeightsError) as caught:
        import_generator(source, tiny_sd15())
    assert str(caught.value).endswith(f"missing conv_out.weight; unexpected {prefix}label_emb.a")


def test_an_inpainting_unet_is_not_taken_for_one_with_an_appearance(tmp_path):
    """Nine inputs each, and not the same nine."""
    config = tiny_sd15(conditions=(*PAPER_CONDITIONS, "appearance"))
    sd15(tmp_path, config)
    path = tmp_path / "unet" / "diffusion_pytorch_model.bin"
    change(path, (), {"conv_in.weight": torch.zeros(8, 9, 3, 3)})
    with pytest.raises(WeightsError, match=r"conv_in.weight: expected \(8, 9, 3, 3\), got \(8, 14"):
        import_generator(tmp_path, config)


class Code:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("file", ["denoising_unet.pth", "image_encoder/pytorch_model.bin"])
def test_a_file_with_code_is_refused_and_does_not_run(file, tmp_path):
    animate_anyone(tmp_path, tiny_sd15())
    state = torch.load(tmp_path / file, weights_only=True)
    torch.save(state | {"code": Code(tmp_path / "ran")}, tmp_path / file)
    with pytest.raises(WeightsError, match=rf"{file}: more than plain tensors.*posix.mkdir"):
        import_generator(tmp_path, tiny_sd15())
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
@pytest.mark.parametrize(
    "file", ["pose_guider.pth", "sd-vae-ft-mse/diffusion_pytorch_model.safetensors"]
)
def test_a_truncated_file_is_named(file, share, tmp_path):
    animate_anyone(tmp_path, tiny_sd15())
    data = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(data[: int(share * len(data))])
    with pytest.raises(WeightsError, match=f"{file}: not a whole file"):
        import_generator(tmp_path, tiny_sd15())


def test_a_file_of_something_else_than_tensors_by_name_says_what_it_holds(tmp_path):
    published = animate_anyone(tmp_path, tiny_sd15())
    torch.save({"state_dict": published.denoising, "step": 3}, tmp_path / "denoising_unet.pth")
    with pytest.raises(WeightsError, match=r"expected tensors by name.*got \['state_dict', 'step'"):
        import_generator(tmp_path, tiny_sd15())


@pytest.mark.parametrize(
    "missing, expected",
    [
        ("sd-vae-ft-mse/diffusion_pytorch_model.safetensors", "no vae there; expected one of sd-"),
        ("image_encoder/pytorch_model.bin", "no image_encoder there; expected one of image_"),
        ("denoising_unet.pth", "no unet there; expected one of denoising_unet.pth, champ/"),
        ("reference_unet.pth", "reference_unet.pth: missing"),
        ("pose_guider.pth", "no guider; expected one of pose_guider.pth"),
    ],
)
def test_a_missing_file_is_named_with_where_it_is_looked_for(missing, expected, tmp_path):
    animate_anyone(tmp_path, tiny_sd15())
    (tmp_path / missing).unlink()
    with pytest.raises(WeightsError, match=expected):
        import_generator(tmp_path, tiny_sd15())


def test_a_generator_of_other_sizes_is_told_which_would_fit(tmp_path):
    source = sd15(tmp_path, tiny_sd15()).source
    with pytest.raises(
        WeightsError, match="published weights have those of `model: sd15`"
    ) as caught:
        import_generator(source, embedded_config())
    assert "missing linear_in.weight" in str(caught.value)


def test_an_imported_generator_read_back_from_our_own_layout_is_the_same(tmp_path):
    generator = import_generator(champ(tmp_path / "champ", tiny_sd15()).source, tiny_sd15())
    save_generator(generator, tmp_path / "ours", torch.float32)
    again = load_generator(str(tmp_path / "ours"))
    assert again.config == generator.config and again.config.guider_heads == 8
    states = generator.state_dict(), again.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_weights_made_elsewhere_are_told_from_our_own(tmp_path):
    file = sd15_original(tmp_path / "file", tiny_sd15()).source
    ours = tmp_path / "ours"
    save_generator(import_generator(file, tiny_sd15()), ours)
    assert made_elsewhere(str(file))
    assert made_elsewhere(str(pose2id(tmp_path / "folder", tiny_sd15()).source))
    assert not any(map(made_elsewhere, ("embedded", str(ours), "s3://bucket/weights")))


def test_the_codec_is_read_without_the_rest(tmp_path):
    published: Published = sd15(tmp_path, tiny_sd15())
    (tmp_path / "unet" / "diffusion_pytorch_model.bin").unlink()
    codec = import_codec(tmp_path, tiny_sd15(), torch.float16)
    assert all(same(value, published.vae[k]) for k, value in codec.kl.state_dict().items())
    assert codec.latent_std.flatten().tolist() == pytest.approx([1 / 0.18215] * 4)


def test_training_starts_from_weights_made_elsewhere(tmp_path):
    published = champ(tmp_path, tiny_sd15())
    spec = Train(
        kind="train",
        what="generator",
        model=asdict(tiny_sd15()),
        initial=str(tmp_path),
        dataset={"name": "embedded"},  # type: ignore[arg-type]
        conditions=("depth", "skeleton"),
        steps=1,
        output=str(tmp_path / "out"),
    )
    generator = initial_generator(spec)
    assert generator.config.conditions == ("depth", "skeleton")
    for name, tensor in generator.denoising_unet.state_dict().items():
        assert torch.equal(tensor, published.denoising[name].float())
