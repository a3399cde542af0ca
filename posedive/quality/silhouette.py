"""Where the person is in a picture: a small network that learns it from renders with exact masks.

Pictures are (N, H, W, 3) uint8 RGB, their sides even; masks (N, H, W) bool.
"""

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = (32, 48, 64, 96)  # at a half, a quarter, ... of the picture's size
LEARNING_RATE, WARM_UP = 4e-3, 0.1
BATCH = 32


class SilhouetteNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) that adds its levels, as Lin et al. 2017 do, on 2x2 cells:
    (N, 3, H, W) with values 0..255 -> logits (N, H, W) of being person. 0.3 million parameters."""

    def __init__(self):
        super().__init__()
        inputs = (3 * 4, *CHANNELS[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(before, after), _convolution(after, after))
            for before, after in zip(inputs, CHANNELS, strict=True)
        )
        self.widen = nn.ModuleList(
            nn.Conv2d(coarse, fine, 1)
            for fine, coarse in zip(CHANNELS[:-1], CHANNELS[1:], strict=True)
        )
        self.up = nn.ModuleList(_convolution(channels, channels) for channels in CHANNELS[:-1])
        self.head = nn.Conv2d(CHANNELS[0], 4, 1)

    def forward(
        self, pixels: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch height width"]:
        x, levels = functional.pixel_unshuffle(pixels / 127.5 - 1, 2), []
        for block in self.down:
            x = block(functional.max_pool2d(x, 2) if levels else x)
            levels.append(x)
        for level, widen, up in reversed(list(zip(levels[:-1], self.widen, self.up, strict=True))):
            x = up(level + functional.interpolate(widen(x), size=level.shape[-2:]))
        return functional.pixel_shuffle(self.head(x), 2)[:, 0]


def train_silhouette(
    images: UInt8[np.ndarray, "images height width 3"],
    masks: Bool[np.ndarray, "images height width"],
    steps: int,
    seed: int,
    device: str = "cpu",
) -> SilhouetteNet:
    torch.manual_seed(seed)
    model = SilhouetteNet().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, steps, pct_start=WARM_UP
    )
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        rows = rng.integers(0, len(images), BATCH)
        mirror = slice(None, None, -1 if rng.random() < 0.5 else 1)
        pixels = _pixels(images[rows][:, :, mirror], device)
        wanted = torch.from_numpy(masks[rows][:, :, mirror].astype(np.float32)).to(device)
        with torch.autocast(device, torch.bfloat16):
            logits = model(pixels)
        loss = silhouette_loss(logits.float(), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def silhouette_loss(
    logits: Float[Tensor, "batch height width"], wanted: Float[Tensor, "batch height width"]
) -> Float[Tensor, ""]:
    """Cross-entropy of the pixels, and half of the Dice loss of the masks (Milletari et al. 2016),
    to which a small person counts as much as a large one."""
    found = logits.sigmoid()
    dice = (2 * (found * wanted).sum((1, 2)) + 1) / ((found + wanted).sum((1, 2)) + 1)
    pixels = functional.binary_cross_entropy_with_logits(logits, wanted)
    return pixels + 0.5 * (1 - dice).mean()


@torch.inference_mode()
def silhouettes(
    model: SilhouetteNet, images: UInt8[np.ndarray, "images height width 3"]
) -> Bool[np.ndarray, "images height width"]:
    device = str(next(model.parameters()).device)
    parts = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
    return np.concatenate([(model(_pixels(part, device)) > 0).cpu().numpy() for part in parts])


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def _pixels(images: np.ndarray, device: str) -> Tensor:
    channels_first = rearrange(torch.from_numpy(np.ascontiguousarray(images)), "b h w c -> b c h w")
    return channels_first.to(device, torch.float32)
