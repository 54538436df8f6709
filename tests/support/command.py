"""Runs the command as a user does, on a digits study cut to a few seconds."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from search.cli.app import run
from tests.support.checkout import ROOT
from trainables.user_modules import STUDY_FOLDER

PGD, FAST = "{kind: pgd, epsilon: 0.02, steps: 3}", "{kind: n_fgsm, epsilon: 0.02}"
_SHORT = "{epochs: 1, learning_rate: 0.05, batch_size: 8}"
PRUNED = "{method: channel_pruning, pruning_ratio: 0.5}"
SMALL = [
    "data.train_size=200",
    "data.validation_size=100",
    "threat_model.epsilon=0.02",  # so small that networks trained for seconds are better than chance under attack
    "space.perturbation.kind=[n_fgsm, pgd]",
    "space.perturbation.epsilon={low: 0.01, high: 0.02}",
    "pretraining.epochs=3",
    "budget.trials=4",
    "space.schedule.epochs.low=1",
    "space.schedule.epochs.high=2",
    "resources.max_concurrent=1",
    f"""baselines=[
        {{name: b0, perturbation: {PGD}, schedule: {_SHORT}}},
        {{name: b1, perturbation: {FAST}, schedule: {_SHORT}}},
        {{name: b2, compression: {PRUNED}, perturbation: {FAST}, schedule: {_SHORT}}},
        {{name: b3, base: b0, compression: {PRUNED}, perturbation: {FAST}, schedule: {_SHORT}}}
    ]""",
    "reference=b0",
]
if SHARE := os.environ.get("TEMPER_TEST_GPU"):  # of a card: `make gpu` runs some of these tests on one
    SMALL.append(f"resources.gpu={SHARE}")


def temper(
    *arguments: str, settings: list[str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """In a process of its own: for what starts Ray, and where the process itself is what is tested."""
    changes = [part for setting in settings or [] for part in ("--set", setting)]
    return subprocess.run(
        [sys.executable, "-m", "search", *arguments, *changes],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=cwd,
        env=os.environ | {"PYTHONWARNINGS": "default"},
    )


def temper_here(
    *arguments: str, settings: list[str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The same in this process, which has imported PyTorch already: a process of its own computes 3 to 8 s before."""
    changes = [part for setting in settings or [] for part in ("--set", setting)]
    stdout, stderr = io.StringIO(), io.StringIO()
    with chdir(cwd or Path.cwd()), redirect_stdout(stdout), redirect_stderr(stderr), _user_forgotten(cwd):
        code = run([*arguments, *changes])
    return subprocess.CompletedProcess(arguments, code, stdout.getvalue(), stderr.getvalue())


@contextmanager
def _user_forgotten(folder: Path | None) -> Iterator[None]:
    """Forgets the modules of a folder that are imported meanwhile: another test's may have the same names."""
    paths, told = sys.path[:], os.environ.get(STUDY_FOLDER)
    try:
        yield
    finally:
        sys.path[:] = paths
        os.environ.pop(STUDY_FOLDER, None)
        if told is not None:
            os.environ[STUDY_FOLDER] = told
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if folder is not None and file is not None and Path(file).is_relative_to(folder.resolve()):
                del sys.modules[name]


def installed_temper(*arguments: str, cwd: Path, settings: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the environment's console script, whose sys.path lacks the working directory, on this checkout's code."""
    changes = [part for setting in settings or [] for part in ("--set", setting)]
    script = Path(sys.executable).parent / "temper"
    return subprocess.run(
        [str(script), *arguments, *changes],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def start_search(
    storage: Path | str,
    name: str,
    settings: list[str],
    *,
    study: str = "digits",
    address: str | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[str]:
    """A search that goes on while the test does something to it; what it prints is for `communicate` or `stdout`."""
    changes = [part for setting in settings for part in ("--set", setting)]
    where = ["--storage", str(storage), "--name", name, *(["--address", address] if address else [])]
    return subprocess.Popen(
        [sys.executable, "-m", "search", "search", study, "--no-try", *where, *changes],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def trial_processes(driver: int) -> list[int]:
    """Processes of trials that a driver's Ray started: raylet is its child, the workers are raylet's."""
    parents: dict[int, int] = {}
    titles: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text()
            titles[int(folder.name)] = (folder / "cmdline").read_text()
        except OSError:
            continue  # it ended meanwhile
        parents[int(folder.name)] = int(status.rpartition(")")[2].split()[1])
    mine = [pid for pid, parent in parents.items() if parents.get(parent) == driver]
    return [pid for pid in mine if titles[pid].startswith("ray::") and "Trainable" in titles[pid]]
