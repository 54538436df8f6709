"""Lists the operators that the count of FLOPs leaves out by definition, by the reason why.

They move, compare, scale or add up numbers: their work grows with the number of elements, and is small beside that of
products. An operator that is neither here nor in `trainables.compute.operators` is an error of the counter.
"""

import re
from typing import Any

import torch

# Patterns of the names of PyTorch's operators without `aten::`, `_backward` and the `_` of in-place operators.
LEFT_OUT: dict[str, str] = {
    "arithmetic": r"add|sub|rsub|mul|div|floor_divide|remainder|eq|ne|lt|le|gt|ge|abs|isnan|isinf|copysign|heaviside"
    r"|xlogy|gcd|lcm|addr|linalg_cross",
    "normalization": r".*(batch|layer|group|instance|weight|rms)_norm.*|renorm|embedding_renorm",
    "activations": r".*softmax.*|softplus|.*glu.*|.*elu.*|.*relu.*|hard.*|soft.*shrink|threshold|mish|_prelu_kernel"
    r"|log_sigmoid(_forward)?|sigmoid|tanh|silu|logit|_thnn_fused_(lstm|gru)_cell.*",
    "losses": r".*_loss.*|binary_cross_entropy.*|_ctc_loss.*",
    "pooling and resizing": r".*pool\dd.*|_?upsample_.*|(cudnn_)?grid_sampler(_\dd.*)?|_grid_sampler_2d.*"
    r"|(cudnn_)?affine_grid_generator",
    "padding and layout": r".*_pad(_nd|\dd)|im2col|col2im|pixel_(un)?shuffle|channel_shuffle|roll|rot90|flip"
    r"|cat|stack|_stack|_chunk_cat|repeat|repeat_interleave|clone|contiguous|copy|_to_copy|.*_copy|_unsafe_view|lift.*"
    r"|view_as_(complex|real)|complex|polar|block_diag|resize.*|set|_reshape_.*|unfold_backward|as_strided.*|tril|triu"
    r"|diag.*|trace|unfold|_conj.*|detach|alias|_pack_padded_sequence.*|_pad_packed_sequence"
    r"|_nested_.*|unsafe_(chunk|split.*)",
    "indexing": r".*embedding.*|_?(unsafe_)?index.*|_unsafe_masked_index.*|gather|scatter.*|take|put|select.*|slice.*"
    r"|masked_.*|where|nonzero.*|one_hot|bucketize|searchsorted|topk|sort|argsort|kthvalue|median|mode|unique.*"
    r"|_unique.*|isin|bincount|hist.*",
    "creation": r"empty.*|zeros.*|ones.*|full.*|new_.*|arange|range|linspace|logspace|eye|scalar_tensor|fill|zero"
    r"|tril_indices|triu_indices|.*_window|_efficientzerotensor|rand.*|normal.*|uniform|bernoulli|multinomial|poisson"
    r"|native_dropout|_fused_dropout|fft_r?fftfreq|cauchy|log_normal|geometric|exponential"
    r"|_standard_gamma.*|_masked_scale",
    "reductions": r"sum|mean|prod|amax|amin|max|min|aminmax|_aminmax|var.*|std.*|any|all|norm|native_norm|cum.*|_cum.*"
    r"|logcumsumexp|_logcumsumexp|logsumexp|count_nonzero|argmax|argmin|dist|linalg_vector_norm|nansum|_is_(all|any)_true"
    r"|segment_reduce|_segment_reduce.*|allclose|equal",
    "rounding": r"_?fake_quantize_.*|quantize_per.*|dequantize|bitwise_.*|__.*shift__",
    "bookkeeping": r"_local_scalar_dense|item|sym_.*|is_.*|_assert.*|_functional_assert.*|_print|record_stream"
    r"|_has_.*|_fused_sdp_choice|_pin_memory|_amp_.*|_foreach_.*|_fused_(adam|sgd).*|dim|size|stride|numel|_use_.*"
    r"|_transform_bias.*",
}
_PATTERN = re.compile("|".join(f"(?:{pattern})" for pattern in LEFT_OUT.values()))
_TAGS = frozenset({torch.Tag.pointwise, torch.Tag.reduction, torch.Tag.view_copy, torch.Tag.inplace_view})


def is_left_out(operator: Any) -> bool:
    """Returns whether the count leaves an operator out by definition: it is elementwise, a view, or in `LEFT_OUT`."""
    if not isinstance(operator, torch._ops.OpOverload):
        return False
    if _TAGS & set(operator.tags) or is_view(operator):
        return True
    namespace, _, name = operator._schema.name.partition("::")
    if namespace in ("prim", "prims"):
        return True
    plain = name.rstrip("_").removesuffix("_backward_data").removesuffix("_backward")
    return namespace == "aten" and _PATTERN.fullmatch(plain) is not None


def is_view(operator: Any) -> bool:
    """Returns whether an operator returns another view of the memory of its argument."""
    if not isinstance(operator, torch._ops.OpOverload):
        return False
    returned = operator._schema.returns
    return any(one.alias_info is not None and not one.alias_info.is_write for one in returned)
