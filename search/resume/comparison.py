"""Compares what is the user's in a run's fingerprint with what is here now, for every command that reads a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from analysis.export.study_folder import find_modules
from analysis.run.trials import Run
from analysis.run.users_parts import DATA, FILE, users_parts
from cluster.connection.runtime_env import temper_version
from search.remote.user_modules import shipped_file
from search.resume.fingerprint import file_hash, module_hashes
from search.study.loading import read_study
from trainables.errors import InvalidInput


@dataclass(frozen=True)
class Comparison:
    """What of a run's or an export's fingerprint is the user's, compared with what is here now.

    Attributes:
        changed: the parts that differ, by their names in the fingerprint.
        absent: the parts that could not be compared, since nothing of that name is here.
    """

    changed: tuple[str, ...]
    absent: tuple[str, ...]

    def refuse(self, where: str) -> None:
        """Raise InvalidInput, naming each part that differs, if there is one."""
        if self.changed:
            raise InvalidInput(
                f"{where}: changed since it was written: {', '.join(self.changed)}; --force goes on all the same"
            )


def compare(recorded: Mapping[str, str], configuration: BaseModel, data: str | None = None) -> Comparison:
    """Compare the user's parts of a fingerprint: modules and shipped files, and the data where they were loaded.

    A module that was not recorded cannot matter unless one that was recorded has changed, so it is not looked at.

    Args:
        recorded: the fingerprint, by part; other parts than the user's are ignored.
        configuration: the study or recipe that names the user's functions.
        data: fingerprint of the data as they are now; None: they were not loaded, and are not compared.
    """
    mine = users_parts(recorded)
    now = module_hashes(configuration) | ({} if data is None else {DATA: data})
    for name in mine:
        if name.startswith(FILE) and (place := shipped_file(name.removeprefix(FILE))) is not None:
            now[name] = file_hash(place)
    here = {name: now.get(name, now.get(f"{name}.py")) for name in mine}  # before 0.2.0, names had no ending
    changed = [name for name, value in mine.items() if here[name] not in (None, value)]
    absent = [name for name in mine if here[name] is None and name != DATA]
    return Comparison(tuple(sorted(changed)), tuple(sorted(absent)))


def changed_code(run: Run) -> tuple[str, ...]:
    """Return the parts of a run's fingerprint that are the user's code or shipped files and have changed.

    Nothing is said of what is not here, and a study that cannot be read counts as unchanged: this is for a command that
    shows numbers as they are, and refuses nothing.
    """
    try:
        study = read_study(run.folder)
    except InvalidInput:
        return ()
    find_modules(run.folder, study, lambda text: None)
    return compare(run.info.get("fingerprint", {}), study).changed


def check_run(run: Run, say: Callable[[str], object], *, force: bool = False, data: str | None = None) -> None:
    """Refuse a run whose user's code or data have changed since it began, and say which version of Temper made it.

    Args:
        run: the run.
        say: prints a line, on what was not compared, or differs without being refused.
        force: say what has changed instead of refusing it.
        data: fingerprint of the data as they are now; None: not loaded, and not compared.

    Raises:
        InvalidInput: something of the user's has changed.
    """
    for line in run.left_out:
        say(f"{run.folder}/{line}")
    try:
        study = read_study(run.folder)
    except InvalidInput as error:
        say(f"{run.folder}: the user's code is not compared, since the study cannot be read: {error.problems[0]}")
        return
    find_modules(run.folder, study, say)
    found = compare(run.info.get("fingerprint", {}), study, data)
    if not force:
        found.refuse(str(run.folder))
    elif found.changed:
        say(f"{run.folder}: changed since it was written: {', '.join(found.changed)}")
    if found.absent:
        say(f"{run.folder}: not compared, since not found from here: {', '.join(found.absent)}")
    made = (run.info.get("provenance", {}).get("versions") or {}).get("temper")
    if made is not None and made != temper_version():
        say(f"{run.folder}: made by Temper {made}; this is {temper_version()}")
