"""How weights made elsewhere are laid out: where their files lie, and what they call each tensor.

Learnt from the public code of Moore Threads' AnimateAnyone, Champ, Pose2ID and diffusers.
"""

import re
from dataclasses import dataclass

from posedive.diffusion.config import GeneratorConfig

DENOISING_UNET, REFERENCE_UNET = "denoising_unet.pth", "reference_unet.pth"


def _diffusers(*folders: str) -> tuple[str, ...]:
    files = ("safetensors", "fp16.safetensors", "bin")
    return tuple(f"{folder}/diffusion_pytorch_model.{f}" for folder in folders for f in files)


PLACES = {  # part: where it may lie in a folder of weights; the first that is there
    "unet": (
        DENOISING_UNET,
        f"champ/{DENOISING_UNET}",
        *_diffusers("stable-diffusion-v1-5/unet", "unet"),
    ),
    "vae": _diffusers("sd-vae-ft-mse", "vae"),
    "image_encoder": ("image_encoder/model.safetensors", "image_encoder/pytorch_model.bin"),
}
GUIDERS = {  # the peers' files, beside their UNets: the condition that each guides
    "pose_guider.pth": "skeleton",
    "guidance_encoder_dwpose.pth": "skeleton",
    "guidance_encoder_depth.pth": "depth",
    "guidance_encoder_normal.pth": "normals",
}
CHAMP_HEADS = 8  # of a guider's attention; no tensor tells
ORIGINAL_UNET = "model.diffusion_model."  # begins the UNet's keys in a single file of everything


@dataclass(frozen=True)
class KeyMap:
    """How a layout names the tensors of a module.

    theirs: (pattern, replacement), applied in turn to our name, give theirs.
    dropped: pattern of their keys that have no counterpart here.
    """

    theirs: tuple[tuple[str, str], ...] = ()
    dropped: str = r"(?!)"  # matches nothing

    def name(self, ours: str) -> str:
        for pattern, replacement in self.theirs:
            ours = re.sub(pattern, replacement, ours)
        return ours


# The peers' 3-D UNets inflate their layers in forward() alone: 2-D names, and 2-D weights.
UNET = KeyMap(dropped=r"\.motion_modules\.")
VAE = KeyMap(((r"^kl\.", ""),))
OLD_VAE = KeyMap(  # sd-vae-ft-mse was published before diffusers renamed its attention
    (
        *VAE.theirs,
        (r"\.to_q\.", ".query."),
        (r"\.to_k\.", ".key."),
        (r"\.to_v\.", ".value."),
        (r"\.to_out\.0\.", ".proj_attn."),
    )
)
IMAGE_ENCODER = KeyMap(((r"^clip\.", ""),), dropped=r"\.position_ids$")


def guider_keys(config: GeneratorConfig) -> KeyMap:
    """Of the peers' guiders. Ours is a Sequential, with a SiLU after each convolution but the last.
    Champ's have an attention per block and one more; their forward() reads the last block's."""
    blocks = 2 * (len(config.guider_channels) - 1)
    end = 2 * (blocks + 1)
    conv_out = end + 1 if config.guider_heads else end
    return KeyMap(
        (
            (r"^0\.", "conv_in."),
            *((rf"^{2 * (n + 1)}\.", f"blocks.{n}.") for n in range(blocks)),
            (rf"^{end}\.transformer\.", f"attentions.{blocks - 1}."),
            (rf"^{conv_out}\.", "conv_out."),
        ),
        dropped=rf"^attentions\.(?!{blocks - 1}\.)|^guidance_attention\.",
    )
