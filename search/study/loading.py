"""Reads a study by name or from a file, changes it by `--set`, and validates it; all problems are reported at once."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from analysis.pareto.reference_point import BEFORE, DEFAULT, ReferencePoint
from search.study.study import Study
from search.study.user_functions import check_user_functions
from trainables.config import parse, read_yaml
from trainables.errors import InvalidInput
from trainables.evaluation.config import ScoringProtocol
from trainables.storage import Folder
from trainables.user_modules import look_beside


def shipped() -> dict[str, Path]:
    """Return the files of the studies that come with Temper, by name."""
    folder = Path(str(files("search.study") / "shipped"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(study: str | Mapping[str, Any], settings: Sequence[str] = (), *, where: str = "--set ") -> Study:
    """Read a shipped study by its name, or any study by its path, change it, and validate it.

    Functions of the user's that it names are looked for beside its file first, from now on.

    Args:
        study: name of a shipped study, or path of a YAML file, or a study's keys as plain data.
        settings: changes, each as `path.to.key=value`.
        where: what they were given by, which begins a message about one.

    Raises:
        InvalidInput: there is no such study, it is no YAML, its content is not valid (every problem is listed), the
            file of weights that it names is missing, or an attack or a compression method of the user cannot be made.
    """
    data = _read(study) if isinstance(study, str) else deepcopy(dict(study))
    look_beside(None if not isinstance(study, str) or study in shipped() else Path(study))
    for setting in settings:
        _apply(data, setting, where)
    loaded = parse(Study, data)
    _check_steps(loaded)
    check_user_functions(loaded)
    if loaded.pretrained is None:
        return loaded
    from trainables.models.weights import (
        sealed,  # late: it imports PyTorch, which other studies' validation does without
    )

    return loaded.model_copy(update={"pretrained": sealed(loaded.pretrained)})


def _read(study: str) -> dict[str, Any]:
    """Read the keys of a study by its name or path."""
    try:
        data = read_yaml(shipped().get(study, Path(study)).read_bytes(), study)
    except OSError as error:
        reason = f"no such study{_meant(study)}" if isinstance(error, FileNotFoundError) else error.strerror
        raise InvalidInput(f"{study}: {reason}; expected a YAML file or one of: {', '.join(shipped())}") from None
    if data is None:
        raise InvalidInput(f"{study}: is empty, expected the keys of a study")
    if not isinstance(data, dict):
        raise InvalidInput(f"{study}: got {type(data).__name__}, expected the keys of a study")
    return data


def _meant(study: str) -> str:
    """Return what was probably meant by a name of no study: a shipped one, or a YAML file where it would lie."""
    beside = Path(study).parent
    files = {str(path) for path in beside.iterdir() if path.suffix in (".yaml", ".yml")} if beside.is_dir() else ()
    close = get_close_matches(study, [*shipped(), *files], n=1, cutoff=0.75)
    return f", did you mean {close[0]}?" if close else ""


def _check_steps(study: Study) -> None:
    """Refuse steps that leave out an end of their range; runs of earlier versions, which took them, are read still."""
    if study.space is None or study.space.compression.mac_ratio is not None:
        return
    ratio = study.space.compression.pruning_ratio
    if ratio.last < ratio.high - 1e-6:
        raise InvalidInput(
            f"space.compression.pruning_ratio: got low {ratio.low:g}, high {ratio.high:g} and step {ratio.step:g}, "
            f"which ends at {ratio.last:g}, expected steps that reach high"
        )


def changed(study: Study, settings: Sequence[str]) -> Study:
    """Return a study with changes, each as `path.to.key=value`.

    Raises:
        InvalidInput: the changed study is not valid; it lists every problem.
    """
    data = study.model_dump(mode="json")
    for setting in settings:
        _apply(data, setting)
    made = parse(Study, data)
    check_user_functions(made)
    return made


def _apply(data: dict[str, Any], setting: str, where: str = "--set ") -> None:
    """Set one `path.to.key=value` in nested dicts and lists; the value is YAML."""
    path, equals, text = setting.partition("=")
    if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", path):
        raise InvalidInput(f"{where}{setting}: expected path.to.key=value")
    value = read_yaml(text, f"{where}{path}")
    *parents, last = path.split(".")
    place: Any = data
    try:
        for key in parents:
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
        place[int(last) if isinstance(place, list) else last] = value
    except (ValueError, IndexError, TypeError, AttributeError):
        raise InvalidInput(f"{where}{setting}: nothing in the study lies at {path}") from None


def read_study(folder: Folder) -> Study:
    """Read the study of a run, as it was resolved when the run began.

    Raises:
        InvalidInput: the folder holds no readable study.yaml, or one that is not valid.
    """
    try:
        text = folder.read("study.yaml")
    except OSError as error:
        raise InvalidInput(f"{folder}: no readable study.yaml in it, expected the directory of a run") from error
    return parse_resolved(text, f"{folder}/study.yaml", reference_point=BEFORE)


def parse_resolved(text: str | bytes, where: str, *, reference_point: ReferencePoint = DEFAULT) -> Study:
    """Read a study in which a version of Temper wrote out every default.

    A key that the version did not write is one that it did not know. It does not get today's default but the meaning of
    that time, so that all recipes of a run are scored alike.

    Args:
        text: the study as YAML.
        where: the name of the file, for errors.
        reference_point: the region that the search is about, where the study names none.

    Raises:
        InvalidInput: it is no YAML, or no valid study.
    """
    data = read_yaml(text, where, resolved=True)
    if isinstance(data, dict):
        data.setdefault("reference_point", reference_point.model_dump(mode="json"))
        evaluation = data.setdefault("evaluation", {})
        if isinstance(evaluation, dict):
            evaluation.setdefault("attack", ScoringProtocol.model_fields["attack"].default)
    return parse(Study, data, where=where)
