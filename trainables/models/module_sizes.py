"""Sets the sizes that layers keep as numbers to those of their tensors, and has saved what a network is rebuilt from.

A layer without a tensor of its size takes it from its input. A module of the user's that keeps a size as a number gets
a buffer `pruned_<number's name>` when that number changes; it is saved with the weights. So is a buffer that the user's
code makes, from when it has become narrower, and from the start if the code draws it at random.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from trainables.random_states import random_states_kept

CHANGED = "pruned_"  # beginning of the name of a buffer that holds a changed number
_DRAWN = "drawn_buffers"  # mark of modules with buffers that are saved because the user's code draws them
_KEEPS_GROUPS = "keeps_groups"  # mark of convolutions whose groups had several channels before pruning


def fit_sizes(model: nn.Module) -> None:
    """Sets the sizes of every layer of a network to those of its tensors."""
    for module in model.modules():
        _fit(module)
        for name, value in module.named_buffers(recurse=False):
            if name.startswith(CHANGED):
                setattr(module, name.removeprefix(CHANGED), round(float(value)))


def change_number(module: nn.Module, name: str, value: int) -> Tensor | None:
    """Changes a number that a module keeps, and notes it in a buffer, so that it is saved with the weights.

    The buffer is a float, as in the weights of earlier versions, whose averages cut whole numbers off.

    Returns:
        The buffer that noted an earlier change; None if there was none.
    """
    before = module._buffers.get(CHANGED + name)
    device = next((one.device for one in module.parameters()), torch.device("cpu"))
    module.register_buffer(CHANGED + name, torch.tensor(float(value), device=device))
    setattr(module, name, value)
    return before


def forget_number(module: nn.Module, name: str, before: Tensor | None) -> None:
    """Puts back what `change_number` returned, but not the number itself."""
    if before is None:
        delattr(module, CHANGED + name)
    else:
        module._buffers[CHANGED + name] = before


def adopt_changed_number(module: nn.Module, name: str, value: Tensor) -> bool:
    """Registers a buffer of a saved state that notes a changed number; returns whether it is one."""
    number = name.removeprefix(CHANGED)
    if number == name or not isinstance(getattr(module, number, None), int):
        return False
    module.register_buffer(name, torch.empty_like(value))
    return True


def save_buffer(module: nn.Module, name: str) -> bool:
    """Lets a buffer be saved with the weights, if there is one that was not; returns whether there is."""
    there = name in module._non_persistent_buffers_set
    module._non_persistent_buffers_set.discard(name)
    return there


def save_drawn_buffers(model: nn.Module, build: Callable[[], nn.Module]) -> None:
    """Lets buffers be saved with the weights that the user's code draws anew each time and that are not saved.

    Without them the weights are of no use, such as those of layers behind random Fourier features. Which buffers are
    drawn shows in a second network; none is built where all buffers are saved.

    Args:
        model: the network.
        build: builds it once more; random states are left as they were.
    """
    if not any(module._non_persistent_buffers_set for module in model.modules()):
        return
    with random_states_kept():
        again = build()
    for name, module in model.named_modules():
        other = _named(again, name)
        for key in sorted(module._non_persistent_buffers_set):
            if other is not None and not _equal(module._buffers.get(key), other._buffers.get(key)):
                save_buffer(module, key)
                setattr(module, _DRAWN, {*getattr(module, _DRAWN, ()), key})


def drawn_buffers(model: nn.Module) -> dict[str, Tensor]:
    """Returns the buffers, by name, that are saved because the user's code draws them."""
    return {
        f"{name}.{key}" if name else key: module.get_buffer(key)
        for name, module in model.named_modules()
        for key in getattr(module, _DRAWN, ())
    }


def drawn_tensors(model: nn.Module, again: nn.Module) -> list[str]:
    """Returns the names of tensors that modules hold beside parameters and buffers, and that differ once built anew."""
    return [
        f"{name}.{key}" if name else key
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, Tensor) and not _equal(value, getattr(_named(again, name), key, None))
    ]


def _named(model: nn.Module, name: str) -> nn.Module | None:
    try:
        return model.get_submodule(name)
    except AttributeError:  # the user's code builds something else each time
        return None


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and torch.equal(one, other)


def keeps_groups(module: nn.Module) -> bool:
    """Returns whether a convolution's groups, of one channel each by now, had several channels before pruning.

    Its number of groups then stays as it was built, while that of a depthwise convolution is read off its weights.
    """
    return getattr(module, _KEEPS_GROUPS, False)


def _fit(module: nn.Module) -> None:
    tensors = {**module._parameters, **module._buffers}
    weight = tensors.get("weight")
    if isinstance(module, _ConvNd) and weight is not None:
        _fit_convolution(module, weight)
    elif isinstance(module, nn.Linear) and weight is not None:
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, _NormBase):
        held = weight if weight is not None else tensors.get("running_mean")
        if held is not None:
            module.num_features = len(held)
        elif isinstance(module, _InstanceNorm):
            _size_from_input(module)
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
        if weight is not None:
            module.normalized_shape = tuple(weight.shape)
        else:
            _size_from_input(module)
    elif isinstance(module, nn.GroupNorm) and weight is not None:
        module.num_channels = len(weight)
    elif isinstance(module, nn.PReLU) and weight is not None:
        module.num_parameters = len(weight)
    elif isinstance(module, nn.Embedding) and weight is not None:
        module.num_embeddings, module.embedding_dim = weight.shape
    elif isinstance(module, nn.MultiheadAttention):
        _fit_attention(module)
    elif isinstance(module, nn.RNNBase):
        module.input_size = module._parameters["weight_ih_l0"].shape[1]  # type: ignore[union-attr]


def _fit_convolution(module: _ConvNd, weight: Tensor) -> None:
    first, second = weight.shape[:2]
    if module.transposed:
        module.in_channels, module.out_channels = first, second * module.groups
        return
    if 1 < module.groups < module.in_channels:
        setattr(module, _KEEPS_GROUPS, True)
    elif module.groups > 1 and not keeps_groups(module):  # depthwise: one group for each channel that is left
        module.groups = first // (module.out_channels // module.in_channels)
    module.out_channels, module.in_channels = first, second * module.groups


def _fit_attention(module: nn.MultiheadAttention) -> None:
    width = len(module.out_proj.weight)
    if module.in_proj_weight is not None:
        module.kdim = module.vdim = width
    module.embed_dim, module.head_dim = width, width // module.num_heads


def _size_from_input(module: nn.Module) -> None:
    """Lets a normalization without tensors take its size from its input; a subclass may have another order."""
    known = (nn.LayerNorm, nn.RMSNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
    if type(module) in known and take_size not in module._forward_pre_hooks.values():
        module.register_forward_pre_hook(take_size)


def take_size(module: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Sets the size of a normalization to that of its input; it is a hook of layers that have no tensors."""
    x = inputs[0]
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        module.normalized_shape = tuple(x.shape[-len(module.normalized_shape) :])
    elif isinstance(module, _InstanceNorm):
        module.num_features = x.shape[1]
