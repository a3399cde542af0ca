"""Reference attention: the denoising UNet's self-attention also reads the reference UNet's tokens.

For own tokens h and reference tokens r of the same layer (both after the layer's norm), keys and
values come from [h ; r] and queries from h alone, which equals the paper's "concatenate along
space, attend, keep the first half". References travel as an explicit argument:

    reference pass:  unet(..., cross_attention_kwargs={"collect": {}})    fills layer -> tokens
    once per image:  reference_keys_values(unet, tokens)                  layer -> (key, value)
                     cross_outputs(unet, token)                           layer -> output
    denoising pass:  unet(..., cross_attention_kwargs={"references": References(...)})

No hooks, no hidden state: a pass without references is the plain UNet.
"""

from dataclasses import dataclass, field

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from diffusers.models.attention_processor import Attention
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

KeysValues = dict[str, tuple[Tensor, Tensor]]


@dataclass
class References:
    """What the denoising UNet reads of its references.

    keys_values: layer -> (key, value), each (rows, tokens, channels); several references of one
        image follow each other along tokens. Rows may be fewer than the batch: the samples behind
        them have no reference.
    present: (rows,) bool, or None when each of the rows has its reference. A sample without one
        attends to its own tokens only, exactly as in a pass without references.
    cross: layer -> (batch, 1, channels), the cross-attentions' outputs; a layer that is not there
        computes its own.
    """

    keys_values: KeysValues
    present: Tensor | None = None
    cross: dict[str, Tensor] = field(default_factory=dict)


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
            computed = references.cross.get(self.layer) if references is not None else None
            return self._cross(attn, hidden_states, encoder_hidden_states, computed)
        if collect is not None:
            collect[self.layer] = hidden_states
        query = attn.to_q(hidden_states)
        key, value = attn.to_k(hidden_states), attn.to_v(hidden_states)
        if references is None or self.layer not in references.keys_values:
            return self._attend(attn, query, key, value, None)
        return self._with_references(attn, query, key, value, references)

    def _with_references(
        self, attn: Attention, query: Tensor, key: Tensor, value: Tensor, references: References
    ) -> Tensor:
        ref_key, ref_value = references.keys_values[self.layer]
        rows = len(ref_key)
        mask = None
        if references.present is not None:
            own = torch.ones(rows, key.shape[1], dtype=torch.bool, device=key.device)
            ref = references.present[:, None].expand(-1, ref_key.shape[1])
            mask = torch.cat([own, ref], 1)[:, None, None, :]
        keys = torch.cat([key[:rows], ref_key], 1)
        values = torch.cat([value[:rows], ref_value], 1)
        out = self._attend(attn, query[:rows], keys, values, mask)
        if rows == len(query):
            return out
        behind = self._attend(attn, query[rows:], key[rows:], value[rows:], None)
        return torch.cat([out, behind])

    def _cross(
        self, attn: Attention, hidden_states: Tensor, context: Tensor, computed: Tensor | None
    ) -> Tensor:
        assert attn.to_k is not None and attn.to_v is not None
        if computed is None and context.shape[1] == 1:
            computed = _one_token(attn, context)
        if computed is not None:
            return computed.expand(-1, hidden_states.shape[1], -1)
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


def _one_token(attn: Attention, context: Tensor) -> Tensor:
    """Cross-attention's output (batch, 1, channels) for a context of one token (batch, 1, dim).

    Softmax over one key is 1: every query, at every timestep, reads the same value.
    """
    assert attn.to_v is not None and attn.to_out is not None
    return attn.to_out[0](attn.to_v(context))


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


def cross_outputs(unet: UNet2DConditionModel, token: Tensor) -> dict[str, Tensor]:
    """What each cross-attention layer adds, for a context of one token (batch, 1, dim)."""
    return {
        layer: _one_token(unet.get_submodule(layer.removesuffix(".processor")), token)  # type: ignore[arg-type]
        for layer in unet.attn_processors
        if ".attn2." in layer
    }
