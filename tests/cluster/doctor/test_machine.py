"""What doctor finds out of one machine, and what it says of limits, disks, CUDA, storage and closed ports: by fakes."""

import os
import resource
import shutil
import subprocess
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from cluster.doctor import machine, per_node, shared_storage
from cluster.doctor.findings import Access, findings, slowed
from cluster.doctor.node_report import Gpu, Report
from cluster.doctor.per_node import undelivered
from cluster.doctor.shared_storage import free_bytes, seconds_a_file
from trainables.storage import Folder

DRIVER = Report("here/1", {}, "/checkout", "c0de")
NODE = replace(DRIVER, name="there/2", slots_cpus=8.0)
Usage = namedtuple("Usage", "total used free")


def found(node: Report, gpu: float = 0.0, undelivered: dict[str, str] | None = None) -> list[str]:
    told = findings(DRIVER, [node], {}, (), undelivered or {}, Access(False), gpu=gpu)
    assert all(one.fix and one.node == node.name for one in told)
    return [one.problem for one in told]


def test_a_full_disk_of_rays_and_too_few_open_files_are_findings() -> None:
    assert found(replace(NODE, disk=("/tmp/ray", 100_000_000_000, 6_000_000_000), files=1024)) == []
    assert found(replace(NODE, disk=("/tmp/ray", 100_000_000_000, 4_000_000_000))) == [
        "the disk of Ray's files (/tmp/ray) has 4.0 of 100.0 GB free"
    ]
    assert found(replace(NODE, files=1024, slots_cpus=231.0)) == []
    assert found(replace(NODE, files=1024, slots_cpus=256.0)) == [
        "a process may open 1024 files, of which Ray needs 1124 for 256 CPUs"
    ]


@pytest.mark.parametrize(
    ("built", "served", "said"),
    [
        ("13.0", "13.0", []),
        ("12.8", "12.4", []),  # a driver serves all of a major version
        ("12.8", "13.0", []),
        ("13.0", "12.4", ["PyTorch is built for CUDA 13.0, and the NVIDIA driver serves 12.4 at most"]),
        ("", "13.0", ["PyTorch is built without CUDA, so it computes on no GPU"]),
        (None, "12.4", []),
        ("13.0", None, []),
    ],
)
def test_a_driver_that_is_too_old_for_pytorch_is_a_finding_where_trials_use_cards(
    built: str | None, served: str | None, said: list[str]
) -> None:
    node = replace(NODE, promised_gpus=1.0, gpus=(Gpu("H100", 80, 80),), torch_cuda=built, driver_cuda=served)
    assert found(node, gpu=1.0) == said
    assert found(node) == []


def test_closed_ports_are_a_finding_and_a_node_without_temper_is_not_said_to_have_them() -> None:
    assert found(NODE, undelivered={"there/2": "no answer within 30 s"}) == [
        "Ray's objects do not pass between it and the driver's node (no answer within 30 s)"
    ]
    assert found(replace(NODE, code=None), undelivered={"there/2": "No module"}) == ["Temper cannot be imported"]


def test_what_slows_trials_is_told() -> None:
    crowded = replace(NODE, name="few/3", slots_cpus=64.0, usable_cpus=4)
    on_disk = replace(NODE, name="disk/4", object_store=2.5e9, shared_memory=64_000_000, usable_cpus=8)
    assert slowed(DRIVER, [NODE, crowded, on_disk], {"there/2": 0.1, "few/3": 0.7}) == [
        "few/3 takes 0.70 s to write and read a small file of the storage; a trial writes several an epoch",
        "few/3 runs trials for 64 CPUs on the 4 that they may use (affinity, or a control group's quota); start Ray "
        "there with --num-cpus=4",
        "disk/4 keeps Ray's objects (2.5 GB) on disk, since /dev/shm holds 0.06 GB; enlarge it there, as by --shm-size "
        "of Docker",
    ]


