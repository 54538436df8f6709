"""Temper installed from its wheel, in an environment that holds no checkout: it searches, and submits itself."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.support.checkout import PACKAGES, ROOT, importable
from tests.support.command import SMALL
from tests.support.heads import authentication, head

SETTINGS = [part for setting in [*SMALL, "budget.trials=2"] for part in ("--set", setting)]


def run(command: list[str], cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as somebody without the checkout would; its output if it succeeds."""
    told = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False, env=told | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with Temper's wheel; what Temper depends on is lent by the environment of the tests."""
    place = tmp_path_factory.mktemp("installed")
    source = place / "source"  # a copy: building leaves files behind
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(place), str(source)], place)
    (wheel,) = place.glob("*.whl")
    venv.create(place / "environment", with_pip=False)
    folder = place / "environment"
    run([sys.executable, "-m", "pip", "--python", str(folder), "install", "--quiet", "--no-deps", str(wheel)], place)
    (packages,) = folder.glob("lib/python*/site-packages")
    # Lines of a .pth that lies behind a .pth are not read, so the editable checkout of the tests is not lent.
    (packages / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    shutil.rmtree(source)
    return folder


@pytest.mark.slow
@pytest.mark.alone
def test_the_installed_command_searches_and_submits_itself(
    environment: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    where = "import search, trainables; print(search.__file__, trainables.__file__)"
    for path in run([str(environment / "bin" / "python"), "-c", where], tmp_path).stdout.split():
        assert environment in Path(path).parents
    installed = Path(path).parent.parent
    modules = [module for package in PACKAGES for module in importable(package)]
    assert [module for module in modules if not (installed / module).is_file()] == []

    temper = str(environment / "bin" / "temper")
    run([temper, "search", "digits", "--name", "here", *SETTINGS], tmp_path)
    here = json.loads((tmp_path / "runs" / "here" / "run.json").read_text())
    assert here["provenance"]["git_commit"] is None
    assert (tmp_path / "runs" / "here" / "report.html").stat().st_size > 10_000
    simulated = run([temper, "simulate", "digits", "--set", "budget.trials=4"], tmp_path)
    assert "hypervolume" in simulated.stdout

    token, storage = secrets.token_hex(32), tmp_path / "storage"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)  # of the head, whose jobs run `python`
        with head(tmp_path_factory.mktemp("ray"), token, dashboard=True) as ports:
            address = f"http://127.0.0.1:{ports['dashboard-port']}"
            to = ["--address", address, "--storage", str(storage), "--name", "there"]
            run([temper, "submit", "digits", *to, "--follow", *SETTINGS], tmp_path, **authentication(token))
    there = json.loads((storage / "there" / "run.json").read_text())
    code = "code of trainables/"
    assert there["fingerprint"][code] == here["fingerprint"][code]
    assert there["fingerprint"]["requirements.lock"] == "none"  # the checkout of the tests has one: it was not used
    assert (tmp_path / "runs" / "there" / "report.html").is_file()
