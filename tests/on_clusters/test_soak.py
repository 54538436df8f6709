"""Half a minute of `make soak`: a node loses power every ten seconds, and comes back."""

from pathlib import Path

import pytest

from tests.support.hosts import Hosts, require_hosts
from tests.support.soak import HEAD, WORKERS, soak

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(400)]


def test_a_search_whose_nodes_keep_losing_power_loses_no_result_and_counts_none_twice(tmp_path: Path) -> None:
    require_hosts()
    with Hosts(1 + len(WORKERS), tmp_path) as hosts:
        hosts.start(HEAD, WORKERS, cpus=2)
        toll = soak(hosts, tmp_path, 30, 1.0)
    assert toll.deaths >= 2
    assert toll.ended > 0
    assert (toll.lost, toll.doubled) == (0, 0)
