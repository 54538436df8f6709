"""A small table for tests: 40 recipes with a parameter that applies only with one value of another."""

import itertools

from tests.benchmarks.peers.tables.table import Entry, Params, Table, parameters_of

LENGTHS, RATES, STEPS = (1, 2, 4, 8), (0.01, 0.03, 0.1, 0.3, 0.9), (2, 5, 10)


def rows() -> list[Params]:
    """Parameters of all recipes: `steps` only with the attack `pgd`, and at one rate out of five."""
    single = [{"length": length, "rate": rate, "attack": "fgsm"} for length, rate in itertools.product(LENGTHS, RATES)]
    several = [
        {"length": length, "rate": rate, "attack": "pgd", "steps": steps}
        for length, rate, steps in itertools.product(LENGTHS, RATES[:2], STEPS[:2])
    ]
    return [*single, *several, *({"length": one, "rate": 0.1, "attack": "pgd", "steps": 10} for one in LENGTHS)]


def score(params: Params) -> float:
    """Grows with the length, and is largest in the middle of the rates."""
    return float(0.1 * LENGTHS.index(params["length"]) + 0.1 * (2 - abs(RATES.index(params["rate"]) - 2)))


def cost(params: Params) -> float:
    """As FLOPs: the length times one and the steps."""
    return float(100 * params["length"] * (1 + params.get("steps", 0)))


def toy_table(*, told: bool = True) -> Table:
    """A table with learning curves of two scores each; `told`: whether costs are known before a recipe runs."""
    params = rows()
    entries = tuple(
        Entry(one, (0.5, 1.0), (score(one) / 2, score(one)), (cost(one) / 2, cost(one)), score(one), cost(one))
        for one in params
    )
    planned = tuple(cost(one) for one in params)
    return Table("toy", "0", parameters_of(params), entries, (0.15, 4.0), sum(planned) / 4, planned if told else None)
