"""The plan of a study as `temper search --dry-run --no-try` prints it, also where the search would be refused."""

from contextlib import suppress

from search.preflight.dry_run import show_plan
from search.study.study import Study
from trainables.errors import InvalidInput


def plan_of(study: Study) -> str:
    said: list[object] = []
    with suppress(InvalidInput):
        show_plan(study, try_network=False, say=said.append)
    return str(said[-1])
