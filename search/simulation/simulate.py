"""Simulates a search by a recording, and says in words what came of it (`temper simulate`)."""

from collections import Counter
from collections.abc import Sequence
from math import isnan

import optuna
import pandas as pd

from analysis.export.output_file import output_file, write_output
from search.resume.comparison import compare
from search.simulation.driver import Simulated, simulate, trace
from search.simulation.recording import read
from search.simulation.virtual_cluster import VirtualCluster
from search.study.loading import changed
from trainables.value_forms import counted


def simulate_in_words(
    recording: str,
    settings: Sequence[str],
    cluster: VirtualCluster,
    output: str | None = None,
    *,
    force: bool = False,
) -> str:
    """Simulate a search, and return its outcome as text.

    Args:
        recording: name of a shipped recording, or a file.
        settings: changes of how the recorded study searches, each as `path.to.key=value`.
        cluster: the virtual workers.
        output: a CSV file to write the hypervolume over virtual seconds and FLOPs to; None: it is not written.
        force: simulate even if the user's code has changed since the recorded run.

    Raises:
        InvalidInput: there is no such recording, the user's code has changed, or the changed study would run recipes
            that were not recorded, or the output cannot be written.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = None if output is None else output_file(output, "--output")
    recorded = read(recording)
    if not force:
        compare(recorded.fingerprint, recorded.study).refuse(recording)
    study = changed(recorded.study, settings)
    curves = recorded.of(study)
    simulated = simulate(study, curves, cluster)
    grown = trace(simulated, study, curves)
    if path is not None:
        write_output(path, "--output", grown.to_csv(index=False).encode())
    words = _in_words(simulated, cluster, float(grown["hypervolume"].max()) if len(grown) else 0.0)
    if study.budget.stop is None:
        return words
    unstopped = study.model_copy(update={"budget": study.budget.model_copy(update={"stop": None})})
    return f"{words}\n{_spared(grown, trace(simulate(unstopped, curves, cluster), study, curves))}"


def _spared(grown: pd.DataFrame, whole: pd.DataFrame) -> str:
    """Say what a search saved and missed by its stop, beside the same search without it."""

    def less(now: float, then: float) -> float:
        return max(0.0, 1 - now / then) if then > 0 else 0.0

    return (
        f"converged      {less(len(grown), len(whole)):.0%} of the proposals and "
        f"{less(grown['flops'].max(), whole['flops'].max()):.0%} of their compute spared, "
        f"{less(grown['hypervolume'].max(), whole['hypervolume'].max()):.1%} of the hypervolume missed, "
        "beside the same search without a stop"
    )


def _in_words(simulated: Simulated, cluster: VirtualCluster, hypervolume: float) -> str:
    ended = Counter(ending.outcome.state.value for ending in simulated.endings)
    flops = simulated.endings[-1].flops if simulated.endings else 0.0
    busy = f", {simulated.utilisation:.1%} of it computing while trials were left to start"
    each = 1e3 * simulated.deciding / max(1, simulated.decisions)
    return "\n".join(
        [
            f"{counted(len(simulated.endings), 'recipe')} ended: "
            + ", ".join(f"{count} {state}" for state, count in ended.items()),
            f"virtual time   {simulated.seconds / 3600:.2f} h on {counted(cluster.workers, 'worker')}"
            + ("" if isnan(simulated.utilisation) else busy),  # nan: every trial began at once
            f"a trial        {simulated.trial_seconds:.0f} s on average (recorded seconds × {cluster.stretch:g})",
            f"decisions      {simulated.decisions}, {each:.1f} ms each",
            f"compute        {flops:.3g} FLOPs of proposals",
            f"hypervolume    {hypervolume:.4f} robust accuracy × decades of compute",
        ]
    )
