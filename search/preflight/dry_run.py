"""Says in words what a study would run (`temper search --dry-run`); nothing is started or written."""

from collections import Counter
from collections.abc import Callable, Sequence

import torch

from search.preflight.network_check import NOT_TRIED, check_studys_network
from search.preflight.study_check import check_resources_here, check_study, cpus_here
from search.preflight.workload import Work, workload
from search.recipes.finite_space import planned_proposals
from search.recipes.fixed import FixedRecipes
from search.samplers.sampler import considers_compute
from search.study.space import BASE
from search.study.study import Study
from trainables.compute.flops import uncounted_shares
from trainables.cpu_limit import usable_cpus
from trainables.data.splits import Splits, load_splits
from trainables.errors import InvalidInput
from trainables.estimation.flops_planner import CPU
from trainables.evaluation.config import attack_words, threat_words
from trainables.training.initial_network import initial_network
from trainables.value_forms import counted

NOT_PLANNED = "FLOPs cannot be planned, for the reason below"


def show_plan(study: Study, *, try_network: bool, say: Callable[[str], object], address: str | None = None) -> None:
    """Try the network of a study, and print the plan of the study.

    Args:
        study: the study.
        try_network: try its network on a few images; if not, that is said.
        say: prints lines of text.
        address: address of the cluster that the search would join; None: it would run on this machine.

    Raises:
        InvalidInput: the search could not run here: its network does not work, what it wants first is not in its space,
            this machine has too few CPUs, its data is not on this machine or its FLOPs cannot be planned. In the last
            cases the plan is printed before.
    """
    check_study(study)
    if address is None:
        check_resources_here(study)
    try:
        splits = load_splits(study.data)
    except InvalidInput as error:
        say(_plan(study, None, error)[0])
        raise
    if try_network:
        check_studys_network(study, splits, say)
    else:
        say(NOT_TRIED)
    text, problem = _plan(study, splits, None)
    say(text)
    if problem is not None:
        raise problem


def _plan(study: Study, splits: Splits | None, problem: InvalidInput | None) -> tuple[str, InvalidInput | None]:
    """Return the plan of a study as text, and why its FLOPs cannot be planned.

    The plan holds its recipes, the training FLOPs of each, and where they would run. Where the data is not on this
    machine, or the FLOPs cannot be counted, it goes without FLOPs and says why.

    Args:
        study: the study.
        splits: its data; None: it cannot be had.
        problem: why it cannot be had.
    """
    protocol, fixed = study.protocol, FixedRecipes.of(study)
    lines = [
        f"{study.name}: {study.description}" if study.description else study.name,
        f"data {study.data.name}, model {study.model.name}, objectives {', '.join(study.objectives)}",
        f"threat model {threat_words(study.threat_model)}, scored by {attack_words(protocol.model_dump())}",
    ]
    planned: list[str] = []
    if splits is not None:
        try:
            planned = [*_with_flops(workload(study, fixed, splits), _how(study)), *_uncounted(fixed, splits)]
        except InvalidInput as error:
            problem = error
    if problem is not None:
        planned = [*_without_flops(study, fixed), NOT_PLANNED]
    return "\n".join([*lines, *planned, _where(study)]), problem


def _how(study: Study) -> str:
    """Return how proposals are foreseen, in words."""
    spread = study.budget.flops is not None and considers_compute(study)
    drawn = "the budget of FLOPs spread over them" if spread else "as if drawn at random"
    return f"proposals {drawn}, {_start(study)}"


def _start(study: Study) -> str:
    """Return what each proposal of a study starts from, in words."""
    choices = (BASE,) if study.space is None else study.space.base
    return "each " + " or ".join("from the base" if one == BASE else "from scratch" for one in choices)


def _with_flops(works: Sequence[Work], how: str) -> list[str]:
    width = max(len(work.name) for work in works)
    total = sum(work.trials * work.flops for work in works)

    def line(role: str, name: str, what: str, flops: float, about: bool) -> str:
        share = f"{flops / total if total else 0.0:6.1%}"
        return f"  {role:9s} {name:{width}s} {what:27s} {'about ' if about else '':6s}{flops:8.3g}  {share}"

    lines = [f"  {'':9s} {'':{width}s} {'':27s} {'train FLOPs':>14s}  of all"]
    lines += [
        line(work.role, work.name, f"{_epochs(work.epochs)}  {work.recipe.id}", work.flops, work.about)
        for work in works
        if work.role not in ("grid", "proposed")
    ]
    for name in dict.fromkeys(work.name for work in works if work.role == "grid"):
        cells = [work for work in works if work.role == "grid" and work.name == name]
        count = sum(cell.trials for cell in cells)
        flops, about = sum(cell.trials * cell.flops for cell in cells), any(cell.about for cell in cells)
        lines.append(line("grid", name, counted(count, "recipe", "3d"), flops, about))
    for work in works:
        if work.role == "proposed":
            what = f"{counted(work.trials, 'recipe', '3d')} of {work.epochs:.1f} epochs"
            lines.append(line("proposed", "", what, work.trials * work.flops, work.about))
    count = sum(work.trials for work in works)
    return [*lines, f"{counted(count, 'recipe')}, {total:.3g} FLOPs; {how}"]


def _epochs(number: float) -> str:
    """Return a number of epochs, as wide for one as for many."""
    return f"{number:3.0f} {'epoch' if number == 1 else 'epochs':6s}"


def _uncounted(fixed: FixedRecipes, splits: Splits) -> list[str]:
    """Return a line on the operators that the study leaves out of all counts; none where it counts everything."""
    recipe = fixed.base.recipe
    if not recipe.model.uncounted_operators:
        return []
    images = splits.train.tensors(CPU)[0][:1]
    with torch.random.fork_rng(devices=[]):
        shares = uncounted_shares(initial_network(recipe, None, splits, images).model, images)
    told = ", ".join(f"{name} ({share:.1%})" for name, share in shares.items()) or "nothing: the network runs none"
    return [f"not counted, with the share of the numbers in a forward pass that it gives: {told}"]


def _without_flops(study: Study, fixed: FixedRecipes) -> list[str]:
    width = max(len(one.name) for one in fixed)
    lines = [
        f"  {one.role:9s} {one.name:{width}s} {_epochs(one.recipe.schedule.epochs)}  {one.recipe.id}"
        for one in fixed
        if one.role != "grid"
    ]
    for name, count in Counter(one.name for one in fixed if one.role == "grid").items():
        lines.append(f"  {'grid':9s} {name:{width}s} {counted(count, 'recipe', '3d')}")
    if trials := planned_proposals(study, fixed):
        lines.append(f"  proposed  {counted(trials, 'recipe')} out of the space, {_start(study)}")
    return lines


def _where(study: Study) -> str:
    resources, placements = study.resources, study.resources.placements()
    common = placements["proposed"]
    lines = [f"each trial on {common}"]
    lines += [f"  {role}: {one}" for role, one in placements.items() if role in resources.roles]
    if resources.measures:
        lines.append("gpu: auto: a whole GPU here; a search measures how many trials fit on one")
    if any(one.gpu or one.labels for one in placements.values()):
        return "\n".join([*lines, "as many at once as the cluster has room for"])
    here = usable_cpus() // common.cpu
    at_once = here if resources.max_concurrent is None else min(here, resources.max_concurrent)
    lines[0] += f": {at_once} at once on {cpus_here()} CPUs; `temper doctor` estimates the hours"
    return "\n".join(lines)
