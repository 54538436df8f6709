"""Marks channels with NaN, which spreads to what depends on them, so that a batch's images spell their numbers.

A channel's number is written in binary: one image holds NaN in the channels whose bit k is 1, another in those whose
bit is 0.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

MOST_CHANNELS = 2**15  # channels whose numbers are spelled; 30 images


def bits_of(size: int) -> int:
    """Returns the number of bits of the numbers below a size, at least 1."""
    return max(1, (size - 1).bit_length())


def numbered(numbers: Tensor, bits: int) -> list[Tensor]:
    """Returns the marks (channels,) of 2 × bits images that spell the number of each channel (channels,)."""
    marks = []
    for bit in range(bits):
        ones = (numbers >> bit) % 2 == 1
        marks += [ones, ~ones]
    return marks


def numberings(bits: int) -> list[Tensor]:
    """Returns ways (2^bits,) to number channels: in their order, and in four other orders.

    Where a channel depends on two, their numbers and those that lie between them in bits fit its marks; those that fit
    in every order are few.
    """
    generator = torch.Generator().manual_seed(bits)
    return [torch.arange(2**bits), *(torch.randperm(2**bits, generator=generator) for _ in range(4))]


def fitting(images: Tensor, numbers: Tensor, bits: int) -> Tensor:
    """Returns which of these numbers fit the marks (2 × bits,) of a channel."""
    fits = torch.ones(len(numbers), dtype=torch.bool)
    for bit in range(bits):
        fits &= torch.where((numbers >> bit) % 2 == 1, images[2 * bit], images[2 * bit + 1])
    return fits


def read_numbers(images: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """Reads numbers: returns them by channel, whether each is one number, and whether every image is marked."""
    ones, zeros = images[0::2], images[1::2]
    single = (ones ^ zeros).all(0)
    numbers = sum(ones[bit].long() << bit for bit in range(bits))
    assert isinstance(numbers, Tensor)
    return numbers, single, (ones & zeros).all(0)


def batch_axis(one: Sequence[int], few: int, other: Sequence[int], more: int) -> int | None:
    """Returns the dimension that holds the images, alone or, where windows are cut out, with several entries each.

    Args:
        one: shape of a value in a pass with a few images.
        few: number of these images.
        other: its shape in a pass with more images.
        more: number of those.
    """
    if len(one) != len(other):
        return None
    axes = [axis for axis, (less, size) in enumerate(zip(one, other, strict=True)) if less * more == size * few > 0]
    alone = [axis for axis in axes if one[axis] == few]
    return next(iter([*alone, *axes]), None)


def marked(made: Tensor, axis: int, batch: int | None, marks: Tensor) -> Tensor:
    """Returns a value with NaN in these channels of these images; with none where both lie in one dimension.

    Args:
        made: the value.
        axis: its dimension of the channels, counted from the last.
        batch: its dimension of the images; None: it has none.
        marks: which images are marked in which channels (images, channels).
    """
    if batch is None or batch == axis + made.dim():
        return made.clone()
    shape = [1] * made.dim()
    mask = marks.to(made.device).repeat_interleave(made.shape[batch] // len(marks), 0)
    shape[batch], shape[axis] = mask.shape
    if batch > axis + made.dim():
        mask = mask.T
    nan = torch.tensor(torch.nan, dtype=made.dtype, device=made.device)
    result = torch.empty(made.shape, dtype=made.dtype, device=made.device)
    return torch.where(mask.reshape(shape), nan, made, out=result)


def by_image(value: Tensor, axis: int, batch: int | None, images: int) -> Tensor:
    """Returns which of these images hold NaN in which channels of a value (images, channels); arguments as above."""
    if batch is None or batch == axis + value.dim():
        return torch.zeros(images, value.shape[axis], dtype=torch.bool)
    kept = value.movedim((batch, axis), (0, 1))
    kept = kept.reshape(images, kept.shape[0] // images, kept.shape[1], -1)
    return kept.sum((1, 3)).isnan().cpu()
