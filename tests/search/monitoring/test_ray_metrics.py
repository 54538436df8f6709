"""What a search tells Prometheus, and whether the dashboard asks for nothing else."""

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

import cluster
from search.events import Listener, Outcome, Proposal
from search.monitoring.hypervolume import Hypervolume
from search.monitoring.ray_metrics import COUNTERS, GAUGES, Monitor
from search.monitoring.tally import Tally
from search.recipes.fixed import FixedRecipes
from search.resume.history import RememberedTrial
from search.resume.replay import replay
from search.study.loading import load
from tests.support.command import SMALL
from tests.support.heads import authentication, head
from trainables.execution.ending import FINISHED, Ending, EndKind

FIXED = FixedRecipes.of(load("digits", SMALL))
DASHBOARD = Path(cluster.__file__).parent / "grafana" / "temper.json"


class Sink:
    def __init__(self) -> None:
        self.gauges: dict[str, float] = {}
        self.counters: Counter[str] = Counter()

    def set(self, name: str, value: float, **tags: str) -> None:
        assert name in GAUGES
        self.gauges[" ".join([name, *tags.values()])] = value

    def add(self, name: str, value: float) -> None:
        assert name in COUNTERS
        self.counters[name] += value  # type: ignore[assignment]


def of(number: int, role: Any) -> Proposal:
    return Proposal(list(FIXED)[number].recipe, role, None, number)


def complete(robust: float, flops: float) -> Outcome:
    return Outcome(FINISHED, {"robust_accuracy": robust, "train_flops": flops}, 2.0)


def listeners(sink: Sink) -> tuple[Listener, ...]:
    tally = Tally(FIXED)
    hypervolume = Hypervolume(base=FIXED.base.recipe.id, reference=FIXED.reference.recipe.id, compute="train_flops")
    return tally, hypervolume, Monitor(sink, tally, hypervolume, planned=9, slots=lambda: 4)


def test_a_search_in_numbers() -> None:
    sink = Sink()
    told = listeners(sink)

    def ended(proposal: Proposal, outcome: Outcome) -> None:
        for listener in told:
            listener.ended(proposal, outcome)

    assert sink.gauges == {"temper_planned": 9, "temper_slots": 4, "temper_running": 0}
    base, reference, proposed, lost = of(0, "base"), of(1, "baseline"), of(2, "proposed"), of(3, "proposed")
    for listener in told:
        for one in (base, reference, proposed, lost):
            listener.proposed(one)
        listener.reported(base, {"epoch": 1, "epoch_flops": 3e9})
        listener.reported(base, {"epoch": 2, "epoch_flops": 4e9})
    assert sink.counters == {"temper_epochs": 2, "temper_flops": 7e9}
    ended(base, complete(0.1, 0.0))
    ended(lost, Outcome(Ending(EndKind.LOST, "lost"), None, 1.0))
    assert "temper_hypervolume" not in sink.gauges  # the reference bounds it
    ended(proposed, complete(0.7, 1.1e9))
    ended(reference, complete(0.8, 1e10))
    assert sink.gauges.pop("temper_hypervolume") == pytest.approx(0.06)  # .7 − .8 × .8, a decade cheaper than 1.1e10
    assert sink.gauges == {
        "temper_planned": 9,
        "temper_slots": 4,
        "temper_running": 0,
        "temper_ended complete": 3,
        "temper_ended fail": 1,
        "temper_robust_accuracy": 0.7,
    }
    assert sink.counters["temper_busy_seconds"] == 7


def test_a_resumed_search_goes_on_from_what_had_ended() -> None:
    sink = Sink()
    rows = ({"epoch": 1, "epoch_flops": 3e9},)
    told = listeners(sink)
    past = [
        RememberedTrial(of(0, "base"), complete(0.1, 0.0), 0, rows),
        RememberedTrial(of(2, "proposed"), None, 1, rows),
    ]
    replay(past, told)
    assert not sink.counters  # computed by another process, which had counted it
    for listener in told:
        listener.proposed(of(3, "proposed"))
    assert sink.gauges["temper_ended complete"] == 1
    assert sink.gauges["temper_running"] == 2


def test_the_dashboard_asks_for_all_that_temper_tells_and_for_nothing_that_is_not_told() -> None:
    import ray.dashboard.modules.metrics.dashboards as of_ray

    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {name for one in panels for target in one["targets"] for name in re.findall(r"\bray_\w+", target["expr"])}
    told = {f"ray_{name}" for name in GAUGES} | {f"ray_{name}_total" for name in COUNTERS}
    rays = "".join(path.read_text() for path in Path(of_ray.__path__[0]).glob("*.py"))
    assert {name for name in asked if name.startswith("ray_temper_")} == told
    for name in asked - told:
        assert re.search(rf"\b{name}\b", rays), name
    assert len({one["id"] for one in panels}) == len(panels)
    assert len({(one["gridPos"]["x"], one["gridPos"]["y"]) for one in panels}) == len(panels)


@pytest.mark.slow
@pytest.mark.alone
def test_prometheus_finds_a_running_search(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    token = secrets.token_hex(32)
    with head(tmp_path_factory.mktemp("ray"), token) as ports:
        changes = [part for setting in SMALL for part in ("--set", setting)]
        search = subprocess.Popen(
            [sys.executable, "-m", "search", "search", "digits", "--address", f"127.0.0.1:{ports['port']}",
             "--storage", str(tmp_path), "--name", "watched", *changes],
            env=dict(os.environ) | authentication(token),
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        wanted = {f"ray_{name}" for name in GAUGES} | {f"ray_{name}_total" for name in COUNTERS}
        seen: dict[str, float] = {}
        try:
            while search.poll() is None and not wanted <= set(seen):
                text = ""
                with suppress(OSError):  # the node's agent begins later than the node
                    text = urlopen(f"http://127.0.0.1:{ports['metrics-export-port']}/metrics").read().decode()
                for name, value in re.findall(r'^(ray_temper_\w+){[^}]*run="watched"[^}]*} (\S+)$', text, re.M):
                    seen[name] = float(value)
                time.sleep(0.5)
            assert search.wait(timeout=240) == 0
        finally:
            search.kill()
            search.wait()
        assert wanted <= set(seen)
        assert seen["ray_temper_planned"] == 9
        assert seen["ray_temper_slots"] == 1
        assert seen["ray_temper_flops_total"] > 1e9
