"""Lists the torn (incompletely written) files of a run directory, so that a resumed search can say what it repeats."""

from analysis.run.trials import Run
from trainables.checkpoints.checkpoint import torn
from trainables.execution.ending import State


def corrupt_files(run: Run) -> list[str]:
    """Return a line for each file that a kill, or a full or broken disk, has left torn, and say what follows."""
    lines = [f"trials/{name}/recipe.json: torn or missing; as if it had never begun" for name in run.unreadable]
    lines += [f"{line}; as if it had never begun" for line in run.left_out]
    for trial in run.trials:
        if trial.state is not State.RUNNING:
            continue
        folder = run.folder.child("trials", trial.id)
        if folder.exists("outcome.json"):
            lines.append(f"trials/{trial.id}/outcome.json: torn; it goes on from its newest checkpoint")
        epochs, whole = torn(folder.child("checkpoint"))
        if epochs:
            start = f"goes on from epoch {whole}" if whole else "starts anew"
            names = ", ".join(str(epoch) for epoch in epochs)
            lines.append(f"trials/{trial.id}/checkpoint/{names}: torn; it {start}")
    return lines
