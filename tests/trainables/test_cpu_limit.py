"""Limits of CPUs by affinity and by control groups: this process's own, and made-up files of the kernel."""

import os
from pathlib import Path

import pytest

from trainables import cpu_limit
from trainables.cpu_limit import usable_cpus


@pytest.mark.parametrize(
    ("groups", "files", "cpus"),
    [
        (None, {}, 64),
        ("0::/\n", {"cpu.max": "max 100000"}, 64),
        ("0::/\n", {"cpu.max": "450000 100000"}, 4),  # docker run --cpus 4.5
        ("0::/\n", {"cpu.max": "20000 100000"}, 1),
        (
            "0::/user.slice/run_7\n",
            {"user.slice/cpu.max": "300000 100000", "user.slice/run_7/cpu.max": "max 100000"},
            3,
        ),
        ("4:cpu,cpuacct:/job\n", {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"}, 64),
        ("4:cpu,cpuacct:/job\n", {"cpu/job/cpu.cfs_quota_us": "200000", "cpu/job/cpu.cfs_period_us": "100000"}, 2),
        ("4:memory:/job\n", {"cpu/cpu.cfs_quota_us": "500000", "cpu/cpu.cfs_period_us": "100000"}, 5),
        ("0::/\n", {"cpu.max": "12800000 100000"}, 64),
    ],
)
def test_the_least_of_affinity_and_quotas_holds(
    groups: str | None, files: dict[str, str], cpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_limit, "_allowed", lambda: 64)
    written = {f"sys/fs/cgroup/{name}": content for name, content in files.items()}
    for name, content in (written if groups is None else written | {"proc/self/cgroup": groups}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert usable_cpus(tmp_path) == cpus


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to CPUs")
def test_a_process_that_is_bound_to_one_cpu_has_one(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cpus(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)
    assert usable_cpus(tmp_path) == len(before)
