"""Decides what to run next: the `temper` command, studies, the search and its record.

From the ground up:

- `failures`, `events`: reasons of failures in one line; the events of a search, and the protocol of its listeners
- `study`, `recipes`: the study that a YAML file describes, and the recipes that it runs
- `remote`: submits a search to a cluster, and fetches its results
- `surrogate`: models what a recipe will come to and cost
- `gain`: tells what a recipe is expected to gain for the hypervolume
- `samplers`, `halving`: propose recipes, and stop unpromising ones early
- `resume`, `record`: read and write the run directory
- `monitoring`: shows a search while it runs: terminal, TensorBoard, Prometheus
- `running`: runs the search on Ray Tune
- `preflight`, `simulation`, `reproduce`: plan and price a search before it runs, simulate one, repeat one recipe
- `drafting`: writes the first study for a user's network and data
- `evaluating`, `confirm`: attack one network as hard as can be; retrain what was found, and say who wins
- `tidying`: drops what nothing needs any more
- `api`: what people call from Python
- `cli`: the command line, a file for each kind of command
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.api import load_study, resume_run, run_study

__all__ = ["load_study", "resume_run", "run_study"]


def __getattr__(name: str) -> Any:
    """Imports what people call from Python once it is asked for, so that parts of the package can do without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("search.api"), name)
