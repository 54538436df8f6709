"""Limits of memory by control groups, as containers, Slurm and systemd set them: made-up files of the kernel."""

import os
from pathlib import Path

import pytest

from trainables.memory_limit import group_limits, memory_limit

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        (None, {}, MACHINE),
        ("0::/\n", {"memory.max": "5000", "memory.current": "1000"}, 5000),  # in a container of version 2
        ("0::/\n", {"memory.max": "max", "memory.current": "1000"}, MACHINE),
        (  # Slurm's and systemd's lie below the top; the least of all above holds
            "0::/system.slice/job_7/step_0\n",
            {
                "system.slice/memory.max": "max",
                "system.slice/memory.current": "9",
                "system.slice/job_7/memory.max": "3000",
                "system.slice/job_7/memory.current": "9",
                "system.slice/job_7/step_0/memory.max": "4000",
                "system.slice/job_7/step_0/memory.current": "9",
                "system.slice/job_8/memory.max": "1",  # another job's
            },
            3000,
        ),
        (
            "4:memory:/slurm/job_7\n3:cpu,cpuacct:/slurm/job_9\n0::/elsewhere\n",
            {
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/memory.usage_in_bytes": "9",
                "memory/slurm/job_7/memory.limit_in_bytes": "2000",
                "memory/slurm/job_7/memory.usage_in_bytes": "9",
            },
            2000,
        ),
        (  # in a container of version 1, whose group is at the top though its name is another
            "4:memory:/docker/1f\n",
            {"memory/memory.limit_in_bytes": "700", "memory/memory.usage_in_bytes": "9"},
            700,
        ),
        ("0::/a\n", {"unified/a/memory.max": "600", "unified/a/memory.current": "9"}, 600),  # both versions at once
    ],
)  # fmt: skip
def test_the_least_limit_of_all_groups_that_a_process_is_in_holds(
    groups: str | None, files: dict[str, str], limit: int, tmp_path: Path
) -> None:
    written = {f"sys/fs/cgroup/{name}": content for name, content in files.items()}
    for name, content in (written if groups is None else written | {"proc/self/cgroup": groups}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content + "\n" * (not content.endswith("\n")))
    assert memory_limit(tmp_path) == limit


def test_files_that_the_kernel_can_drop_are_not_in_use(tmp_path: Path) -> None:
    place = tmp_path / "sys/fs/cgroup"
    place.mkdir(parents=True)
    for name, content in (("max", "5000"), ("current", "4000"), ("stat", "anon 1000\ninactive_file 2500\n")):
        (place / f"memory.{name}").write_text(content)
    assert group_limits(tmp_path) == [(5000, 1500)]
