"""Packs networks, optimizers and random states into plain tensors for checkpoints, and unpacks them again."""

import torch
from safetensors.torch import load, save
from torch import Generator, Tensor, empty_like, nn
from torch.optim import Optimizer

_PROCESSOR, _CARD = "global", "global_cuda"  # keys of the states of PyTorch's own generators


def pack_model(model: nn.Module) -> bytes:
    """Packs a network's parameters and buffers into the content of a safetensors file."""
    return save(_contiguous(model.state_dict()))


def pack_progress(model: nn.Module, optimizer: Optimizer, generator: Generator) -> bytes:
    """Packs an optimizer's state, by the names of the parameters, and random states into a safetensors file.

    These are the generator's and those that layers such as dropout draw from: PyTorch's own of the processor, and of
    the generator's card.
    """
    tensors = {"generator": generator.get_state(), _PROCESSOR: torch.get_rng_state()}
    if generator.device.type == "cuda":
        tensors[_CARD] = torch.cuda.get_rng_state(generator.device)
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            if value is not None:
                tensors[f"{key}.{name}"] = value
    return save(_contiguous(tensors))


def unpack_progress(content: bytes, model: nn.Module, optimizer: Optimizer, generator: Generator) -> None:
    """Restores what `pack_progress` packed into a new optimizer of the model's parameters and the generators.

    Checkpoints of earlier versions do not have the states of PyTorch's own, which stay as they are then.
    """
    tensors = load(content)
    generator.set_state(tensors.pop("generator"))
    processor, card = tensors.pop(_PROCESSOR, None), tensors.pop(_CARD, None)
    if processor is not None:
        torch.set_rng_state(processor)
    if card is not None and generator.device.type == "cuda":
        torch.cuda.set_rng_state(card, generator.device)
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