@pytest.mark.parametrize(
    ("told", "built"),
    [
        ("cuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", "13.0"),
        ("cuda = None\nhip = None\n", ""),
        ("cuda = None\nhip: Optional[str] = '6.4'\n", None),  # for cards of AMD's
        ("something = 'else'\n", None),
        (None, None),
    ],
)
def test_the_cuda_that_pytorch_is_built_for_is_read_without_importing_it(
    told: str | None, built: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told is not None:
        (tmp_path / "version.py").write_text(told)
    monkeypatch.setattr(machine, "find_spec", lambda _: SimpleNamespace(origin=str(tmp_path / "__init__.py")))
    assert machine.torch_cuda() == built


def test_the_drivers_cuda_is_what_nvidia_smi_says(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "\n==NVSMI LOG==\n\nDriver Version                            : 550.54\nCUDA Version                : 12.4\n"
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, said))
    assert machine.driver_cuda() == "12.4"
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "another text"))
    assert machine.driver_cuda() is None

    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", missing)
    assert machine.driver_cuda() is None


def test_limits_disk_and_shared_memory_are_this_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import worker

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    assert machine.open_files() == 1024
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert machine.open_files() is None
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 7, 3))
    assert machine.shared_memory() == 10
    monkeypatch.setattr(worker, "_global_node", None)
    assert machine.rays_disk() is None
    monkeypatch.setattr(worker, "_global_node", SimpleNamespace(get_session_dir_path=lambda: "/tmp/ray/session_1"))
    assert machine.rays_disk() == ("/tmp/ray", 10, 3)
    monkeypatch.undo()
    assert machine.shared_memory(str(tmp_path / "missing")) is None


def test_the_storage_is_timed_on_each_node_and_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"NodeID": one, "NodeManagerHostname": "host"} for one in ("a", "b")]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(
        shared_storage, "ask_every_node", lambda ask, *place: {"a": ask(*place), "b": TimeoutError("no answer")}
    )
    assert list(seconds_a_file(Folder(str(tmp_path / "new")))) == ["host/a"]
    assert not list(tmp_path.iterdir())
    assert free_bytes(Folder(str(tmp_path / "new"))) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert free_bytes(Folder("s3://bucket/runs")) is None


def test_nodes_to_which_nothing_is_delivered_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"NodeID": one, "NodeManagerHostname": "host"} for one in ("a", "b", "c")]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(ray, "put", lambda content: content)
    monkeypatch.setattr(
        per_node,
        "ask_every_node",
        lambda ask, content, timeout: {"a": ask(content), "b": TimeoutError("no answer"), "c": OSError()},
    )
    assert undelivered() == {"host/b": "no answer", "host/c": "OSError"}


LISTED = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aa11)
  MIG 1g.5gb      Device  0: (UUID: MIG-11)
  MIG 2g.10gb     Device  1: (UUID: MIG-22)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bb22)
"""
QUERIED = "0, GPU-aa11, NVIDIA A100-SXM4-40GB, Enabled, 40960, 40000\n1, GPU-bb22, NVIDIA A100, Disabled, 40960, 3\n"
PARTS = [("MIG 1g.5gb of NVIDIA A100-SXM4-40GB", 0, 0), ("MIG 2g.10gb of NVIDIA A100-SXM4-40GB", 0, 0)]
WHOLE = ("NVIDIA A100", 40960 << 20, 3 << 20)


@pytest.mark.parametrize(
    ("visible", "cards"),
    [
        (None, [*PARTS, WHOLE]),
        ("", []),
        ("1", [WHOLE]),  # somebody else works on the other one
        ("GPU-bb", [WHOLE]),
        ("MIG-22", PARTS[1:]),
        ("MIG-11,GPU-bb22", [PARTS[0], WHOLE]),
        ("10", []),
    ],
)
def test_cards_are_those_that_ray_may_use_and_parts_of_one_count_each(
    visible: str | None, cards: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_nvidia_smi", lambda *asked: LISTED if asked == ("-L",) else QUERIED)
    assert machine.cards(visible) == cards


def test_the_cards_that_ray_may_use_are_told_by_the_process_that_started_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "of this process")
    for given, told in (
        ({"CUDA_VISIBLE_DEVICES": "MIG-22,1"}, "MIG-22,1"),
        ({"CUDA_VISIBLE_DEVICES": ""}, ""),
        ({}, None),
    ):
        raylet = subprocess.Popen(["cat"], env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert raylet.stdin is not None
        assert raylet.stdout is not None
        raylet.stdin.write(b"\n")
        raylet.stdin.flush()
        raylet.stdout.read(1)  # it runs by now: before, the kernel may not show its environment
        try:
            monkeypatch.setattr(os, "getppid", lambda pid=raylet.pid: pid)
            assert machine.visible_cards() == told
        finally:
            raylet.kill()
            raylet.communicate()
