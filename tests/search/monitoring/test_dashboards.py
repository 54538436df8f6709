"""What people see of a run in TensorBoard and in optuna-dashboard, in a real browser: `make test-slow`."""

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from optuna.distributions import IntDistribution, distribution_to_json
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from analysis.run.trials import Run, read_run
from search.monitoring.tensorboard import write_tensorboard
from search.record.study_database import write_study_database
from tests.support.faults import until
from tests.support.heads import free_ports
from tests.support.run_directories import add, start
from trainables.evaluation.attacked_images import AttackedImages
from trainables.storage import Folder

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]
SHOWN = 60_000  # ms until a part of a page must be there
BINARIES = Path(sys.executable).parent


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A base, a baseline with images under attack, and four proposals, all of which are optimal."""
    root = tmp_path_factory.mktemp("runs") / "seen"
    start(root)
    finished = {"epochs": 2.0}
    add(root, "base", role="base", name="base", robust=0.2, flops=0.0, scores=[0.1, 0.2], metrics=finished)
    add(root, "pgd", role="baseline", name="pgd_at_20", number=1, robust=0.8, scores=[0.5, 0.8], metrics=finished)
    epochs = {"epochs": distribution_to_json(IntDistribution(1, 9))}
    for number in range(4):
        add(
            root, f"p{number}", number=2 + number, robust=0.5 + 0.05 * number, flops=1e8 * 2**number, scores=[0.3, 0.4],
            metrics=finished, params={"epochs": 2 + number}, distributions=epochs,
        )  # fmt: skip
    images = np.full((2, 1, 8, 8), 30, np.uint8)
    kept = AttackedImages(images, images + 100, *3 * [np.array([0, 1])])
    kept.write(Folder(str(root)).child("trials", "pgd"))
    picture = io.BytesIO()
    Image.new("RGB", (30, 20)).save(picture, format="png")
    Folder(str(root)).child("figures").write("frontier.png", picture.getvalue())
    return read_run(Folder(str(root)))


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened.new_page(viewport={"width": 1280, "height": 1000})
        opened.close()


@contextmanager
def serving(*command: str) -> Iterator[str]:
    """The address of a server, once it answers; the command is given a port."""
    (port,) = free_ports(1)
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(address), lambda: server.poll() is None)
        yield address
    finally:
        server.terminate()
        server.wait()


def answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5):
            return True
    except OSError:
        return False


def test_tensorboard_shows_curves_images_and_hyperparameters(run: Run, page: Page) -> None:
    write_tensorboard(run)
    expect.set_options(timeout=SHOWN)
    with serving(str(BINARIES / "tensorboard"), "--logdir", f"{run.folder}/tensorboard") as address:
        page.goto(f"{address}/#scalars")
        for tag in ("objective/robust_accuracy", "objective/train_flops", "search/hypervolume"):
            expect(page.get_by_text(f"tag: {tag}").first).to_be_visible()
        page.goto(f"{address}/#images")
        for tag in ("frontier", "images, and under attack"):
            expect(page.get_by_text(f"tag: {tag}").first).to_be_visible()
        expect(page.locator("tf-image-loader img").first).to_be_visible()
        page.goto(f"{address}/#hparams")
        for name in ("schedule.learning_rate", "perturbation.epsilon", "compression.method"):
            expect(page.get_by_text(name).filter(visible=True).first).to_be_visible()


def test_optuna_dashboard_shows_objectives_recipes_and_what_is_feasible(run: Run, page: Page) -> None:
    bound = {"metric": "robust_accuracy", "at_least": True, "bound": 0.58, "of_dense": False, "text": "robust"}
    write_study_database(replace(run, info={**run.info, "constraints": [bound]}))
    expect.set_options(timeout=SHOWN)
    with serving(str(BINARIES / "optuna-dashboard"), f"sqlite:///{run.folder}/study.db") as address:
        page.goto(f"{address}/dashboard/studies/1")
        for name in ("robust_accuracy", "train_flops"):
            expect(page.get_by_text(name, exact=True).first).to_be_visible()
        study = page.evaluate("fetch('/api/studies/1').then(answer => answer.json())")
        assert study["objective_names"] == ["robust_accuracy", "train_flops"]
        recipes = {one["number"]: attribute(one, "recipe") for one in study["trials"]}
        assert sorted(recipes.values()) == ["p0", "p1", "p2", "p3"]
        expect(page.get_by_text("Infeasible").first).to_be_visible()
        feasible = {attribute(one, "recipe") for one in study["trials"] if all(far <= 0 for far in one["constraints"])}
        assert feasible == {"p2", "p3"}


def attribute(trial: dict[str, object], name: str) -> str:
    attributes = trial["user_attrs"]
    assert isinstance(attributes, list)
    return next(str(one["value"]).strip('"') for one in attributes if one["key"] == name)
