"""Reads a study: shipped or from a file, changed by `--set`, and validated with every problem at once."""

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from search.study.study import Study
from trainables.compression.config import Compression, OwnCompression, Quantization
from trainables.config import parse, read_yaml
from trainables.errors import InvalidInput
from trainables.storage import Folder


def shipped() -> dict[str, Path]:
    """Name to file of the studies that come with Temper."""
    folder = Path(str(files("search.study") / "shipped"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(study: str, settings: Sequence[str] = ()) -> Study:
    """Read a shipped study by name or any by path, change it by `path.to.key=value`, and validate it.

    Raises:
        InvalidInput: no such study, not YAML, every problem of its content, or no file of weights where it names one.
    """
    path = shipped().get(study, Path(study))
    try:
        data = read_yaml(path.read_bytes(), study)
    except OSError as error:
        reason = "no such study" if isinstance(error, FileNotFoundError) else error.strerror
        raise InvalidInput(f"{study}: {reason}; expected a YAML file or one of: {', '.join(shipped())}") from None
    if not isinstance(data, dict):
        raise InvalidInput(f"{study}: got {type(data).__name__}, expected the keys of a study")
    for setting in settings:
        _apply(data, setting)
    loaded = parse(Study, data)
    _make_own_compressors(loaded)
    if loaded.pretrained is None:
        return loaded
    from trainables.models.weights import (
        sealed,  # late: it imports PyTorch, which other studies' validation does without
    )

    return loaded.model_copy(update={"pretrained": sealed(loaded.pretrained)})


def own_methods(study: Study) -> dict[str, tuple[OwnCompression, Quantization | None]]:
    """The user's own compression methods in a study, each with the quantization that follows it, by the study's key."""
    named: dict[str, tuple[Compression, Quantization | None]] = {
        f"baselines.{number}.compression": (one.compression, one.quantization)
        for number, one in enumerate(study.baselines)
    }
    for number, one in enumerate(study.space.compression.alternatives if study.space else ()):
        named[f"space.compression.alternatives.{number}"] = one, None
    return {key: (one, after) for key, (one, after) in named.items() if isinstance(one, OwnCompression)}


def _make_own_compressors(study: Study) -> None:
    """Raise InvalidInput, with every problem, if one of a study's own compression methods cannot be had."""
    problems: list[str] = []
    for where, (method, _) in own_methods(study).items():
        from trainables.compression.own import own_compressor  # late: it imports PyTorch, as above

        try:
            own_compressor(method, seed=study.seed, where=where)
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(*problems)


def changed(study: Study, settings: Sequence[str]) -> Study:
    """A study changed by `path.to.key=value`. Raises InvalidInput, with every problem."""
    data = study.model_dump(mode="json")
    for setting in settings:
        _apply(data, setting)
    return parse(Study, data)


def _apply(data: dict[str, Any], setting: str) -> None:
    """Set one `path.to.key=value` in nested dicts and lists; the value is YAML."""
    path, equals, text = setting.partition("=")
    if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", path):
        raise InvalidInput(f"--set {setting}: expected path.to.key=value")
    value = read_yaml(text, f"--set {path}")
    *parents, last = path.split(".")
    place: Any = data
    try:
        for key in parents:
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
        place[int(last) if isinstance(place, list) else last] = value
    except (ValueError, IndexError, TypeError, AttributeError):
        raise InvalidInput(f"--set {setting}: nothing in the study lies at {path}") from None


def read_study(folder: Folder) -> Study:
    """The study of a run, as it was resolved when the run began. Raises InvalidInput."""
    try:
        text = folder.read("study.yaml")
    except OSError as error:
        raise InvalidInput(f"{folder}: no readable study.yaml in it, expected the directory of a run") from error
    return parse(Study, read_yaml(text, f"{folder}/study.yaml"), where=f"{folder}/study.yaml")
