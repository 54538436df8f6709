"""Names every optimizer that is compared, and what its results depend on."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import MappingProxyType
from typing import cast

from tests.benchmarks.peers.optimizers.peer import POPULATION, STARTUP, Maker
from tests.support.checkout import ROOT

OURS = "cost-aware"


@dataclass(frozen=True)
class Entrant:
    """An optimizer, and where to find it.

    Attributes:
        maker: module and function that make it.
        packages: the packages whose versions its results depend on, by their names in a registry.
        module: what must be importable for it to run here.
        sources: files of this checkout, or folders of such, that its results depend on.
    """

    maker: str
    packages: tuple[str, ...]
    module: str
    sources: tuple[str, ...] = ()

    @property
    def is_here(self) -> bool:
        """Whether its packages are installed in this environment."""
        return find_spec(self.module) is not None

    def make(self) -> Maker:
        """Return what makes it."""
        module, _, name = self.maker.partition(":")
        return cast(Maker, getattr(import_module(module), name))

    def version(self) -> str:
        """Return what its results depend on, in words; a package that is missing is named as such."""
        module = self.maker.partition(":")[0].replace(".", "/") + ".py"
        here = [f"{name} {_version(name)}" for name in self.packages]
        return ", ".join(
            [*here, f"startup {STARTUP}, population {POPULATION}, sources {_digest((module, *_SHARED, *self.sources))}"]
        )


_HERE = "tests.benchmarks.peers.optimizers."
_SHARED = (
    "tests/benchmarks/peers/accounting.py",
    "tests/benchmarks/peers/optimizers/peer.py",
    *(f"tests/benchmarks/peers/tables/{name}.py" for name in ("table", "costs", "recordings", "outside")),
    "analysis/pareto/hypervolume.py",
)
_OWN = ("search", "analysis/pareto", "trainables/evaluation")
ENTRANTS: Mapping[str, Entrant] = MappingProxyType(
    {
        OURS: Entrant(_HERE + "temper:cost_aware", ("scikit-learn", "scipy", "numpy"), "sklearn", _OWN),
        "Optuna TPE": Entrant(_HERE + "optuna_samplers:tpe", ("optuna",), "optuna"),
        "Optuna GP": Entrant(_HERE + "optuna_samplers:gp", ("optuna", "torch", "scipy"), "optuna"),
        "Optuna NSGA-II": Entrant(_HERE + "optuna_samplers:nsga2", ("optuna",), "optuna"),
        "random": Entrant(_HERE + "optuna_samplers:random", ("optuna",), "optuna"),
        "NEHVI": Entrant(_HERE + "nehvi:undivided", ("botorch", "gpytorch", "torch"), "botorch"),
        "NEHVI / cost": Entrant(_HERE + "nehvi:divided", ("botorch", "gpytorch", "torch"), "botorch"),
        "SMAC3 ParEGO": Entrant(_HERE + "smac_parego:parego", ("smac", "configspace", "scikit-learn"), "smac"),
        "PriMO": Entrant(_HERE + "primo:primo", ("neural-pipeline-search", "botorch", "gpytorch"), "neps"),
    }
)
OPTUNAS = ("Optuna TPE", "Optuna GP", "Optuna NSGA-II")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


@cache
def _digest(sources: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        path = ROOT / source
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()[:12]
