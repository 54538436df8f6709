"""Telling that memory ran out from other errors."""

import torch


def limit_memory(device: torch.device, gpu: float) -> None:
    """Keep this process to its share of a GPU: beyond it, PyTorch raises OutOfMemoryError here and not next door."""
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(min(1.0, gpu), device)


MICRO_BATCHES = 4  # parts of a batch at the second try


def out_of_memory(error: BaseException) -> str | None:
    """What to say of an error that means that memory, a GPU's or the machine's, ran out; None of any other one."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "DefaultCPUAllocator: can't allocate" in str(error):
        return f"out of memory: {lines[0]}"
    return None
