"""Says which layers of a network have weights that can be quantized, and which weights stay in floating point and why.

A weight can be quantized where PyTorch reads it as an attribute of its module, because a parametrization then takes its
place. This covers convolutions, linear layers, attention and embeddings, and a Linear whose weight other code reads
without calling it. It does not cover recurrent layers, which keep a list of their parameters of their own.
"""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.utils import parametrize

Layer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d | nn.Linear
Weighted = Layer | nn.MultiheadAttention | nn.Embedding
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_ATTENTION = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
_INPUTS = ("input", "query", "key", "value")  # names of the inputs of all layers, where they are given by name
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)
_NORMALIZATIONS = (nn.LayerNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase, nn.GroupNorm)


def weighted_layers(model: nn.Module) -> dict[str, Weighted]:
    """Returns the layers with weights that can be quantized, by name in the order of definition.

    The output projection of nn.MultiheadAttention is a Linear of its own, after its attention.
    """
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, Weighted) and getattr(module, "max_norm", None) is None  # this one changes its weight
    }


def weights_of(layer: nn.Module) -> list[str]:
    """Returns the names of a layer's weights that can be quantized.

    It is empty for a layer whose weight is computed before each call by a hook, as torch.nn.utils.weight_norm does, and
    for a layer of complex numbers, which PyTorch rounds none of.
    """
    if is_complex(layer):
        return []
    names = _ATTENTION if isinstance(layer, nn.MultiheadAttention) else ("weight",)
    return [
        name for name in names if parametrize.is_parametrized(layer, name) or layer._parameters.get(name) is not None
    ]


def is_complex(layer: nn.Module) -> bool:
    """Returns whether a layer computes with complex numbers."""
    return any(parameter.is_complex() for parameter in layer.parameters(recurse=False))


def own_weights(layer: nn.Module) -> dict[str, Tensor]:
    """Returns the matrices that a subclass of a layer adds to its weights, such as a low-rank adapter's factors.

    They stay in floating point. Of a layer whose weight is computed by a hook there are none, since it is made of them.
    """
    weights = weights_of(layer)
    return {
        name: parameter
        for name, parameter in layer.named_parameters(recurse=False)
        if weights and name not in weights and _is_matrix(parameter)
    }


def _is_matrix(parameter: Tensor) -> bool:
    return sum(length > 1 for length in parameter.shape) >= 2


def transposed_groups(layer: nn.Module) -> int:
    """Returns the number of groups of a transposed convolution, whose weights are (in, out / groups, …); else 0."""
    return layer.groups if isinstance(layer, _TRANSPOSED) else 0


def inputs_of(layer: nn.Module, given: tuple[object, ...], named: dict[str, object]) -> Iterator[Tensor]:
    """Yields the floating-point tensors that a layer multiplies by its weights.

    Args:
        layer: a layer of `weighted_layers`.
        given: the positional arguments of its call.
        named: the keyword arguments of its call.
    """
    count = 3 if isinstance(layer, nn.MultiheadAttention) else 1  # query, key and value
    for value in (*given[:count], *(named[name] for name in _INPUTS if name in named)):
        if isinstance(value, Tensor) and value.is_floating_point():
            yield value


def left_in_floating_point(model: nn.Module, *, weights: bool, inputs: bool) -> dict[str, str]:
    """Returns the reason, by name, of every weight and input of a quantized network that stayed in floating point.

    Normalization layers and vectors, such as biases, are not listed, because quantization leaves them everywhere.

    Args:
        model: the network after quantization.
        weights: whether the weights of the others were quantized.
        inputs: whether their inputs were quantized.
    """
    left: dict[str, str] = {}
    layers = weighted_layers(model)
    for name, layer in layers.items():
        if weights and is_complex(layer):
            left[f"{name}.weight"] = "is of complex numbers, which are not rounded"
        elif weights and not weights_of(layer):
            left[f"{name}.weight"] = (
                "is computed by a hook before each call; the functions of torch.nn.utils.parametrizations can be "
                "quantized"
            )
        if weights:
            kind = type(layer).__name__.removeprefix("Parametrized")
            reason = f"is a weight of {kind}'s own, beside those of the layer that it is made from"
            left |= {f"{name}.{own}": reason for own in own_weights(layer)}
        if inputs and not hasattr(layer, "input_quantizer") and not isinstance(layer, nn.Embedding):
            left[f"input of {name}"] = _why_no_input(model, name)
    if weights:
        left |= dict(_other_parameters(model, set(layers.values())))
    return left


def _why_no_input(model: nn.Module, name: str) -> str:
    if is_complex(model.get_submodule(name)):
        return "is of complex numbers, which are not rounded"
    owner = name.rpartition(".")[0]
    if isinstance(model.get_submodule(owner), nn.MultiheadAttention):
        return "is computed inside nn.MultiheadAttention, which reads this layer's weight without calling it"
    return "was not seen: no image for calibration reaches the layer, or other code reads its weight without calling it"


def _other_parameters(model: nn.Module, covered: set[nn.Module]) -> Iterator[tuple[str, str]]:
    """Yields each matrix or larger parameter that belongs to no layer that can be quantized, with the reason."""
    for path, module in model.named_modules():
        if module in covered or isinstance(module, (*_NORMALIZATIONS, parametrize.ParametrizationList)):
            continue
        for name, parameter in module.named_parameters(prefix=path, recurse=False):
            if not _is_matrix(parameter):
                continue
            if isinstance(module, _RECURRENT):
                yield name, f"belongs to a recurrent layer (nn.{type(module).__name__}), whose weights are left"
            else:
                yield name, f"belongs to {type(module).__name__}, which is no layer that can be quantized"
