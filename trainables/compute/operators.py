"""Gives the FLOPs of single operators by rules on shapes: convolutions, matrix products, and what is made of them.

FLOPs = 2 × multiply-accumulates of the plain algorithm, whatever kernel computes it. The gradient of a product with
respect to one of its factors is a product of the same size, so a backward operator costs its forward operator once for
each gradient that it computes. These rules are Temper's own, because `torch.utils.flop_counter` (torch 2.14.1) forgets
the groups of a convolution's backward pass, and counts attention and recurrent layers on the CPU as nothing.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Rule = Callable[..., float]  # called with the operator's arguments and, as `out`, with what it returned


def multiply_add(values: Tensor) -> float:
    """Returns the FLOPs of one product that is added to a sum; of complex numbers it is four real ones."""
    return 8.0 if values.is_complex() else 2.0


def matrix_product(out: Tensor, first: Tensor, *_: object) -> float:
    """Returns the FLOPs of a product (…, m, k) × (…, k, n) = (…, m, n)."""
    return multiply_add(first) * out.numel() * first.shape[-1]


def added_matrix_product(out: Tensor, _: Tensor, first: Tensor, *__: object) -> float:
    """Returns the FLOPs of a product that is added to the operator's first argument, which is not counted."""
    return multiply_add(first) * out.numel() * first.shape[-1]


def summed_matrix_products(out: Tensor, _: Tensor, first: Tensor, *__: object) -> float:
    """Returns the FLOPs of products (b, m, k) × (b, k, n) that are summed over b to (m, n)."""
    return multiply_add(first) * out.numel() * first.shape[0] * first.shape[-1]


def inner_product(_: Tensor, first: Tensor, *__: object) -> float:
    """Returns the FLOPs of the inner product of two vectors (k,)."""
    return multiply_add(first) * first.numel()


def convolution(
    out: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: object = None,
    stride: object = None,
    padding: object = None,
    dilation: object = None,
    transposed: bool = False,
    *_: object,
) -> float:
    """Returns the FLOPs of a convolution in any number of dimensions, with any number of groups.

    Each output needs as many products as a filter has weights, `weight[0]`. In a transposed convolution `weight[0]` is
    instead what one input is multiplied by.
    """
    return 2.0 * (x if transposed else out).numel() * _size_of_one(weight)


def convolution_backward(
    _: object,
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    bias_sizes: object,
    stride: object,
    padding: object,
    dilation: object,
    transposed: bool,
    output_padding: object,
    groups: int,
    output_mask: tuple[bool, bool, bool],
) -> float:
    """Returns the FLOPs of a convolution's gradients: the forward FLOPs for its input, and again for its weights."""
    forward = 2.0 * (x if transposed else gradient).numel() * _size_of_one(weight)
    return forward * (output_mask[0] + output_mask[1])


def attention(_: object, query: Tensor, key: Tensor, value: Tensor, *__: object) -> float:
    """Returns the FLOPs of fused attention, both products: queries with keys, and attention weights with values.

    Shapes are (batch, heads, queries, width), (batch, key heads, keys, width) and (batch, key heads, keys, width).
    """
    return 2.0 * math.prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def attention_backward(_: object, gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, *__: object) -> float:
    """Returns the FLOPs of fused attention's four gradients; that kernels compute the weights again is not counted."""
    return 2 * attention(None, query, key, value)


def recurrent_layer(_: object, x: Tensor, input_weight: Tensor, hidden_weight: Tensor, *__: object) -> float:
    """Returns the FLOPs of one direction of a recurrent layer in oneDNN, for inputs (steps, batch, width)."""
    return 2.0 * math.prod(x.shape[:2]) * (input_weight.numel() + hidden_weight.numel())


def recurrent_layer_backward(_: object, x: Tensor, input_weight: Tensor, hidden_weight: Tensor, *__: object) -> float:
    """Returns the FLOPs of the gradients of a recurrent layer's inputs and weights; oneDNN always computes both."""
    return 2 * recurrent_layer(None, x, input_weight, hidden_weight)


def recurrent_layers(_: object, x: Tensor, weights: list[Tensor], *__: object) -> float:
    """Returns the FLOPs of all layers of a recurrent network in cuDNN, for inputs (steps, batch, width)."""
    return 2.0 * math.prod(x.shape[:2]) * sum(weight.numel() for weight in weights if weight.dim() == 2)


def recurrent_layers_backward(_: object, x: Tensor, weights: list[Tensor], *rest: object) -> float:
    """Returns the FLOPs of the gradients that cuDNN was asked for: of the inputs, and of all weights."""
    mask = next(value for value in rest if isinstance(value, list | tuple) and len(value) == 4)
    return recurrent_layers(None, x, weights) * (1 + bool(mask[3]))


def attention_layer(
    _: object,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    width: int,
    heads: int,
    input_weight: Tensor,
    input_bias: object,
    output_weight: Tensor,
    *__: object,
) -> float:
    """Returns the FLOPs of a whole attention layer in one operator, for inputs (batch, tokens, width)."""
    products = 2.0 * math.prod(query.shape[:2]) * (input_weight.numel() + output_weight.numel())
    return products + 4.0 * math.prod(query.shape[:2]) * key.shape[1] * width


