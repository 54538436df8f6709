"""Limits a trial to its share of a GPU's memory, and recognises errors that mean that memory ran out."""

import torch


def limit_memory(device: torch.device, gpu: float) -> None:
    """Limits this process to its share of a GPU's memory, so that it runs out here and not in another trial.

    Beyond the share, PyTorch raises OutOfMemoryError.

    Args:
        device: the device; a GPU without a number is this process's current one.
        gpu: the trial's share of it, or a number of cards.
    """
    if device.type == "cuda":
        number = torch.cuda.current_device() if device.index is None else device.index  # PyTorch wants a number here
        torch.cuda.set_per_process_memory_fraction(min(1.0, gpu), number)


MICRO_BATCHES = 4  # parts that a batch is split into in the second try, after memory has run out


_OF_MEMORY = (  # of errors that are no OutOfMemoryError: of the processor, the driver, and the libraries of a card
    "DefaultCPUAllocator: can't allocate",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def out_of_memory(error: BaseException) -> str | None:
    """Returns a message for an error that means that a GPU's or the machine's memory ran out; None for other errors."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(text in str(error) for text in _OF_MEMORY):
        return f"out of memory: {lines[0]}"
    return None
