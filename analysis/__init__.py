"""Explains the results of a search: reads a run directory, and knows neither Ray nor Optuna nor the study.

- `run`: reads a run directory back
- `pareto`: computes dominance, frontier, hypervolume, and parity with the reference
- `status`: tells how far a run is, and whether its search is alive
- `tables`: makes the tables behind figures and files
- `evidence`: says what several seeds on the same images prove
- `export`: exports recipes and models
- `bundle`: makes a folder of a model that is used without Temper
- `comparison`: holds several runs against each other, on one reference point
- `report`: writes the report and its charts
- `results`: what people call from Python to look at a run
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.results.picked import Picked
    from analysis.results.results import Results, load_run

__all__ = ["Picked", "Results", "load_run"]
_PLACES = {
    "Picked": "analysis.results.picked",
    "Results": "analysis.results.results",
    "load_run": "analysis.results.results",
}


def __getattr__(name: str) -> Any:
    """Imports what people call from Python once it is asked for, since it needs pandas."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
