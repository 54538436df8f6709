"""Finds the user's modules and files that a study names, so that they can be shipped to other machines."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from cluster.connection.runtime_env import runtime_env
from search.study.study import Study
from trainables.config import YamlDumper
from trainables.errors import InvalidInput
from trainables.user_code import lies_here, references, top_level, user_function
from trainables.user_modules import SHIPPED, STUDY_FOLDER, WORKING_FOLDER, user_folders
from trainables.user_source import modules_beside

TRY_SECONDS = 300.0  # for which the shipped copy of the user's code may be imported before it counts as hung


def user_modules(study: Study) -> dict[str, Path | bytes]:
    """Return what is shipped of a user's: the modules that a study names, what they import, and what `ship` names.

    Raises:
        InvalidInput: a module that the study names cannot be imported, or a file that it ships is not there.
    """
    found: dict[str, Path | bytes] = {}
    for key, reference in references(study).items():
        user_function(reference, key)
        place = top_level(reference)
        if place is not None and lies_here(place):
            found |= {one.name: one for one in modules_beside(place)}
    return found | files_to_ship(study)


def files_to_ship(study: Study) -> dict[str, Path]:
    """Return the files and folders that a study's `ship` names, by their path from its folder.

    Raises:
        InvalidInput: some are not there; it names each.
    """
    found, problems = {}, []
    for number, name in enumerate(study.ship):
        place = shipped_file(name)
        if place is None:
            looked = " and ".join(map(str, user_folders()))
            problems.append(f"ship.{number}: got {name!r}, expected a file or folder in {looked}")
        else:
            found[name] = place
    if problems:
        raise InvalidInput(*problems)
    return found


def shipped_file(name: str) -> Path | None:
    """Return the file or folder that a study ships under a name; None where the user's folders have none."""
    return next((folder / name for folder in user_folders() if (folder / name).exists()), None)


def try_shipped_copy(study: Study, beside: Mapping[str, Path | bytes]) -> None:
    """Import the user's modules out of a copy of what would be shipped, in a process of its own.

    A file that they read beside themselves, and that `ship` does not name, is missing there as it would be on the other
    machines. Networks are made once, for images of a usual shape, to see which files that reads.

    Raises:
        InvalidInput: the user's code does not find a file or a module there; it says what to name.
    """
    if not references(study):
        return
    content = yaml.dump(study.model_dump(mode="json"), Dumper=YamlDumper).encode()
    with runtime_env({**beside, "study.yaml": content}) as environment:
        folder = environment["working_dir"]
        clean = {key: value for key, value in os.environ.items() if key not in (STUDY_FOLDER, WORKING_FOLDER)}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "search.remote.shipped_copy", "study.yaml"],
                cwd=folder,
                env=clean | environment["env_vars"] | {"PYTHONPATH": folder, "CUDA_VISIBLE_DEVICES": ""},
                capture_output=True,
                text=True,
                timeout=TRY_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise InvalidInput(f"the study's modules took more than {TRY_SECONDS:.0f} s to be imported") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it ended without a word"]
        raise InvalidInput(
            f"the study's own code does not work where it is sent: {lines[-1].replace(f'{folder}/{SHIPPED}/', '')}; "
            "files that it reads beside itself are named in the study, e.g. `ship: [width.json]`"
        )
