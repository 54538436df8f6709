"""Examines a cluster, times a study's training on it, and estimates how long the search will take (`temper doctor`)."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from cluster.connection.authentication import dashboard, is_open
from cluster.connection.session import Target, session
from cluster.doctor.findings import Access, Finding, findings, is_public, slowed
from cluster.doctor.node_report import Gpu, Report, report, this_process
from cluster.doctor.per_node import undelivered
from cluster.doctor.shared_storage import free_bytes, seconds_a_file, unshared
from search.preflight.estimate import Estimate, Slots, estimate
from search.preflight.network_check import NOT_TRIED, check_studys_network
from search.preflight.timing import measured_slots
from search.preflight.workload import Work, workload
from search.recipes.first_proposals import check_first
from search.recipes.fixed import FixedRecipes
from search.record.provenance import PACKAGES
from search.remote.user_modules import user_modules
from search.study.study import Study
from trainables.data.splits import load_splits
from trainables.errors import Unsound
from trainables.storage import Folder
from trainables.value_forms import counted


@dataclass(frozen=True)
class Examination:
    """What was found on a cluster, and what is expected of a study there.

    Attributes:
        nodes: what each node reports.
        access: who is let in.
        findings: what is wrong, with its fix.
        slots: the slots with their measured speeds; none: no study was timed.
        estimate: what is expected of the search; None: as for `slots`.
    """

    nodes: tuple[Report, ...]
    access: Access
    findings: tuple[Finding, ...]
    slots: tuple[Slots, ...] = ()
    estimate: Estimate | None = None

    def data(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"sound": not self.findings, **asdict(self)}

    def require_sound(self) -> None:
        """Raise Unsound, which lists what is wrong with its fixes, if anything is."""
        if self.findings:
            raise Unsound(*(str(one) for one in self.findings))


def examine(
    study: Study | None,
    *,
    address: str | None,
    storage: str,
    price: float | None,
    say: Callable[[str], object],
    try_network: bool = True,
) -> "Examination":
    """Examine a cluster and, if it is sound, estimate the hours and the cost of a study's search.

    The data is loaded in this process, as a search does: nodes get it out of Ray's object store and need no copy.

    Args:
        study: the study to estimate; None: only examine the cluster.
        address: address of a Ray cluster; None: a local session is started.
        storage: folder or URI where runs would go.
        price: price of an hour of one GPU, or of one CPU where trials use no GPU.
        say: prints a paragraph.
        try_network: try the study's network on a few images before Ray starts.

    Returns:
        What was found. Nothing is timed on a cluster with which something is wrong.

    Raises:
        InvalidInput: there is no such cluster, the data is missing, the network does not work, or a trial fits on no
            node.
    """
    splits, fixed, beside = None, None, {}
    if study is not None:
        beside = user_modules(study)
        fixed = FixedRecipes.of(study)
        check_first(study, fixed)
        splits = load_splits(study.data)
        if try_network:
            check_studys_network(study, splits, say)
        else:
            say(NOT_TRIED)
    with session(Target(address, allow_unauthenticated=True), beside=beside, searches=False):
        nodes, silent = report(PACKAGES)
        access = _access(address)
        apart = unshared(Folder(storage))
        a_file = {} if apart else seconds_a_file(Folder(storage))
        say(table(nodes))
        say(_in_words(access, nodes, storage, len(apart), max(a_file.values(), default=None)))
        for line in slowed(this_process(PACKAGES), nodes, a_file):
            say(f"slower     {line}")
        found = findings(
            this_process(PACKAGES),
            nodes,
            silent,
            apart,
            undelivered(),
            access,
            gpu=study.resources.of("proposed").gpu if study else 0.0,
        )
        seen = Examination(tuple(nodes), access, tuple(found))
        if not found:
            say("Sound: nothing to fix.")
        if found or study is None or splits is None or fixed is None:
            return seen
        say(
            f"\n{study.name}: {len(splits.train)} training and {len(splits.validation)} validation images of "
            f"{study.data.name}"
        )
        works = workload(study, fixed, splits)
        measured = measured_slots(study, splits, works)
        expected = estimate(works, measured, price=price, hours=study.budget.hours)
        say(_expectation(measured, expected, study, works))
        return replace(seen, slots=tuple(measured), estimate=expected)


def _access(address: str | None) -> Access:
    """Find out whether the cluster that this process has joined lets anybody in, and where its dashboard listens."""
    import ray

    through = address is not None and address.startswith("ray://")
    where = str(address) if through else str(ray.get_runtime_context().gcs_address)
    found, answers = dashboard()
    return Access(is_open(where), found, answers)


def table(nodes: Sequence[Report]) -> str:
    """Return a table of the nodes as text: a header, and one line for each."""
    width = max(4, *(len(node.name) for node in nodes)) if nodes else 4
    lines = [f"{'node':{width}s}  {'Ray':8s} {'Python':8s} {'torch':10s} {'CPUs':>4s} {'free':>9s} {'clock':>9s}  GPUs"]
    for node in nodes:
        cards = ", ".join(_card(one) for one in node.gpus)
        free = "" if node.free_memory is None else f"{node.free_memory / 1e9:.1f} GB"
        versions = [node.versions.get(name) or "none" for name in ("ray", "python", "torch")]
        lines.append(
            f"{node.name:{width}s}  {versions[0]:8s} {versions[1]:8s} {versions[2]:10s} {node.slots_cpus:4g} "
            f"{free:>9s} {1e3 * node.skew:+6.0f} ms  {cards or 'none'}"
        )
    return "\n".join(lines)


def _card(card: Gpu) -> str:
    of = f" {card.free / 1e9:.0f} of {card.total / 1e9:.0f} GB free" if card.total else ""
    return f"{card.name}{of}"


def _in_words(access: Access, nodes: Sequence[Report], storage: str, apart: int, a_file: float | None) -> str:
    listens = "none"
    if access.dashboard is not None:
        reach = "beyond the head" if is_public(access.dashboard) else "on the head alone"
        listens = f"{access.dashboard}, {reach}" + (", wants a token" if access.dashboard_open is False else "")
    shared = f"not shared by {apart} of {len(nodes)}" if apart else "written by each node and read by the others"
    shared += "" if a_file is None else f", {1e3 * a_file:.2g} ms a file"
    free = free_bytes(Folder(storage))
    shared += "" if free is None else f", {free / 1e9:.0f} GB free"
    return "\n".join(
        [
            f"source     {', '.join(sorted({str(node.source) for node in nodes}))}",
            f"storage    {storage}, {shared}",
            f"token      {'asked for by nobody' if access.open else 'asked for'}",
            f"dashboard  {listens}",
        ]
    )


def _expectation(measured: Sequence[Slots], expected: Estimate, study: Study, works: Sequence[Work]) -> str:
    unit = "GPU" if study.resources.of("proposed").gpu else "CPU"
    lines = [f"{'device':14s} {'slots':>5s} {'fixed by hand':>16s} {'proposals':>16s}   a slot, all slots busy"]
    for one in measured:
        rates = [f"{speed.flops_per_second / 1e9:.3g} GFLOP/s" for speed in (one.fixed, one.proposed)]
        lines.append(f"{one.device:14s} {one.count:5d} {rates[0]:>16s} {rates[1]:>16s}")
    total = sum(work.trials * work.flops for work in works)
    wall = f"{expected.hours:.2f} h" if expected.hours >= 0.5 else f"{expected.hours * 3600:.0f} s"
    lines.append(f"\n{counted(expected.trials, 'trial')}, {total:.3g} FLOPs of training: about {wall} of wall time")
    for device, hours in expected.device_hours.items():
        lines.append(f"{hours:.3g} {unit}-hours" + (f" ({device})" if device != unit else ""))
    if expected.cost is not None:
        lines.append(f"cost {expected.cost:.4g}, at the price given for one {unit}-hour")
    return "\n".join(lines)