def encoder_layer(
    _: object,
    x: Tensor,
    width: int,
    heads: int,
    input_weight: Tensor,
    input_bias: object,
    output_weight: Tensor,
    output_bias: object,
    *rest: Any,
) -> float:
    """Returns the FLOPs of a transformer's encoder layer in one operator, for inputs (batch, tokens, width)."""
    matrices = [value for value in rest if isinstance(value, Tensor) and value.dim() == 2 and width in value.shape]
    own = attention_layer(None, x, x, x, width, heads, input_weight, input_bias, output_weight)
    return own + 2.0 * math.prod(x.shape[:2]) * sum(matrix.numel() for matrix in matrices)


def deformable_convolution(out: Tensor, x: Tensor, weight: Tensor, *_: object) -> float:
    """Returns the FLOPs of a deformable convolution's products; its interpolation of the input is not counted."""
    return 2.0 * out.numel() * _size_of_one(weight)


def deformable_convolution_backward(_: object, gradient: Tensor, x: Tensor, weight: Tensor, *__: object) -> float:
    """Returns the FLOPs of the gradients of a deformable convolution's columns and weights, always computed both."""
    return 4.0 * gradient.numel() * _size_of_one(weight)


def trilinear(
    _: Tensor,
    first: Tensor,
    second: Tensor,
    third: Tensor,
    expand_first: list[int],
    expand_second: list[int],
    expand_third: list[int],
    *__: object,
) -> float:
    """Returns the FLOPs of a bilinear layer's product of three tensors: one MAC for each element before summing."""
    shapes = [
        _expanded(tensor, dims)
        for tensor, dims in ((first, expand_first), (second, expand_second), (third, expand_third))
    ]
    elements: int = math.prod(max(sizes) for sizes in zip(*shapes, strict=True))
    return 2.0 * elements


def distances(out: Tensor, first: Tensor, *_: object) -> float:
    """Returns the FLOPs of distances between rows (…, m, k) and (…, n, k): one MAC for each difference of elements.

    Euclidean distances of more than 25 rows are computed by a product of about that size.
    """
    return 2.0 * out.numel() * first.shape[-1]


def distances_backward(_: Tensor, gradient: Tensor, first: Tensor, *__: object) -> float:
    """Returns the FLOPs of the gradient of distances (…, m, n) with respect to the rows (…, m, k) given first."""
    return 2.0 * gradient.numel() * first.shape[-1]


def fourier_transform(_: Tensor, x: Tensor, dims: list[int], *__: object) -> float:
    """Returns 5 n log2 n FLOPs for each complex transform of n elements, as is usual for fast transforms."""
    size = math.prod(x.shape[dim] for dim in dims)
    return 5.0 * x.numel() * math.log2(max(2, size))


def real_fourier_transform(out: Tensor, x: Tensor, dims: list[int], *_: object) -> float:
    """Returns half the FLOPs of a complex transform of the real side's size, for one from or to real numbers."""
    real = out if x.is_complex() else x
    return 0.5 * fourier_transform(out, real, dims)


def _size_of_one(weight: Tensor) -> int:
    return math.prod(weight.shape[1:])


def _expanded(tensor: Tensor, dims: list[int]) -> list[int]:
    shape = list(tensor.shape)
    for dim in sorted(dims):
        shape.insert(dim, 1)
    return shape


RULES: Mapping[str, Rule] = {
    "aten::mm": matrix_product,
    "aten::bmm": matrix_product,
    "aten::mv": matrix_product,
    "aten::_int_mm": matrix_product,
    "aten::_scaled_mm": matrix_product,
    "aten::addmm": added_matrix_product,
    "aten::_addmm_activation": added_matrix_product,
    "aten::baddbmm": added_matrix_product,
    "aten::addmv": added_matrix_product,
    "aten::addbmm": summed_matrix_products,
    "aten::dot": inner_product,
    "aten::vdot": inner_product,
    "aten::convolution": convolution,
    "aten::convolution_backward": convolution_backward,
    "aten::_scaled_dot_product_flash_attention": attention,
    "aten::_scaled_dot_product_flash_attention_backward": attention_backward,
    "aten::_scaled_dot_product_flash_attention_for_cpu": attention,
    "aten::_scaled_dot_product_flash_attention_for_cpu_backward": attention_backward,
    "aten::_scaled_dot_product_efficient_attention": attention,
    "aten::_scaled_dot_product_efficient_attention_backward": attention_backward,
    "aten::_scaled_dot_product_cudnn_attention": attention,
    "aten::_scaled_dot_product_cudnn_attention_backward": attention_backward,
    "aten::mkldnn_rnn_layer": recurrent_layer,
    "aten::mkldnn_rnn_layer_backward": recurrent_layer_backward,
    "aten::_cudnn_rnn": recurrent_layers,
    "aten::_cudnn_rnn_backward": recurrent_layers_backward,
    "aten::_native_multi_head_attention": attention_layer,
    "aten::_transformer_encoder_layer_fwd": encoder_layer,
    "aten::_trilinear": trilinear,
    "aten::_cdist_forward": distances,
    "aten::_euclidean_dist": distances,
    "aten::_cdist_backward": distances_backward,
    "aten::_fft_c2c": fourier_transform,
    "aten::_fft_r2c": real_fourier_transform,
    "aten::_fft_c2r": real_fourier_transform,
    "torchvision::deform_conv2d": deformable_convolution,
    "torchvision::_deform_conv2d_backward": deformable_convolution_backward,
}


def rule_of(operator: Any) -> Rule | None:
    """Returns the rule of an operator; in-place operators share that of the others. None if there is none."""
    name = operator.name().partition(".")[0]
    return RULES.get(name) or RULES.get(name.removesuffix("_"))
