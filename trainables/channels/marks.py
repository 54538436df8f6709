"""Marks channels with NaN, which spreads to what depends on them, so that a batch's images spell their numbers.

A channel's number is written in binary: one image holds NaN in the channels whose bit k is 1, another in those whose
bit is 0.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

BATCH = 31  # images of a pass; a prime that is no usual number of channels, so that the batch is recognised by it

MOST_CHANNELS = 2 ** (BATCH // 2)  # channels whose numbers can be spelled


def bits_of(size: int) -> int:
    """Returns the number of bits of the numbers below a size, at least 1."""
    return max(1, (size - 1).bit_length())


def mark(rows: Mapping[int, Tensor]) -> Tensor:
    """Returns marks (BATCH, channels) with these images' channels."""
    size = len(next(iter(rows.values())))
    marked = torch.zeros(BATCH, size, dtype=torch.bool)
    for row, channels in rows.items():
        marked[row] = channels.bool()
    return marked


def numbered(numbers: Tensor, start: int, bits: int) -> Tensor:
    """Returns marks that spell the number of each channel (channels,), in 2 × bits images from `start` on."""
    rows = dict[int, Tensor]()
    for bit in range(bits):
        ones = (numbers >> bit) % 2 == 1
        rows |= {start + 2 * bit: ones, start + 2 * bit + 1: ~ones}
    return mark(rows)


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


def write_marks(result: Tensor, axis: int, marked: Tensor) -> None:
    """Sets NaN in these channels of these images; in none where channels of all images lie in one dimension."""
    batch = batch_axis(result)
    if batch is None or batch == axis + result.dim():
        return
    shape = [1] * result.dim()
    mask = marked.to(result.device)
    folded = result.shape[batch] // BATCH
    mask = mask.repeat_interleave(folded, 0)
    shape[batch], shape[axis] = mask.shape
    if batch > axis + result.dim():
        mask = mask.T
    result.masked_fill_(mask.reshape(shape), torch.nan)


def batch_axis(value: Tensor) -> int | None:
    """Returns the dimension that holds the images, alone or, where windows are cut out, with several entries each."""
    alone = [axis for axis, size in enumerate(value.shape) if size == BATCH]
    folded = [axis for axis, size in enumerate(value.shape) if size and size % BATCH == 0]
    return next(iter([*alone, *folded]), None)


def by_image(value: Tensor, axis: int) -> Tensor:
    """Returns which images (BATCH, channels) of a value hold NaN in which channels."""
    batch = batch_axis(value)
    if batch is None or batch == axis + value.dim():
        return torch.zeros(BATCH, value.shape[axis], dtype=torch.bool)
    kept = value.movedim((batch, axis), (0, 1))
    kept = kept.reshape(BATCH, kept.shape[0] // BATCH, kept.shape[1], -1)
    return kept.sum((1, 3)).isnan().cpu()
