"""Packs networks, optimizers and random states into plain tensors for checkpoints, and unpacks them again."""

from safetensors.torch import load, save
from torch import Generator, Tensor, empty_like, nn
from torch.optim import Optimizer


def pack_model(model: nn.Module) -> bytes:
    """Packs a network's parameters and buffers into the content of a safetensors file."""
    return save(_contiguous(model.state_dict()))


def pack_progress(model: nn.Module, optimizer: Optimizer, generator: Generator) -> bytes:
    """Packs an optimizer's state, by the names of the parameters, and a random state into a safetensors file."""
    tensors = {"generator": generator.get_state()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            if value is not None:
                tensors[f"{key}.{name}"] = value
    return save(_contiguous(tensors))


def unpack_progress(content: bytes, model: nn.Module, optimizer: Optimizer, generator: Generator) -> None:
    """Restores what `pack_progress` packed into a new optimizer of the model's parameters and a generator."""
    tensors = load(content)
    generator.set_state(tensors.pop("generator"))
    parameters = dict(model.named_parameters())
    for name, value in tensors.items():
        key, _, owner = name.partition(".")
        parameter = parameters[owner]
        if value.shape == parameter.shape:  # takes its parameter's memory layout, so that steps run the same kernels
            value = empty_like(parameter).copy_(value).detach()
        optimizer.state[parameter][key] = value


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors as row-major copies on the CPU, because safetensors stores no others.

    A tensor that several layers share is stored under each of its names, since safetensors refuses shared memory.
    """
    packed: dict[str, Tensor] = {}
    stored: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        packed[name] = value.clone() if value.numel() and value.data_ptr() in stored else value
        stored.add(value.data_ptr())
    return packed
