"""Where trials land on a cluster of several nodes: logical GPUs of made-up types, on one machine."""

import json
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from cluster.placement.capacity import nodes
from cluster.placement.gpu_sharing import measured_share
from cluster.placement.placement import Placement, factory
from tests.support.command import SMALL, temper
from tests.support.faults import changes, outcomes, until
from tests.support.heads import authentication, head, worker

ACCELERATOR, MARKET = "ray.io/accelerator-type", "ray.io/market-type"
NODES: dict[str, dict[str, Any]] = {
    "a100": {"num_cpus": 8, "num_gpus": 1, "labels": {ACCELERATOR: "A100", MARKET: "on-demand"}},
    "t4": {"num_cpus": 8, "num_gpus": 2, "labels": {ACCELERATOR: "T4", MARKET: "spot"}},
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """Its address, and the nodes' ids by name; the head has neither GPU nor room for a trial."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        ids = {
            name: str(made.add_node(**node, temp_dir=str(tmp_path_factory.mktemp(name))).node_id)
            for name, node in NODES.items()
        }
        made.wait_for_nodes()
        yield made.address, ids
    finally:
        made.shutdown()


@pytest.mark.slow
@pytest.mark.alone
def test_four_trials_share_a_card_and_none_lands_on_a_node_of_another_type(
    cluster: tuple[str, dict[str, str]],
) -> None:
    address, ids = cluster
    ray.init(address=address, log_to_driver=False)
    try:
        assert {node.labels.get(ACCELERATOR) for node in nodes()} == {None, "A100", "T4"}
        placement = Placement(1, 0.25, ((ACCELERATOR, "A100"),))
        groups = [factory(placement).to_placement_group() for _ in range(5)]
        ready, _ = ray.wait([group.ready() for group in groups], num_returns=5, timeout=10)
        assert len(ready) == 4
        table = ray.util.placement_group_table()
        assert Counter(node for one in table.values() for node in one["bundles_to_node_id"].values() if node) == {
            ids["a100"]: 4
        }
        for group in groups:
            ray.util.remove_placement_group(group)
    finally:
        ray.shutdown()


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.alone
def test_a_share_is_measured_on_a_card_of_the_right_type_and_a_failure_takes_a_whole_one(
    cluster: tuple[str, dict[str, str]],
) -> None:
    address, ids = cluster
    ray.init(address=address, log_to_driver=False)
    try:
        placement = Placement(1, 1.0, ((ACCELERATOR, "A100"),), "cuda")

        def measure(gigabytes: float) -> SimpleNamespace:
            if not gigabytes:
                raise RuntimeError("CUDA driver initialization failed")
            assert ray.get_gpu_ids()
            return SimpleNamespace(peak=1e9 * gigabytes, total=80e9, device=ray.get_runtime_context().get_node_id())

        share, why = measured_share(placement, measure, 16.0)
        assert share == 0.25
        assert why == f"4 trials a card: a trial takes 16.00 of 80.0 GB on {ids['a100']}, with 20% to spare"
        share, why = measured_share(placement, measure, 2.0)
        assert share == 1 / 8
        assert why.endswith(", 33 would fit, the node's CPUs are for 8")
        assert measured_share(placement, measure, 0.0) == (
            1.0, "a whole GPU a trial: the measurement failed (RuntimeError: CUDA driver initialization failed)"
        )  # fmt: skip
        assert measured_share(Placement(1, 1.0, device="cuda"), measure, 16.0) == (
            1.0, "a whole GPU a trial: cards differ (A100, T4); name one as resources.accelerator"
        )  # fmt: skip
        nowhere = Placement(1, 1.0, ((ACCELERATOR, "H100"),), "cuda")
        assert measured_share(nowhere, measure, 16.0) == (1.0, "a whole GPU a trial: no node has one")
    finally:
        ray.shutdown()


@pytest.mark.slow
@pytest.mark.alone
def test_a_search_puts_each_role_where_the_study_says(cluster: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    address, ids = cluster
    resources = (
        "{device: cpu, gpu: 0.5, market: spot, roles: {base: {market: on-demand}, baseline: {accelerator: A100}}}"
    )
    settings = [*(one for one in SMALL if "max_concurrent" not in one), f"resources={resources}"]
    settings[-1] = settings[-1].replace("baseline: {accelerator: A100}", "baseline: {accelerator: A100, market: null}")
    done = temper(
        "search", "digits", "--address", address, "--storage", str(tmp_path), "--name", "run", settings=settings
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 recipes, 4 at once" in done.stdout  # two cards of T4, two trials each
    placed: Counter[tuple[str, str]] = Counter()
    for folder in (tmp_path / "run" / "trials").iterdir():
        role = json.loads((folder / "recipe.json").read_text())["role"]
        placed[role, json.loads((folder / "outcome.json").read_text())["node"]] += 1
    assert placed == {("base", ids["a100"]): 1, ("baseline", ids["a100"]): 4, ("proposed", ids["t4"]): 4}


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.alone
def test_auto_without_a_real_card_takes_a_whole_one_and_says_why(
    cluster: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    settings = [*SMALL, "budget.trials=0", "baselines.3.base=null", "baselines.3.schedule.epochs=2"]
    settings += ["resources={gpu: auto, device: cpu, accelerator: T4}"]
    done = temper(
        "search", "digits", "--address", cluster[0], "--storage", str(tmp_path), "--name", "run", settings=settings
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gpu: auto: a whole GPU a trial: resources.device is cpu" in done.stdout
    assert "5 recipes, 2 at once" in done.stdout


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.alone
def test_a_node_that_joins_a_search_is_given_trials(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = secrets.token_hex(32)
    for name, value in authentication(token).items():
        monkeypatch.setenv(name, value)
    settings = [one for one in SMALL if "max_concurrent" not in one]
    settings += ["resources.cpu=2", "budget.trials=20", "sampler.kind=random"]
    # Longer than a process takes to start: Tune gives a trial that waits for one to a process that is free before.
    settings += [
        "space.perturbation.kind=[n_fgsm]",
        "data.train_size=400",
        "space.schedule.epochs.low=60",
        "space.schedule.epochs.high=70",
    ]
    with head(tmp_path_factory.mktemp("ray"), token) as ports, ExitStack() as later:
        log = later.enter_context((tmp_path / "log").open("wb"))
        search = subprocess.Popen(
            [sys.executable, "-m", "search", "search", "digits", "--address", f"127.0.0.1:{ports['port']}",
             "--storage", str(tmp_path), "--name", "run", *changes(settings)],
            stdout=log,
        )  # fmt: skip
        later.callback(search.wait)
        later.callback(search.kill)
        run = tmp_path / "run"
        until(lambda: outcomes(run), lambda: search.poll() is None)
        later.enter_context(worker(ports["port"], token))
        until(lambda: len({one["node"] for one in outcomes(run).values()}) == 2, lambda: search.poll() is None, 400)
    assert "fail" not in {one["state"] for one in outcomes(run).values()}
    assert "25 recipes, 1 at once" in (tmp_path / "log").read_text()
