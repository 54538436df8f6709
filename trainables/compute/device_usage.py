"""What a trial takes of its device: seconds, and a GPU's energy by NVML; a CPU's is not measured, nor estimated."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

Meter = Callable[[], float]


class DeviceUsage:
    """Adds up what is computed in its context.

    Attributes:
        seconds: wall time.
        joules: of the whole card; None where nothing counts them.
    """

    def __init__(self, meter: Meter | None) -> None:
        self._meter = meter
        self.seconds = 0.0
        self.joules: float | None = None

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the context."""
        started, before = time.perf_counter(), self._meter() if self._meter else 0.0
        yield
        self.seconds += time.perf_counter() - started
        if self._meter:
            self.joules = (self.joules or 0.0) + self._meter() - before

    def metrics(self) -> dict[str, float]:
        """As they stand among a trial's numbers."""
        energy = {} if self.joules is None else {"energy_joules": self.joules}
        return {"device_seconds": self.seconds, **energy}

    def restore(self, metrics: dict[str, float]) -> None:
        """Go on from what was counted before: the inverse of `metrics`."""
        self.seconds, self.joules = metrics["device_seconds"], metrics.get("energy_joules")


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
