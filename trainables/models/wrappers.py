"""Takes a network out of wrappers that only change how it runs, and refuses those that it cannot be taken out of.

Compression and training change a network's layers, so what was compiled from them, or copied to several devices, would
be out of date at once. Each trial trains on one device.
"""

import sys
from typing import cast

from torch import nn
from torch.jit import ScriptModule
from torch.nn.parallel import DataParallel, DistributedDataParallel

from trainables.errors import InvalidInput

EXPECTED = "expected the torch.nn.Module that it was made from"


def unwrapped(model: nn.Module, where: str) -> nn.Module:
    """Returns a network as its layers define it, without `torch.compile` and data parallelism around it or its parts.

    Args:
        model: the network; parts of it that are wrapped are replaced in place.
        where: whose network it is, for messages.

    Raises:
        InvalidInput: it, or a part of it, is TorchScript or a program of `torch.export`, whose layers are fixed.
    """
    whole = _inside(model)
    for name, layer in list(whole.named_modules()):
        if isinstance(layer, ScriptModule):
            place = f" in layer {name}" if name else ""
            raise InvalidInput(f"{where}: is TorchScript{place}, whose layers cannot be changed, {EXPECTED}")
        layer._compiled_call_impl = None  # what `Module.compile` leaves
        for part, inner in list(layer._modules.items()):  # also those that have two names, unlike named_children
            if inner is not None and _inside(inner) is not inner:
                setattr(layer, part, _inside(inner))
    try:
        whole.train(whole.training)
    except NotImplementedError as error:
        raise InvalidInput(f"{where}: is a program of torch.export, whose layers are fixed, {EXPECTED}") from error
    return whole


def _inside(module: nn.Module) -> nn.Module:
    # Whoever compiles a network has imported this module, which takes seconds; nobody else waits for it.
    compiler = sys.modules.get("torch._dynamo.eval_frame")
    while True:
        if isinstance(module, DataParallel | DistributedDataParallel):
            module = module.module
        elif compiler is not None and isinstance(module, compiler.OptimizedModule):
            module = cast(nn.Module, module._orig_mod)
        else:
            return module
