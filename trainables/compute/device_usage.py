"""Measures the seconds that a trial uses its device, and a GPU's energy by NVML; a CPU's energy is not measured."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

Meter = Callable[[], float]


class DeviceUsage:
    """Adds up the time and the energy of the computations inside its context.

    Attributes:
        seconds: wall time.
        joules: energy of the whole card; None where nothing measures it.
    """

    def __init__(self, meter: Meter | None) -> None:
        self._meter = meter
        self.seconds = 0.0
        self.joules: float | None = None

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Adds the time and the energy of what runs inside this context."""
        started, before = time.perf_counter(), self._meter() if self._meter else 0.0
        yield
        self.seconds += time.perf_counter() - started
        if self._meter:
            self.joules = (self.joules or 0.0) + self._meter() - before

    def metrics(self) -> dict[str, float]:
        """Returns seconds and, where they are measured, joules under their names among a trial's metrics."""
        energy = {} if self.joules is None else {"energy_joules": self.joules}
        return {"device_seconds": self.seconds, **energy}

    def restore(self, metrics: dict[str, float]) -> None:
        """Continues from the values that `metrics` returned before a restart."""
        self.seconds, self.joules = metrics["device_seconds"], metrics.get("energy_joules")


def meter_of(device: torch.device) -> Meter | None:
    """Returns a function that reads the joules that a whole card has used since its driver was loaded.

    None where nothing counts them: on a CPU, without `nvidia-ml-py`, on a card older than Volta or divided by MIG.
    """
    if device.type != "cuda":
        return None
    try:
        import pynvml
    except ImportError:
        return None
    # The card is found by its UUID, because PyTorch and NVML number cards differently where Ray hides some of them.
    identity = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(identity)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return None
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000  # NVML counts in millijoules
