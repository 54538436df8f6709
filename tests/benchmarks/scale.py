"""What a search of ten thousand trials costs beside Ray Tune's own loop: twenty minutes and more.

    python -m tests.benchmarks.scale --trials 10000 --keep build/scale

Both run trials of one second on 16 logical CPUs, however many this machine has, one after the other in one command:
first Tune alone, then a search with all that Temper adds (proposals, record, curves, budget). The base and the baseline
are trained for real, proposals sleep and report made numbers. Then the commands that read such a run are timed. Tune
gets Temper's scheduler, without which it never has the processes of all slots on a machine of few cores.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cluster.connection.session import Target, prepare_environment, session

prepare_environment(None)  # before anything imports Ray

from ray import tune  # noqa: E402  # as above

from search.halving.scheduler import ParetoHalving  # noqa: E402  # as above
from search.record import run_directory  # noqa: E402  # as above
from search.running import runner, tuning  # noqa: E402  # as above
from search.study.loading import load  # noqa: E402  # as above
from tests.benchmarks.machine import machine  # noqa: E402  # as above
from tests.benchmarks.overhead import SETTINGS, Meter, Reading, resident  # noqa: E402  # as above
from trainables.execution.ending import FINISHED  # noqa: E402  # as above
from trainables.execution.report import Report  # noqa: E402  # as above
from trainables.trainable import RecipeTrainable  # noqa: E402  # as above

CPUS, SECONDS = 16, 1.0
SPACE = ["space.schedule.epochs={low: 1, high: 1}", "data.train_size=40", f"resources.max_concurrent={CPUS}"]
COMMANDS = {"status": 3, "resume": 10, "report": 10}  # seconds that each should take at most at 10,000 trials


class Sleeper(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """A trial of Tune's that does nothing for a second."""

    def step(self) -> dict[str, Any]:
        time.sleep(SECONDS)
        return {"done": True}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Has nothing to keep."""


class SleepingProposal(RecipeTrainable):
    """A trial of a recipe; a proposal's does nothing for a second, and reports numbers made from the base's."""

    def step(self) -> dict[str, Any]:
        recipe, trials = self._recipe, self._setting.trials
        if recipe.base is None:
            return super().step()
        began = time.perf_counter()
        base = trials.child(recipe.base.id)
        metrics: dict[str, float] = base.read_json("outcome.json")["metrics"]
        chance = random.Random(recipe.id)
        decades = chance.uniform(-2, 0)
        robust = min(1.0, max(0.0, 0.8 + 0.2 * decades + chance.gauss(0, 0.05)))
        flops = metrics["end_to_end_flops"] * 10**decades
        made = {"robust_accuracy": robust, "train_flops": flops, "end_to_end_flops": 2 * flops}
        row = base.child("checkpoint", "1").read_json("state.json")["history"][-1] | made
        trials.child(recipe.id, "checkpoint", "1").write_json("state.json", {"history": [row]})
        time.sleep(max(0.0, SECONDS - (time.perf_counter() - began)))
        busy = time.perf_counter() - began
        return Report(row=row, busy_seconds=busy, ending=FINISHED, metrics=metrics | made).as_result()


def reading() -> Reading:
    """Read this process now."""
    return Reading(time.perf_counter(), time.process_time(), resident())


def tune_alone(trials: int) -> tuple[Reading, Reading]:
    """Run so many sleeping trials with Tune alone; gives this process before and after."""
    with session(Target(), cpus=CPUS), tempfile.TemporaryDirectory() as storage:
        before = reading()
        results = tune.Tuner(
            tune.with_resources(Sleeper, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                num_samples=trials, max_concurrent_trials=CPUS, reuse_actors=True, scheduler=ParetoHalving(None)
            ),
            run_config=tune.RunConfig(
                storage_path=storage,
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
        if results.errors:
            raise results.errors[0]
        return before, reading()


def search(trials: int, sampler: str, run: Path) -> list[Reading]:
    """Search with so many sleeping proposals; gives this process when the first proposal ended, and when each did."""
    study, meter, started = load("digits", [*SETTINGS, *SPACE, f"sampler.kind={sampler}"]), Meter(), time.perf_counter()
    study = study.model_copy(update={"budget": study.budget.model_copy(update={"trials": trials})})
    with (
        patch.object(runner, "session", partial(session, cpus=CPUS)),
        patch.object(tuning, "RecipeTrainable", SleepingProposal),
        run_directory.open_run(str(run.parent), run.name) as lease,
    ):
        runner.search(study, lease, target=Target(), command=sys.argv[0], started=started, terminal=meter)
    return meter.readings


def seconds_of(command: str, run: Path) -> float:
    """Run one of the commands on the run, and return its seconds."""
    began = time.perf_counter()
    subprocess.run([Path(sys.executable).with_name("temper"), command, run], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000, help="of each of the two (default 10000)")
    parser.add_argument("--sampler", default="random", help="of the search (default random)")
    parser.add_argument("--keep", type=Path, help="folder in which the run stays")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = (options.keep or Path(scratch)) / f"scale-{options.trials}"
        before, after = tune_alone(options.trials)
        readings = search(options.trials, options.sampler, run)
        print(f"{machine()}\n{options.trials} trials of {SECONDS:g} s, {CPUS} at once\n")
        show("Tune alone", before, after, options.trials)
        show(f"Temper, {options.sampler}", readings[0], readings[-1], len(readings) - 1)
        for command, most in COMMANDS.items():
            print(f"temper {command:<8} {seconds_of(command, run):>8.1f} s, aim {most} at 10,000 trials")


def show(name: str, before: Reading, after: Reading, trials: int) -> None:
    """Print a line: what a trial takes of the clock and of the driver's processor, and what its memory grew by."""
    wall, cpu = (after.clock - before.clock) / trials, (after.cpu - before.cpu) / trials
    print(
        f"{name:<20} {wall * trials:>7.0f} s, {wall:.4f} s a trial; driver {cpu:.4f} s of CPU a trial, "
        f"{(after.resident - before.resident) / trials:.0f} KiB a trial"
    )


if __name__ == "__main__":
    main()
