"""Corrupts images as cameras, storage and handling do, in five severities.

Definitions and strengths are those of common corruptions on CIFAR (arXiv 1903.12261). Blur, which is measured in pixels
there, is as many pixels in smaller images, and as large a share of the side in larger ones.
"""

import io
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from PIL import Image
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional

SEVERITIES = 5
CIFAR_SIDE = 32  # pixels, for which the strengths are given

# By severity, from 1 to 5.
NOISE = (0.04, 0.06, 0.08, 0.09, 0.10)  # standard deviation
BLUR = (0.4, 0.6, 0.7, 0.8, 1.0)  # standard deviation in pixels, of 32 where there are more
BRIGHTNESS = (0.05, 0.1, 0.15, 0.2, 0.3)  # added to the value of hue, saturation and value
CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)  # factor of the distance to a channel's mean
JPEG = (80, 65, 58, 50, 40)  # quality, of 100
ROTATION = (5.0, 10.0, 15.0, 20.0, 30.0)  # degrees, to either side
OCCLUSION = (0.15, 0.2, 0.25, 0.3, 0.35)  # side of a grey square, as a share of the image's

Corruption = Callable[[Tensor, int, Generator], Tensor]


def _noise(images: Tensor, severity: int, generator: Generator) -> Tensor:
    drawn = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return images + NOISE[severity - 1] * drawn


def _blur(images: Tensor, severity: int, generator: Generator) -> Tensor:
    sigma = BLUR[severity - 1] * max(1.0, min(images.shape[-2:]) / CIFAR_SIDE)
    blurred: Tensor = functional.gaussian_blur(images, [2 * math.ceil(2 * sigma) + 1] * 2, [sigma, sigma])
    return blurred


def _brightness(images: Tensor, severity: int, generator: Generator) -> Tensor:
    """Adds to the value of each pixel, its largest channel; with hue and saturation kept, all channels grow alike."""
    value = images.amax(1, keepdim=True)
    brighter = (value + BRIGHTNESS[severity - 1]).clamp(max=1)
    return torch.where(value > 0, images * (brighter / value), brighter)  # black becomes grey


def _contrast(images: Tensor, severity: int, generator: Generator) -> Tensor:
    mean = images.mean(dim=(2, 3), keepdim=True)
    return mean + CONTRAST[severity - 1] * (images - mean)


def _jpeg(images: Tensor, severity: int, generator: Generator) -> Tensor:
    """Stores each image as a file and reads it, by Pillow, since torchvision gives its own JPEG functions up."""
    stored = (images.cpu() * 255).round().to(torch.uint8)
    return torch.stack([_stored(image, JPEG[severity - 1]) for image in stored]).to(images) / 255


def _stored(image: Tensor, quality: int) -> Tensor:
    buffer = io.BytesIO()
    functional.to_pil_image(image).save(buffer, "JPEG", quality=quality)
    read: Tensor = functional.pil_to_tensor(Image.open(buffer))
    return read


def _rotation(images: Tensor, severity: int, generator: Generator) -> Tensor:
    left = torch.rand(len(images), generator=generator, device=images.device) < 0.5
    turned = images.clone()
    for side, degrees in ((left, ROTATION[severity - 1]), (~left, -ROTATION[severity - 1])):
        if bool(side.any()):
            turned[side] = functional.rotate(images[side], degrees, interpolation=functional.InterpolationMode.BILINEAR)
    return turned


def _occlusion(images: Tensor, severity: int, generator: Generator) -> Tensor:
    height, width = images.shape[-2:]
    side = max(1, round(OCCLUSION[severity - 1] * min(height, width)))
    place = torch.rand(2, len(images), generator=generator, device=images.device)
    top, left = (place[0] * (height - side + 1)).long(), (place[1] * (width - side + 1)).long()
    rows, columns = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    in_rows = (rows >= top[:, None]) & (rows < top[:, None] + side)
    in_columns = (columns >= left[:, None]) & (columns < left[:, None] + side)
    covered = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
    return torch.where(covered, 0.5, images)


CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(
    {
        "noise": _noise,
        "blur": _blur,
        "brightness": _brightness,
        "contrast": _contrast,
        "JPEG": _jpeg,
        "rotation": _rotation,
        "occlusion": _occlusion,
    }
)


def corruptions_for(channels: int) -> dict[str, Corruption]:
    """Returns the corruptions that there are for images of so many channels: JPEG holds grey and RGB images alone."""
    return {name: made for name, made in CORRUPTIONS.items() if name != "JPEG" or channels in (1, 3)}


def corrupt(name: str, images: Tensor, severity: int, generator: Generator) -> Tensor:
    """Corrupts images.

    Args:
        name: one of `CORRUPTIONS`.
        images: (n, channels, height, width) in [0, 1].
        severity: 1 to 5.
        generator: draws what is random, on the images' device.

    Returns:
        (n, channels, height, width) in [0, 1].
    """
    return CORRUPTIONS[name](images, severity, generator).clamp(0, 1)
