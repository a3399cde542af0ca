import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch.nn import functional

from posedive.diffusion.attention import (
    References,
    cross_outputs,
    reference_keys_values,
    use_reference_attention,
)
from posedive.diffusion.config import embedded_config
from tests.diffusion.conftest import tiny_config


def tiny_unet(seed: int) -> UNet2DConditionModel:
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(**tiny_config().unet).eval().requires_grad_(False)
    use_reference_attention(unet)
    return unet


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def run(unet: UNet2DConditionModel, x: torch.Tensor, **kwargs) -> torch.Tensor:
    token = draw(9, len(x), 1, 16)
    t = torch.full((len(x),), 3)
    return unet(x, t, token, cross_attention_kwargs=kwargs or None, return_dict=False)[0]


def concatenated_attention(attn, own: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """The paper's words: concatenate along space, attend, keep the first half. No SDPA."""
    both = torch.cat([own, reference], 1)
    q, k, v = attn.to_q(both), attn.to_k(both), attn.to_v(both)
    q, k, v = (x.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for x in (q, k, v))
    scores = (q @ k.transpose(-1, -2)) / q.shape[-1] ** 0.5
    out = (scores.softmax(-1) @ v).transpose(1, 2).flatten(-2)
    return attn.to_out[0](out)[:, : own.shape[1]]


def test_every_layer_equals_concatenate_attend_keep_the_first_half():
    reference_unet, denoising_unet = tiny_unet(0), tiny_unet(1)
    tokens: dict[str, torch.Tensor] = {}
    run(reference_unet, draw(2, 2, 8, 16, 8), collect=tokens)
    layers = [name for name in denoising_unet.attn_processors if "attn1" in name]
    assert set(tokens) == set(layers) and len(layers) == 7
    references = References(reference_keys_values(denoising_unet, tokens))
    for layer in layers:
        attn = denoising_unet.get_submodule(layer.removesuffix(".processor"))
        own = draw(3, *tokens[layer].shape)
        got = attn(own, references=references)
        torch.testing.assert_close(
            got, concatenated_attention(attn, own, tokens[layer]), atol=2e-6, rtol=1e-5
        )


def test_several_references_of_one_image_are_one_longer_reference():
    reference_unet, denoising_unet = tiny_unet(0), tiny_unet(1)
    each = []
    for seed in (4, 5):
        tokens: dict[str, torch.Tensor] = {}
        run(reference_unet, draw(seed, 1, 8, 16, 8), collect=tokens)
        each.append(tokens)
    both = {layer: torch.cat([t[layer] for t in each], 1) for layer in each[0]}
    layer = next(iter(both))
    attn = denoising_unet.get_submodule(layer.removesuffix(".processor"))
    own = draw(6, *each[0][layer].shape)
    got = attn(own, references=References(reference_keys_values(denoising_unet, both)))
    torch.testing.assert_close(
        got, concatenated_attention(attn, own, both[layer]), atol=2e-6, rtol=1e-5
    )


def test_a_sample_marked_absent_is_drawn_as_without_references():
    reference_unet, denoising_unet = tiny_unet(0), tiny_unet(1)
    tokens: dict[str, torch.Tensor] = {}
    run(reference_unet, draw(2, 2, 8, 16, 8), collect=tokens)
    keys_values = reference_keys_values(denoising_unet, tokens)
    x = draw(7, 2, 8, 16, 8)
    plain = run(denoising_unet, x)
    half = run(denoising_unet, x, references=References(keys_values, torch.tensor([True, False])))
    full = run(denoising_unet, x, references=References(keys_values))
    torch.testing.assert_close(half[1], plain[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(half[0], full[0], atol=1e-5, rtol=1e-4)
    assert (full - plain).abs().max() > 1e-3


def test_samples_behind_the_references_rows_have_none():
    reference_unet, denoising_unet = tiny_unet(0), tiny_unet(1)
    tokens: dict[str, torch.Tensor] = {}
    run(reference_unet, draw(2, 1, 8, 16, 8), collect=tokens)
    references = References(reference_keys_values(denoising_unet, tokens))
    x = draw(7, 2, 8, 16, 8)
    got = run(denoising_unet, x, references=references)
    absent = {
        k: (key.repeat(2, 1, 1), v.repeat(2, 1, 1))
        for k, (key, v) in references.keys_values.items()
    }
    masked = References(absent, torch.tensor([True, False]))
    expected = run(denoising_unet, x, references=masked)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_one_context_token_needs_no_softmax():
    unet = tiny_unet(1)
    layer = next(n for n in unet.attn_processors if "attn2" in n).removesuffix(".processor")
    attn = unet.get_submodule(layer)
    assert isinstance(attn, Attention)
    assert attn.to_k is not None and attn.to_v is not None and attn.to_out is not None
    hidden, token = draw(1, 2, 12, 16), draw(2, 2, 1, 16)
    q, k, v = attn.to_q(hidden), attn.to_k(token), attn.to_v(token)
    q, k, v = (x.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for x in (q, k, v))
    expected = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2)
    got = attn(hidden, encoder_hidden_states=token)
    torch.testing.assert_close(got, attn.to_out[0](expected), atol=1e-6, rtol=1e-5)
    once = cross_outputs(unet, token)
    assert len(once) == len(unet.attn_processors) // 2
    torch.testing.assert_close(once[f"{layer}.processor"].expand(-1, 12, -1), got)


def test_without_references_it_is_the_library_unet():
    torch.manual_seed(1)
    library = UNet2DConditionModel(**embedded_config().unet).eval().requires_grad_(False)
    torch.manual_seed(1)
    ours = UNet2DConditionModel(**embedded_config().unet).eval().requires_grad_(False)
    use_reference_attention(ours)
    x, token, t = draw(1, 1, 8, 16, 8), draw(2, 1, 1, 64), torch.tensor([10])
    torch.testing.assert_close(
        ours(x, t, token).sample, library(x, t, token).sample, atol=1e-5, rtol=1e-4
    )
