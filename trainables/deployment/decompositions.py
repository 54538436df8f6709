"""Computes operators that PyTorch's exporter does not write by ones that it does write.

Networks run as ever; only while their operators are recorded for a file does `Decomposed` put these in their place.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Sizes = int | Sequence[int | None] | None


class Decomposed(TorchFunctionMode):
    """Mode in which the operators of `DECOMPOSITIONS` are computed by others, with equal results in eval mode."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return DECOMPOSITIONS.get(func, func)(*args, **(kwargs or {}))


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Computes `torch.channel_shuffle` of (batch, channels, …)."""
    return x.reshape(x.shape[0], groups, -1, *x.shape[2:]).transpose(1, 2).flatten(1, 2)


def rms_norm(
    x: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Computes `torch.nn.functional.rms_norm` over the last dimensions (arXiv 1910.07467)."""
    dims = list(range(-len(normalized_shape), 0))
    normed = x * torch.rsqrt(x.square().mean(dims, keepdim=True) + (torch.finfo(x.dtype).eps if eps is None else eps))
    return normed if weight is None else normed * weight


def bilinear(one: Tensor, other: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Computes `torch.nn.functional.bilinear` with a weight (out, in of `one`, in of `other`)."""
    product = torch.einsum("...i,oij,...j->...o", one, weight, other)
    return product if bias is None else product + bias


def instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Computes `torch.nn.functional.instance_norm`, which with kept statistics is batch normalization."""
    if use_input_stats or running_mean is None or running_var is None:
        return functional.instance_norm(x, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
    return functional.batch_norm(x, running_mean, running_var, weight, bias, eps=eps)


def interpolate(
    x: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Computes `torch.nn.functional.interpolate`, whose mode "area" is adaptive pooling."""
    if mode != "area":
        return functional.interpolate(
            x, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias=antialias
        )
    lengths = x.shape[2:]
    if size is None:
        scales = scale_factor if isinstance(scale_factor, Sequence) else (scale_factor or 1,) * len(lengths)
        size = [int(length * scale) for length, scale in zip(lengths, scales, strict=True)]
    pool = (functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d, functional.adaptive_avg_pool3d)
    pooled: Tensor = DECOMPOSITIONS[pool[len(lengths) - 1]](x, size)
    return pooled


def _padded(axes: int, convolve: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Returns a convolution over a number of last dimensions whose padding "same" is written in numbers.

    The exporter writes "same" as ONNX's SAME_UPPER, which onnxruntime refuses for dilated kernels.
    """

    def convolved(
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Tensor:
        if padding != "same":
            return convolve(x, weight, bias, stride, padding, dilation, groups)
        given = list(dilation) if isinstance(dilation, Sequence) else [dilation]
        spread = given * axes if len(given) == 1 else given
        missing = [int(step) * (int(length) - 1) for step, length in zip(spread, weight.shape[-axes:], strict=True)]
        if not any(pixels % 2 for pixels in missing):
            return convolve(x, weight, bias, stride, [pixels // 2 for pixels in missing], dilation, groups)
        around = [side for pixels in reversed(missing) for side in (pixels // 2, pixels - pixels // 2)]
        return convolve(functional.pad(x, around), weight, bias, stride, 0, dilation, groups)

    return convolved


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Computes `torch.nn.functional.scaled_dot_product_attention`, also of fewer heads of keys than of queries."""
    if enable_gqa:
        heads = int(query.shape[-3])
        key, value = (one.repeat_interleave(heads // int(one.shape[-3]), -3) for one in (key, value))
    return functional.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale)


def matrix_transpose(x: Tensor) -> Tensor:
    """Computes `x.mT`."""
    return x.transpose(-2, -1)


def _in_numbers(pool: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a pooling function to which the exporter takes plain numbers alone, for lengths that it works out."""

    def pooled(x: Tensor, *settings: Any, **named: Any) -> Any:
        return pool(x, *map(_plain, settings), **{name: _plain(value) for name, value in named.items()})

    return pooled


def _plain(setting: Any) -> Any:
    """Returns a kernel, stride or padding as plain numbers; any other setting as it is."""
    if isinstance(setting, list | tuple):
        return [int(length) for length in setting]
    return int(setting) if isinstance(setting, Tensor) else setting


def _adaptive(
    axes: int,
    adaptive: Callable[..., Tensor],
    pool: Callable[..., Tensor],
    reduced: Callable[[Tensor, int, int], Tensor],
) -> Any:
    """Returns adaptive pooling for any sizes.

    The exporter writes it only where it knows the input's lengths and output lengths divide them. VGG and AlexNet, for
    example, pool the 1 × 1 that is left of small images to 7 × 7.

    Args:
        axes: number of the last dimensions that are pooled.
        adaptive: PyTorch's function, for the whole of images.
        pool: pooling with a kernel, for lengths that divide.
        reduced: pools a tensor along a dimension to a number of bins, for all others.
    """

    def pooled(x: Tensor, output_size: Sizes, return_indices: bool = False) -> Tensor:
        del return_indices  # False: with indices, maxima are another function of PyTorch's
        given = output_size if isinstance(output_size, Sequence) else (output_size,) * axes
        # Lengths are plain numbers in the file, as the size of the images is; the exporter may not know them itself.
        lengths = [int(length) for length in x.shape[-axes:]]
        wanted = [length if bins is None else int(bins) for length, bins in zip(lengths, given, strict=True)]
        if set(wanted) == {1}:
            return adaptive(x, 1)
        if not any(length % bins for length, bins in zip(lengths, wanted, strict=True)):
            return pool(x, [length // bins for length, bins in zip(lengths, wanted, strict=True)])
        for axis, bins in enumerate(wanted, -axes):
            x = reduced(x, axis, bins)
        return x

    return pooled


def _bins(length: int, bins: int) -> list[tuple[int, int]]:
    """Returns where each bin begins and ends; bins overlap as PyTorch's do."""
    return [(number * length // bins, -(-(number + 1) * length // bins)) for number in range(bins)]


def _means(x: Tensor, axis: int, bins: int) -> Tensor:
    """Returns the means of bins, as a product with a constant matrix (length, bins)."""
    matrix = torch.zeros(x.shape[axis], bins)
    for number, (first, end) in enumerate(_bins(int(x.shape[axis]), bins)):
        matrix[first:end, number] = 1 / (end - first)
    return (x.transpose(axis, -1) @ matrix).transpose(axis, -1)


def _maxima(x: Tensor, axis: int, bins: int) -> Tensor:
    """Returns the maxima of bins."""
    several = _bins(int(x.shape[axis]), bins)
    return torch.cat([x.narrow(axis, first, end - first).amax(axis, keepdim=True) for first, end in several], axis)


def _unpooled(axes: int) -> Callable[..., Tensor]:
    """Returns the inverse of max pooling with indices, over a number of last dimensions; the rest is 0."""

    def unpooled(
        x: Tensor,
        indices: Tensor,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        output_size: Sequence[int] | None = None,
    ) -> Tensor:
        if output_size is None:
            settings = (kernel_size, stride or kernel_size, padding)  # PyTorch takes an empty stride for none
            each = [one if isinstance(one, Sequence) else (one,) * axes for one in settings]
            output_size = [
                (int(length) - 1) * step + kernel - 2 * pad
                for length, kernel, step, pad in zip(x.shape[-axes:], *each, strict=True)
            ]
        lengths = [int(length) for length in output_size[-axes:]]
        zeros = x.new_zeros(*x.shape[:-axes], math.prod(lengths))
        flat = zeros.scatter(-1, indices.flatten(-axes), x.flatten(-axes))
        return flat.reshape(*x.shape[:-axes], *lengths)

    return unpooled


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    torch.channel_shuffle: channel_shuffle,
    torch.native_channel_shuffle: channel_shuffle,
    functional.rms_norm: rms_norm,
    torch.rms_norm: rms_norm,
    torch.bilinear: bilinear,
    functional.instance_norm: instance_norm,
    functional.interpolate: interpolate,
    functional.scaled_dot_product_attention: attention,
    **{
        convolve: _padded(axes, convolve)
        for axes, convolve in enumerate((functional.conv1d, functional.conv2d, functional.conv3d), 1)
    },
    **{
        pool: _in_numbers(pool)
        for pool in (
            functional.avg_pool1d,
            functional.avg_pool2d,
            functional.avg_pool3d,
            functional.max_pool1d,
            functional.max_pool2d,
            functional.max_pool3d,
        )
    },
    functional.max_unpool1d: _unpooled(1),
    functional.max_unpool2d: _unpooled(2),
    functional.max_unpool3d: _unpooled(3),
    Tensor.mT.__get__: matrix_transpose,  # type: ignore[attr-defined]  # typed as a property
    **{
        adaptive: _adaptive(axes, adaptive, pool, _means)
        for axes, (adaptive, pool) in enumerate(
            (
                (functional.adaptive_avg_pool1d, functional.avg_pool1d),
                (functional.adaptive_avg_pool2d, functional.avg_pool2d),
                (functional.adaptive_avg_pool3d, functional.avg_pool3d),
            ),
            1,
        )
    },
    **{
        adaptive: _adaptive(axes, adaptive, pool, _maxima)
        for axes, (adaptive, pool) in enumerate(
            (
                (functional.adaptive_max_pool1d, functional.max_pool1d),
                (functional.adaptive_max_pool2d, functional.max_pool2d),
                (functional.adaptive_max_pool3d, functional.max_pool3d),
            ),
            1,
        )
    },
}
