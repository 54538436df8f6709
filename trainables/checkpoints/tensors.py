"""Packs a network, its optimizer and the state of training into plain tensors, and unpacks them again."""

from safetensors.torch import load, save
from torch import Generator, Tensor, empty_like, nn
from torch.optim import Optimizer


def pack_model(model: nn.Module) -> bytes:
    """A network's parameters and buffers as a safetensors file."""
    return save(_contiguous(model.state_dict()))


def pack_progress(model: nn.Module, optimizer: Optimizer, generator: Generator) -> bytes:
    """An optimizer's state by the names of the parameters, and a random state, as a safetensors file."""
    tensors = {"generator": generator.get_state()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            if value is not None:
                tensors[f"{key}.{name}"] = value
    return save(_contiguous(tensors))


def unpack_progress(content: bytes, model: nn.Module, optimizer: Optimizer, generator: Generator) -> None:
    """The inverse of `pack_progress`: fills a fresh optimizer of the model's parameters and the generator."""
    tensors = load(content)
    generator.set_state(tensors.pop("generator"))
    parameters = dict(model.named_parameters())
    for name, value in tensors.items():
        key, _, owner = name.partition(".")
        parameter = parameters[owner]
        if value.shape == parameter.shape:  # in its parameter's memory layout, so that a step runs the same kernels
            value = empty_like(parameter).copy_(value).detach()
        optimizer.state[parameter][key] = value


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """safetensors stores row-major tensors only."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
