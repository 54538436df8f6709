"""What the driver of a search costs: `make bench` prints the table.

A real search of trials that do next to nothing: 1 epoch of digits on a handful of images, two at once. Time and memory
are read when a proposal has ended, as its line is printed, so start-up and the fixed recipes do not count.
"""

import argparse
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cluster.connection.session import Target, prepare_environment

prepare_environment(None)  # before anything imports Ray

from analysis.run.trials import read_run  # noqa: E402  # as above
from search.monitoring.progress import Terminal  # noqa: E402  # as above
from search.record import run_directory  # noqa: E402  # as above
from search.running import runner  # noqa: E402  # as above
from search.study.loading import load  # noqa: E402  # as above
from tests.benchmarks.machine import machine  # noqa: E402  # as above

TARGET = 0.25  # seconds of driver time a trial
SETTINGS = [
    "data.train_size=20",
    "data.validation_size=10",
    "evaluation={steps: 1, progress_steps: 1, progress_examples: 10}",
    "pretraining={epochs: 1, learning_rate: 0.05}",
    "baselines=[{name: short, perturbation: {kind: n_fgsm, epsilon: 0.2}, schedule: {epochs: 1, learning_rate: 0.05}}]",
    "reference=short",
    "space.perturbation.steps={low: 1, high: 2}",
    "space.schedule.epochs={low: 1, high: 1}",
    "resources.max_concurrent=2",
]


@dataclass(frozen=True)
class Reading:
    """The driver, when a proposal has ended: clock and CPU time of all its threads in seconds, resident KiB."""

    clock: float
    cpu: float
    resident: int


class Meter(Terminal):
    """Reads the driver at each line about a proposal, which it does not print."""

    def __init__(self) -> None:
        super().__init__()
        self.readings: list[Reading] = []

    def line(self, text: str) -> None:
        """Take a reading."""
        if re.search(r"\ds  proposed ", text):
            self.readings.append(Reading(time.perf_counter(), time.process_time(), resident()))


def resident() -> int:
    """Memory that this process holds, in KiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="proposals (default 200)")
    trials = parser.parse_args().trials
    study, meter, started = load("digits", [*SETTINGS, f"budget.trials={trials}"]), Meter(), time.perf_counter()
    with tempfile.TemporaryDirectory() as storage:
        with run_directory.open_run(storage, "overhead") as lease:
            timing = runner.search(study, lease, target=Target(), command=sys.argv[0], started=started, terminal=meter)
        seconds = [one.seconds for one in read_run(lease.run).trials if one.role == "proposed"]
    first, last, count = meter.readings[0], meter.readings[-1], len(meter.readings) - 1
    wall, cpu = last.clock - first.clock, last.cpu - first.cpu
    grown = np.polyfit(np.arange(count + 1), [one.resident for one in meter.readings], 1)[0]
    half = np.polyfit(np.arange(count // 2 + 1), [one.resident for one in meter.readings[count - count // 2 :]], 1)[0]
    print(f"{machine()}\n{len(seconds)} proposals of {np.mean(seconds):.3f} s, {timing.slots} at once\n")
    print(f"driver's CPU time                {cpu / count:>8.3f} s a trial, target {TARGET}")
    print(f"wall time                        {wall / count:>8.3f} s a trial")
    print(f"wall time in which a slot idles  {wall / count - np.mean(seconds) / timing.slots:>8.3f} s a trial")
    print(f"driver's memory                  {grown:>8.0f} KiB a trial, {half:.0f} over the second half")


if __name__ == "__main__":
    main()
