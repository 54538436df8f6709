"""Trials that are shorter than the start of their process, run on two slots: prints the process of each, as JSON."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from cluster.connection.session import Target, prepare_environment, session

prepare_environment(None)  # before anything imports Ray

from ray import tune  # noqa: E402  # as above

from search.halving.scheduler import ParetoHalving  # noqa: E402  # as above


class SlowToStart(tune.Trainable):  # type: ignore[misc]  # Ray ships no types
    """A short trial; all processes but the first take two seconds more to start."""

    def setup(self, config: dict[str, Any]) -> None:
        try:
            (Path(config["place"]) / "first").touch(exist_ok=False)
        except FileExistsError:
            time.sleep(2)

    def step(self) -> dict[str, Any]:
        time.sleep(0.2)
        return {"done": True, "process": os.getpid()}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Has nothing to keep."""


def main(place: Path) -> None:
    with session(Target(), cpus=2):
        results = tune.Tuner(
            tune.with_resources(SlowToStart, {"cpu": 1}),
            param_space={"place": str(place)},
            tune_config=tune.TuneConfig(
                num_samples=40, max_concurrent_trials=2, reuse_actors=True, scheduler=ParetoHalving(None)
            ),
            run_config=tune.RunConfig(
                storage_path=str(place / "tune"),
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
    print(json.dumps([result.metrics["process"] for result in results]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
