"""Nodes that are killed or taken back, as processes of one machine: what can be tested where hosts cannot be made."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from tests.support.command import start_search
from tests.support.faults import SETTINGS, check, outcomes, until
from tests.support.heads import drain_command
from tests.support.hosts import why_no_hosts

pytestmark = [pytest.mark.slow, pytest.mark.alone]
# Trials that are still there when a node goes.
LONG = [*SETTINGS, "baselines.0.schedule.epochs=60", "resources.cpu=2"]


@pytest.fixture
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head without a CPU, and two nodes with room for one trial each."""
    if why_no_hosts() is None:
        pytest.skip("hosts can be made here, and tests/on_clusters/test_faults.py loses whole ones")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for name in ("a", "b"):  # each unpacks the code that it is given into a folder of its own
            made.add_node(num_cpus=2, temp_dir=str(tmp_path_factory.mktemp(name)))
        made.wait_for_nodes()
        yield made
    finally:
        made.shutdown()


@pytest.mark.thorough
@pytest.mark.parametrize(("announced", "retries"), [(False, 1), (True, 0)], ids=["killed", "taken back"])
def test_a_search_goes_on_without_a_node(nodes: Cluster, tmp_path: Path, announced: bool, retries: int) -> None:
    settings, run = [*LONG, f"budget.retries={retries}"], tmp_path / "run"
    process = start_search(tmp_path, "run", settings, address=nodes.address)
    (base,) = until(lambda: outcomes(run), lambda: process.poll() is None)
    until(lambda: len(list(run.glob("trials/*/attempts/1-2"))) == 3, lambda: process.poll() is None)  # and two others
    lost = next(node for node in nodes.worker_nodes if node.node_id == outcomes(run)[base]["node"])
    if announced:
        subprocess.run(drain_command(nodes.address, lost.node_id, 4), check=True, capture_output=True)
        time.sleep(4)  # the notice that was given
    before = outcomes(run)
    nodes.remove_node(lost, allow_graceful=False)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert check(run)[1] == 0
    after = {name: outcome["node"] for name, outcome in outcomes(run).items() if name not in before}
    assert len(after) > 2
    assert set(after.values()) == {node.node_id for node in nodes.worker_nodes}
