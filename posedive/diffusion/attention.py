"""Reference attention: the denoising UNet's self-attention also reads the reference UNet's tokens.

For own tokens h and reference tokens r of the same layer (both after the layer's norm), keys and
values come from [h ; r] and queries from h alone, which equals the paper's "concatenate along
space, attend, keep the first half". References travel as an explicit argument:

    reference pass:  unet(..., cross_attention_kwargs={"collect": {}})    fills layer -> tokens
    once per image:  reference_keys_values(unet, tokens)                  layer -> (key, value)
    denoising pass:  unet(..., cross_attention_kwargs={"references": References(...)})

No hooks, no hidden state: a pass without references is the plain UNet.
"""

from dataclasses import dataclass

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from diffusers.models.attention_processor import Attention
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

KeysValues = dict[str, tuple[Tensor, Tensor]]


@dataclass
class References:
    """What the denoising UNet reads of its references.

    keys_values: layer -> (key, value), each (batch, tokens, channels); several references of one
        image follow each other along tokens.
    present: (batch,) bool, or None when every sample has its reference. A sample without one
        attends to its own tokens only, exactly as in a pass without references.
    """

    keys_values: KeysValues
    present: Tensor | None = None


class ReferenceAttention:
    """Attention processor of one layer; `layer` is its name in the UNet, the key of References."""

    def __init__(self, layer: str, backend: str = "native"):
        self.layer = layer
        self.backend = AttentionBackendName(backend)

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        collect: dict[str, Tensor] | None = None,
        references: References | None = None,
    ) -> Tensor:
        """hidden_states (batch, tokens, channels), already normed; returns the same shape."""
        # Attention's own annotations allow None; UNet2DConditionModel makes no such layer.
        assert attn.to_k is not None and attn.to_v is not None
        if encoder_hidden_states is not None:
            return self._cross(attn, hidden_states, encoder_hidden_states)
        if collect is not None:
            collect[self.layer] = hidden_states
        key, value = attn.to_k(hidden_states), attn.to_v(hidden_states)
        mask = None
        if references is not None and self.layer in references.keys_values:
            ref_key, ref_value = references.keys_values[self.layer]
            if references.present is not None:
                own = torch.ones(key.shape[:2], dtype=torch.bool, device=key.device)
                ref = references.present[:, None].expand(-1, ref_key.shape[1])
                mask = torch.cat([own, ref], 1)[:, None, None, :]
            key = torch.cat([key, ref_key], 1)
            value = torch.cat([value, ref_value], 1)
        return self._attend(attn, attn.to_q(hidden_states), key, value, mask)

    def _cross(self, attn: Attention, hidden_states: Tensor, context: Tensor) -> Tensor:
        assert attn.to_k is not None and attn.to_v is not None and attn.to_out is not None
        if context.shape[1] == 1:
            # softmax over one key is 1: every query reads the same value
            out = attn.to_out[0](attn.to_v(context))
            return out.expand(-1, hidden_states.shape[1], -1)
        query = attn.to_q(hidden_states)
        return self._attend(attn, query, attn.to_k(context), attn.to_v(context), None)

    def _attend(
        self, attn: Attention, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
    ) -> Tensor:
        assert attn.to_out is not None

        def heads(x: Tensor) -> Tensor:  # dispatch_attention_fn wants batch tokens heads dim
            return x.unflatten(-1, (attn.heads, -1))

        out = dispatch_attention_fn(
            heads(query), heads(key), heads(value), attn_mask=mask, backend=self.backend
        )
        return attn.to_out[0](out.flatten(-2).to(query.dtype))


def use_reference_attention(unet: UNet2DConditionModel, backend: str = "native") -> None:
    """Gives every attention layer of `unet` its ReferenceAttention, in place."""
    unet.set_attn_processor(
        {name: ReferenceAttention(name, backend) for name in unet.attn_processors}  # type: ignore[arg-type]
    )


def reference_keys_values(unet: UNet2DConditionModel, tokens: dict[str, Tensor]) -> KeysValues:
    """Keys and values of reference tokens by the denoising UNet's own projections."""
    out: KeysValues = {}
    for layer, hidden_states in tokens.items():
        attn = unet.get_submodule(layer.removesuffix(".processor"))
        out[layer] = (attn.to_k(hidden_states), attn.to_v(hidden_states))  # type: ignore[operator]
    return out
