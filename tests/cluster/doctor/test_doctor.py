"""What is wrong with a cluster: judged on reports as data, and asked of real nodes."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from ray.exceptions import RayTaskError

import trainables
from cluster.doctor import machine, node_report
from cluster.doctor.findings import CLOCK_SECONDS, Access, findings, is_public, slowed
from cluster.doctor.machine import free_memory
from cluster.doctor.node_report import Gpu, Report, source_hash
from cluster.doctor.shared_storage import DRIVER, Unshared, judge
from search.preflight.doctor import table
from tests.support.checkout import ROOT, importable
from tests.support.command import SMALL, temper
from tests.support.heads import authentication, head, worker

TOKEN = secrets.token_hex(32)
DRIVERS = Report("here/1", {"ray": "2.60.0", "python": "3.11.7", "torch": "2.14.1"}, "/checkout", "c0de")
SOUND = replace(DRIVERS, name="there/2", source="/elsewhere", free_memory=4_000_000_000)
CARD = Gpu("H100", 80_000_000_000, 79_000_000_000)
CLOSED = Access(False, "127.0.0.1:8265", False)


def problems(node: Report, access: Access = CLOSED, gpu: float = 0.0) -> list[tuple[str, str]]:
    found = findings(DRIVERS, [SOUND, node], {}, (), {}, access, gpu=gpu)
    assert all(one.fix for one in found)
    return [(one.node, one.problem) for one in found]


def test_equal_nodes_are_sound_wherever_their_checkout_lies() -> None:
    assert problems(SOUND) == []
    assert problems(replace(SOUND, promised_gpus=1.0, gpus=(CARD,)), gpu=1.0) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"versions": {**DRIVERS.versions, "torch": "2.13.0"}}, "torch is 2.13.0, expected the driver's 2.14.1"),
        ({"versions": {**DRIVERS.versions, "ray": None}}, "ray is not installed, expected the driver's 2.60.0"),
        ({"versions": {**DRIVERS.versions, "python": "3.12.1"}}, "python is 3.12.1, expected the driver's 3.11.7"),
        ({"code": "0ther"}, "Temper is imported from /elsewhere, whose source differs from the driver's"),
        ({"code": None, "source": None}, "Temper cannot be imported"),
        ({"free_memory": 500_000_000}, "0.5 GB of memory are free, expected 1 GB or more"),
        ({"skew": 3.0, "skew_error": 0.5}, "its clock is 3.0 s ahead of the driver's"),
        ({"skew": -3.0}, "its clock is 3.0 s behind the driver's"),
    ],
)
def test_each_difference_is_one_finding_at_its_node(change: dict[str, object], said: str) -> None:
    assert problems(replace(SOUND, name="there/3", **change)) == [("there/3", said)]  # type: ignore[arg-type]


def test_a_busy_node_and_workers_at_another_niceness_are_told_and_are_no_findings() -> None:
    nice = replace(SOUND, name="nice/3", niceness=15, load=0.5, cpus=2)
    busy = replace(SOUND, name="busy/4", niceness=0, load=7.8, cpus=2)
    quiet = replace(SOUND, name="quiet/5", niceness=0, load=2.9, cpus=2)
    told = slowed(replace(DRIVERS, niceness=0), [nice, busy, quiet, SOUND])
    assert told == [
        "nice/3 runs trials at niceness 15, so that other processes go first; start Ray there with "
        "RAY_worker_niceness=0",
        "busy/4 is busy: 7.8 processes want its 2 CPUs",
    ]
    assert slowed(replace(DRIVERS, niceness=15), [nice]) == []
    assert problems(nice) == problems(busy) == []


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:  8 kB\n"}, 8192),
        ({"proc/meminfo": "MemAvailable: 8 kB\n", "memory.max": "5000\n", "memory.current": "1000\n"}, 4000),
        ({"proc/meminfo": "MemAvailable: 8 kB\n", "memory.max": "max\n", "memory.current": "1000\n"}, 8192),
        ({"memory/memory.limit_in_bytes": "500", "memory/memory.usage_in_bytes": "900"}, 0),
        ({}, None),
    ],
)
def test_free_memory_is_the_machines_or_what_the_container_may_have(
    files: dict[str, str], free: int | None, tmp_path: Path
) -> None:
    for name, content in files.items():
        place = tmp_path / (name if name.startswith("proc") else f"sys/fs/cgroup/{name}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    assert free_memory(tmp_path) == free


def test_a_clock_is_only_wrong_where_the_round_trip_cannot_explain_it() -> None:
    assert problems(replace(SOUND, skew=CLOCK_SECONDS + 0.5, skew_error=0.6)) == []
    assert len(problems(replace(SOUND, skew=CLOCK_SECONDS + 0.5, skew_error=0.4))) == 1


def test_a_card_without_memory_of_its_own_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "0, GPU-a, NVIDIA GB10, [N/A], [N/A], [N/A]\n1, GPU-b, NVIDIA H100, Disabled, 81559, 81000\n"
    done = subprocess.CompletedProcess([], 0, said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert machine.cards() == [("NVIDIA GB10", 0, 0), ("NVIDIA H100", 81559 << 20, 81000 << 20)]
    shared = replace(SOUND, promised_gpus=1.0, gpus=(Gpu("NVIDIA GB10", 0, 0),))
    assert problems(shared, gpu=1.0) == []
    assert table([shared]).endswith("  NVIDIA GB10")


def test_a_node_that_gives_no_report_is_told_of_by_what_was_raised_there(monkeypatch: pytest.MonkeyPatch) -> None:
    raised = [RayTaskError("observe", "Traceback\nOSError: x", one) for one in (OSError("no room"), OSError())]
    answers = dict(zip("ab", [one.as_instanceof_cause() for one in raised], strict=True))
    monkeypatch.setattr(node_report, "ask_every_node", lambda *_: answers)
    monkeypatch.setattr(node_report, "clocks", dict)
    nodes = [{"NodeID": one, "NodeManagerHostname": "host"} for one in answers]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    assert node_report.report([]) == ([], {"host/a": "no room", "host/b": "OSError"})


def test_cards_matter_where_trials_compute_on_them() -> None:
    missing = replace(SOUND, promised_gpus=2.0, gpus=(CARD,))
    busy = replace(SOUND, promised_gpus=2.0, gpus=(CARD, replace(CARD, free=10_000_000_000)))
    assert problems(missing) == problems(busy) == []
    assert problems(missing, gpu=0.5) == [("there/2", "Ray places work on 2 GPUs, the driver shows 1")]
    assert problems(busy, gpu=0.5) == [("there/2", "H100 has 10.0 of 80.0 GB free")]


def test_an_open_cluster_and_a_public_dashboard_are_findings() -> None:
    assert "without a token" in problems(SOUND, Access(True))[0][1]
    assert problems(SOUND, Access(False, "10.0.0.1:8265", False)) == []  # it wants a token
    assert "answers without a token" in problems(SOUND, Access(False, "10.0.0.1:8265", True))[0][1]
    assert "did not answer here" in problems(SOUND, Access(False, "10.0.0.1:8265", None))[0][1]
    assert problems(SOUND, Access(False, "127.0.0.1:8265", True)) == []
    assert [is_public(one) for one in ("localhost:1", "[::1]:1", "0.0.0.0:1", "10.1.2.3:1", "head.example:1")] == [
        False, False, True, True, True,
    ]  # fmt: skip


def test_a_node_without_temper_is_told_so_once() -> None:
    bare = replace(SOUND, code=None, source=None)
    found = findings(
        DRIVERS, [bare], {}, [Unshared(bare.name, "cannot write there (No module named cluster)")], {}, CLOSED
    )
    assert [one.problem for one in found] == ["Temper cannot be imported"]


def test_silent_nodes_and_unshared_storage_are_findings() -> None:
    found = findings(DRIVERS, [SOUND], {"mute/4": "no answer"}, [Unshared("there/2", "cannot write")], {}, CLOSED)
    assert [(one.node, one.problem) for one in found] == [
        ("mute/4", "gave no report (no answer)"),
        ("there/2", "cannot write"),
    ]


NAMES = {"a": "A", "b": "B", "c": "C"}
WRITTEN: dict[str, str | Exception] = {DRIVER: DRIVER, "a": "a", "b": "b", "c": "c"}
ALL, SOME = (DRIVER, "a", "b", "c"), (DRIVER, "a", "c")


def test_the_node_that_is_cut_off_is_named_and_not_those_that_miss_its_file() -> None:
    rest = [DRIVER, "a", "b"]
    assert judge(NAMES, WRITTEN, dict.fromkeys(ALL, ALL)) == ()
    (found,) = judge(NAMES, WRITTEN, {DRIVER: rest, "a": rest, "b": rest, "c": ["c"]})
    assert (found.node, found.problem.split(":")[0]) == ("C", "sees another folder there than the driver")
    (found,) = judge(NAMES, {**WRITTEN, "b": "Permission denied"}, dict.fromkeys(ALL, SOME))
    assert (found.node, found.problem) == ("B", "cannot write there (Permission denied)")
    (found,) = judge(NAMES, WRITTEN, {**dict.fromkeys(ALL, ALL), "c": [DRIVER, "c", "b"]})
    assert (found.node, found.problem) == ("C", "does not read there what A wrote")
    (found,) = judge(NAMES, WRITTEN, {**dict.fromkeys(ALL, ALL), "a": TimeoutError("no answer within 60 s")})
    assert (found.node, found.problem) == ("A", "cannot read there (no answer within 60 s)")


def test_a_node_that_was_lost_meanwhile_is_not_held_against_the_storage() -> None:
    left = {node: name for node, name in NAMES.items() if node != "a"}
    gone = RuntimeError("the node does not exist any more")
    lost: dict[str, Sequence[str] | Exception] = {**dict.fromkeys(ALL, ALL), "a": gone}
    assert judge(left, WRITTEN, lost) == ()
    assert judge(left, {**WRITTEN, "a": gone}, lost) == ()
    assert judge(left, WRITTEN, {**dict.fromkeys(ALL, ALL), "c": [DRIVER, "b", "c"]}) == ()  # it misses the lost one's


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(os.getuid() != 0, reason="hides a folder from a node by a mount of its own")
def test_nodes_that_do_not_share_the_storage_are_refused_before_the_search(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, seen = tmp_path_factory.mktemp("storage"), tmp_path_factory.mktemp("seen")
    hidden = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs tmpfs {storage} && exec "$@"', "sh"]
    for name, value in authentication(TOKEN).items():
        monkeypatch.setenv(name, value)
    with head(tmp_path_factory.mktemp("ray"), TOKEN) as ports:
        address = f"127.0.0.1:{ports['port']}"
        with worker(ports["port"], TOKEN):
            _joined(address, 2)
            shared = temper("doctor", "--address", address, "--storage", str(storage / "new"))
            assert shared.returncode == 0, shared.stdout + shared.stderr
            assert not list(storage.iterdir())  # neither the probe nor the folder that it made
            with worker(ports["port"], TOKEN, prefix=hidden):
                _joined(address, 3)
                refused = temper("search", "digits", "--address", address, "--storage", str(storage), settings=SMALL)
                assert refused.returncode == 2, refused.stdout + refused.stderr
                assert refused.stderr.count("sees another folder there than the driver") == 1
                assert "--storage: expected what every node reaches" in refused.stderr
                assert "recipes" not in refused.stdout
                assert not list(storage.iterdir())
                found = temper("doctor", "digits", "--address", address, "--storage", str(storage))
                assert found.returncode == 2
                assert found.stderr.count("fix: ") == 1
                assert "trials" not in found.stdout  # nothing was timed
                done = temper(
                    "search", "digits", "--address", address, "--storage", str(seen), "--name", "r", settings=SMALL
                )
                assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(os.getuid() != 0, reason="gives a node another checkout by a mount of its own")
def test_doctor_finds_an_open_cluster_and_gives_a_node_with_another_source_its_own(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, own = tmp_path_factory.mktemp("place"), Path(trainables.__file__).parent
    other = Path(shutil.copytree(own, place / "trainables"))
    changed = Path("compute", "flops.py")
    (other / changed).write_text((own / changed).read_text() + "\n# counted otherwise\n")
    mounted = ["unshare", "-m", "sh", "-c", f'mount --bind {other} {own} && exec "$@"', "sh"]
    for name, value in authentication(None).items():
        monkeypatch.setenv(name, value)
    with head(tmp_path_factory.mktemp("ray"), None, dashboard=True) as ports:
        address = f"127.0.0.1:{ports['port']}"
        with worker(ports["port"], None, prefix=mounted):
            _joined(address, 2)
            found = temper("doctor", "--address", address, "--storage", str(place / "runs"))
    assert found.returncode == 2, found.stdout + found.stderr
    assert found.stderr.count("fix: ") == 1
    assert "the cluster: the head answers without a token" in found.stderr
    (source,) = re.findall("^source +(.*)$", found.stdout, re.M)
    assert "working_dir" in source  # what Ray unpacked there of the driver's
    assert str(own.parent) not in source
    assert f"dashboard  127.0.0.1:{ports['dashboard-port']}, on the head alone" in found.stdout
    assert "Traceback" not in found.stderr


def _joined(address: str, nodes: int) -> None:
    """Wait until the cluster has so many nodes; asked in another process, for Ray is joined once a process."""
    program = f"import ray; ray.init({address!r}, logging_level='ERROR'); print(sum(n['Alive'] for n in ray.nodes()))"
    deadline = time.monotonic() + 60
    while True:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
        if done.stdout.split()[-1] == str(nodes):
            return
        assert time.monotonic() < deadline


def test_a_change_of_any_module_that_nodes_import_is_noticed(tmp_path: Path) -> None:
    modules = [*importable("cluster"), *importable("trainables")]
    for package in ("cluster", "trainables"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    before = source_hash(tmp_path)
    assert before == source_hash(ROOT)
    noticed = []
    for module in modules:
        text = (tmp_path / module).read_bytes()
        (tmp_path / module).write_bytes(text + b"\n# changed\n")
        noticed += [module] if source_hash(tmp_path) != before else []
        (tmp_path / module).write_bytes(text)
    assert noticed == modules
    assert len(modules) >= 50
