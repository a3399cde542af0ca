"""What a surveillance camera makes of the light: linear RGB -> uint8, with its faults.

Exposure, white balance, haze, blur and motion blur, noise, a tone curve, JPEG. Widths of blurs
are given for an image 128 pixels high and scale with it.
"""

import cv2
import numpy as np

from posedive.datasets.embedded.cameras import Place


def photograph(radiance: np.ndarray, place: Place, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) linear radiance -> (H, W, 3) uint8 RGB."""
    height = radiance.shape[0]
    scale = height / 128
    image = radiance * (place.exposure * np.exp(rng.normal(0, 0.05)) * place.cast).astype(
        np.float32
    )
    image += np.float32(0.6 * place.haze) * (0.8 - image)
    sigma = place.blur_px * scale * float(np.exp(rng.normal(0, 0.2)))
    image = cv2.GaussianBlur(image, (0, 0), sigma)
    shake = place.motion_px * scale * float(rng.random())
    if shake > 0.3:
        reach = int(np.ceil(shake))
        kernel = np.clip(shake + 0.5 - np.abs(np.arange(-reach, reach + 1)), 0, 1)[None]
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    np.maximum(image, 0, out=image)
    # A soft shoulder, so that white cloth in the sun keeps its folds.
    image = image * (1 + 0.28 * image) / (1 + 0.62 * image)
    image = np.power(image, np.float32(1 / 2.2))
    image = (image - 0.45) * np.float32(place.contrast) + np.float32(0.45)
    grey = image @ np.array([0.3, 0.59, 0.11], np.float32)
    image = grey[..., None] + np.float32(place.saturation) * (image - grey[..., None])
    noise = rng.standard_normal((*image.shape[:2], 1), np.float32)
    noise = noise + 0.5 * rng.standard_normal(image.shape, np.float32)
    image += np.float32(place.noise) * noise * (0.6 + 0.4 * (1 - grey[..., None]))
    pixels = np.clip(255 * image + 0.5, 0, 255).astype(np.uint8)
    quality = [int(cv2.IMWRITE_JPEG_QUALITY), place.jpeg_quality]
    encoded = cv2.imencode(".jpg", pixels[..., ::-1], quality)[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded[..., ::-1])
