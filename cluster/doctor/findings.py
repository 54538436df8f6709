"""Judges a cluster's reports: says what is wrong with its nodes and how to put it right, in pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from cluster.doctor.node_report import Report
from cluster.doctor.shared_storage import Unshared
from trainables.value_forms import counted

FILE_SECONDS = 0.2  # a file of the storage, of which a trial writes several after each epoch
CLOCK_SECONDS = 1.0  # with a larger difference, times in the record no longer say in which order things happened
FREE_MEMORY = 1_000_000_000  # bytes that the imports of one trial take
FULL = 0.95  # of the disk of Ray's files, from which on Ray writes no more objects there
FILES, FILES_A_CPU = 100, 4  # that Ray's process on a node has open: 58 and 3 for each worker (Ray 2.60.0)
FREE_SHARE_OF_GPU = 0.5  # where less of the card's memory is free, another process computes on the card
WHOLE = "the cluster"


@dataclass(frozen=True)
class Finding:
    """One problem of a cluster, and its fix.

    Attributes:
        node: name of the node; `the cluster` for a problem of the whole cluster.
        problem: what was found.
        fix: what to do about it.
    """

    node: str
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.node}: {self.problem}\n    fix: {self.fix}"


@dataclass(frozen=True)
class Access:
    """Whether the cluster lets callers in without a token.

    Attributes:
        open: whether the head answers a caller without a token.
        dashboard: the address at which the dashboard is reached, `host:port`; None where there is none.
        dashboard_open: whether the dashboard answers without a token; None where it does not answer this machine.
    """

    open: bool
    dashboard: str | None = None
    dashboard_open: bool | None = None


def findings(
    driver: Report,
    nodes: Sequence[Report],
    silent: Mapping[str, str],
    unshared: Sequence[Unshared],
    undelivered: Mapping[str, str],
    access: Access,
    *,
    gpu: float = 0.0,
) -> tuple[Finding, ...]:
    """Returns all problems of a cluster with their fixes, the worst first.

    Args:
        driver: this process's own report; the nodes' versions and source must equal it.
        nodes: the nodes' reports.
        silent: name of each node that gave no report, to the reason.
        unshared: nodes that do not share the storage.
        undelivered: name of each node that does not exchange objects with the driver's, to what went wrong.
        access: whether the cluster lets callers in without a token.
        gpu: share of a GPU that a trial wants; 0: trials use none, and cards are not examined.
    """
    found = [
        Finding(name, f"gave no report ({why})", f"look at its raylet's log, or restart Ray on {name}")
        for name, why in silent.items()
    ]
    found += _of_access(access)
    for node in nodes:
        found += _of_versions(driver, node)
        found += _of_source(driver, node)
        found += _of_devices(node, gpu) + _of_limits(node)
        if node.free_memory is not None and node.free_memory < FREE_MEMORY:
            found.append(
                Finding(
                    node.name,
                    f"{node.free_memory / 1e9:.1f} GB of memory are free, expected {FREE_MEMORY / 1e9:.0f} GB or more",
                    "end what else runs there, or take a larger node",
                )
            )
        if abs(node.skew) - node.skew_error > CLOCK_SECONDS:
            side = "ahead of" if node.skew > 0 else "behind"
            found.append(
                Finding(
                    node.name,
                    f"its clock is {abs(node.skew):.1f} s {side} the driver's",
                    "synchronise clocks there, e.g. `timedatectl set-ntp true`",
                )
            )
    without = {node.name for node in nodes if node.code is None}
    found += [
        Finding(
            name,
            f"Ray's objects do not pass between it and the driver's node ({why})",
            "let all nodes reach each other on all ports, or start Ray with --object-manager-port and open that too",
        )
        for name, why in undelivered.items()
        if name not in {*silent, *without}
    ]
    found += [
        Finding(one.node, one.problem, "give --storage a shared absolute path, or a URI (s3://…, gs://…)")
        for one in unshared
        if one.node not in without  # without Temper the storage could not be tried there, so nothing is known of it
    ]
    return tuple(found)


def slowed(driver: Report, nodes: Sequence[Report], a_file: Mapping[str, float] | None = None) -> list[str]:
    """Returns a line for whatever makes a node's trials slower than they could be: no fault, but worth knowing.

    Beside two busy processes, workers at niceness 15 took seven to twelve times as long on two CPUs, at 0 a third more.

    Args:
        driver: this process's own report.
        nodes: the nodes' reports.
        a_file: name of each node to the seconds that it takes to write a small file of the storage and read it back.
    """
    lines = [
        f"{name} takes {seconds:.2f} s to write and read a small file of the storage; a trial writes several an epoch"
        for name, seconds in (a_file or {}).items()
        if seconds > FILE_SECONDS
    ]
    for node in nodes:
        if node.load is not None and node.cpus is not None and node.load > node.cpus + 1:
            lines.append(f"{node.name} is busy: {node.load:.1f} processes want its {counted(node.cpus, 'CPU')}")
        if node.usable_cpus is not None and node.slots_cpus > node.usable_cpus:
            lines.append(
                f"{node.name} runs trials for {counted(node.slots_cpus, 'CPU', 'g')} on the "
                f"{node.usable_cpus} that they may use (affinity, or a control group's quota); start Ray there with "
                f"--num-cpus={node.usable_cpus}"
            )
        if node.shared_memory is not None and node.object_store > node.shared_memory:
            lines.append(
                f"{node.name} keeps Ray's objects ({node.object_store / 1e9:.1f} GB) on disk, since /dev/shm holds "
                f"{node.shared_memory / 1e9:.2f} GB; enlarge it there, as by --shm-size of Docker"
            )
        if node.niceness is not None and node.niceness > max(0, driver.niceness or 0):
            lines.append(
                f"{node.name} runs trials at niceness {node.niceness}, so that other processes go first; "
                "start Ray there with RAY_worker_niceness=0"
            )
    return lines


def is_public(address: str) -> bool:
    """Returns whether other machines can reach a `host:port`: whether the host is no loopback address."""
    host = address.rsplit(":", 1)[0].strip("[]")
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def _of_access(access: Access) -> list[Finding]:
    found = []
    if access.open:
        found.append(
            Finding(
                WHOLE,
                "the head answers without a token: whoever reaches it can run code there",
                "start every node with RAY_AUTH_MODE=token and one token in a file of mode 0600 (cluster/README.md)",
            )
        )
    if access.dashboard is not None and is_public(access.dashboard) and access.dashboard_open is not False:
        asks = "answers without a token" if access.dashboard_open else "may ask for no token: it did not answer here"
        found.append(
            Finding(
                WHOLE,
                f"the dashboard listens on {access.dashboard}, beyond this machine, and {asks}",
                "start the head with --dashboard-host=127.0.0.1, and reach it through an SSH tunnel",
            )
        )
    return found


def _of_versions(driver: Report, node: Report) -> list[Finding]:
    found = []
    for package, wanted in driver.versions.items():
        got = node.versions.get(package)
        if got != wanted:
            fix = f"pip install {package}=={wanted} there"
            if package == "python":
                fix = f"run the node with Python {wanted}"
            elif wanted is None:
                fix = f"install {package} {got} here too, or remove it there"
            problem = f"{package} is {got or 'not installed'}, expected the driver's {wanted or 'absence'}"
            found.append(Finding(node.name, problem, fix))
    return found


def _of_source(driver: Report, node: Report) -> list[Finding]:
    fix = f"put the driver's checkout ({driver.source}) first on the node's PYTHONPATH, and restart Ray there"
    if node.code is None:
        return [Finding(node.name, "Temper cannot be imported", fix)]
    if node.code != driver.code:
        problem = f"Temper is imported from {node.source}, whose source differs from the driver's"
        return [Finding(node.name, problem, fix)]
    return []


def _of_limits(node: Report) -> list[Finding]:
    found = []
    if node.disk is not None and node.disk[2] < (1 - FULL) * node.disk[1]:
        folder, total, free = node.disk
        problem = f"the disk of Ray's files ({folder}) has {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
        fix = f"free some, or start Ray there with --temp-dir on another disk: beyond {FULL:.0%} it writes no objects"
        found.append(Finding(node.name, problem, fix))
    wanted = FILES + int(FILES_A_CPU * node.slots_cpus)
    if node.files is not None and node.files < wanted:
        cpus = counted(node.slots_cpus, "CPU", "g")
        problem = f"a process may open {node.files} files, of which Ray needs {wanted} for {cpus}"
        found.append(Finding(node.name, problem, "`ulimit -n 65536` before `ray start` there"))
    return found


def _of_cuda(node: Report) -> list[Finding]:
    if node.torch_cuda == "":
        problem, fix = "PyTorch is built without CUDA, so it computes on no GPU", "install its build for CUDA there"
        return [Finding(node.name, problem, fix)]
    built, served = (_major(version) for version in (node.torch_cuda, node.driver_cuda))
    if built is None or served is None or built <= served:  # a driver serves all of a major version
        return []
    problem = f"PyTorch is built for CUDA {node.torch_cuda}, and the NVIDIA driver serves {node.driver_cuda} at most"
    return [Finding(node.name, problem, f"install a newer driver there, or everywhere PyTorch for CUDA {served}")]


def _major(version: str | None) -> int | None:
    return int(version.partition(".")[0]) if version else None


def _of_devices(node: Report, gpu: float) -> list[Finding]:
    if not gpu or not node.promised_gpus:
        return []
    if len(node.gpus) < node.promised_gpus:
        return [
            Finding(
                node.name,
                f"Ray places work on {counted(node.promised_gpus, 'GPU', 'g')}, the driver shows {len(node.gpus)}",
                "install the NVIDIA driver and give the container its GPUs, or lower --num-gpus",
            )
        ]
    return _of_cuda(node) + [
        Finding(
            node.name,
            f"{card.name} has {card.free / 1e9:.1f} of {card.total / 1e9:.1f} GB free",
            "end the processes that `nvidia-smi` lists there",
        )
        for card in node.gpus
        if card.free < FREE_SHARE_OF_GPU * card.total
    ]
