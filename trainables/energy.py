"""Energy of the GPU that a trial computes on, by NVML; on a CPU nothing is measured, rather than estimated."""

from collections.abc import Callable

import torch

Meter = Callable[[], float]


def meter_of(device: torch.device) -> Meter | None:
    """What reads the joules that a GPU has used since its driver was loaded.

    The counter is the whole card's. None where there is none: on a CPU, without `nvidia-ml-py`, on a card older than
    Volta or cut by MIG.
    """
    if device.type != "cuda":
        return None
    try:
        import pynvml
    except ImportError:
        return None
    identity = f"GPU-{torch.cuda.get_device_properties(device).uuid}"  # indices differ where Ray hides other cards
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(identity)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return None
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000  # from millijoules
