"""Takes mutated studies and generated folders of images through what the commands do with them; it can be resumed.

A study is read and checked as `temper validate` does, or searched by the command itself; a folder is loaded as a dry
run does. Each ends as `done`, as `refused` with a message of Temper's, or as a `defect`: any other exception, a study
that is another one once it was written, images that are not those of the files, or something that should have been
refused. One line of JSON each is appended to a file.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.optimize import linear_sum_assignment

from search.preflight.study_check import check_study
from search.study.loading import load
from search.study.study import Study
from tests.fuzz.mutated_studies import mutated
from tests.fuzz.random_folders import VALIDATION, write_folder
from tests.support.checkout import ROOT
from trainables.config import YamlDumper, parse, read_yaml
from trainables.data.config import Data
from trainables.data.splits import Examples, load_splits, load_test
from trainables.errors import InvalidInput

SIZE = 6  # pixels that images are scaled to
CLOSE = 0.02  # largest difference of a colour that is read; JPEG and CMYK round
SEARCH_SECONDS = 900
LONGEST = 6000  # characters of a message


class Defect(Exception):
    """Raised for what nobody would have noticed."""


def validate(number: int) -> None:
    """Reads and checks a mutated study, and reads it again as a run writes it."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "study.yaml"
        path.write_bytes(mutated(number))
        try:
            study = load(str(path))
            check_study(study)
        except InvalidInput as refused:
            if not str(refused).strip() or len(str(refused)) > LONGEST:
                raise Defect(f"a message of {len(str(refused))} characters") from refused
            raise
        text = yaml.dump(study.model_dump(mode="json"), Dumper=YamlDumper, sort_keys=False)
        again = parse(Study, read_yaml(text, "again"))
        if again != study:
            raise Defect("another study once it was written")


def folder(number: int) -> None:
    """Loads a generated folder, and compares every image with its file."""
    with tempfile.TemporaryDirectory() as place:
        expected = write_folder(Path(place), number)
        data = Data(name="image_folder", path=place, image_size=SIZE, validation_size=VALIDATION)
        try:
            splits = load_splits(data)
        except InvalidInput as refused:
            if not expected.refused:
                raise Defect(f"refused without a reason: {refused}") from refused
            raise
        if expected.refused:
            raise Defect(f"read in spite of {expected.refused}")
        names = sorted(expected.train)
        both = Examples(
            np.concatenate([splits.train.images, splits.validation.images]),
            np.concatenate([splits.train.labels, splits.validation.labels]),
        )
        _compare(both, [expected.train[name] for name in names], "train")
        if expected.test:
            _compare(load_test(data, splits), [expected.test.get(name, []) for name in names], "test")


def _compare(found: Examples, expected: list[list[tuple[float, ...]]], split: str) -> None:
    for label, colours in enumerate(expected):
        images = found.images[found.labels == label]
        flat = images.max(axis=(2, 3)) - images.min(axis=(2, 3))
        if len(images) != len(colours):
            raise Defect(f"{split}: {len(images)} images of class {label}, expected {len(colours)}")
        if len(images) and float(flat.max()) > CLOSE:
            raise Defect(f"{split}: an image of one colour has several, class {label}")
        apart = np.abs(images.mean(axis=(2, 3))[:, None] - np.array(colours).reshape(1, -1, 3)).max(axis=2)
        if len(images) and apart[linear_sum_assignment(apart)].max() > CLOSE:
            raise Defect(f"{split}: colours of class {label} that no file has: {images.mean(axis=(2, 3)).tolist()}")


def search(number: int) -> None:
    """Searches a mutated study by the command, which must end with 0, 2 or 3 and without a stack."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "study.yaml"
        path.write_bytes(mutated(number))
        done = subprocess.run(
            [sys.executable, "-m", "search", "search", str(path), "--storage", place, "--name", "run"],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SEARCH_SECONDS,
        )
        said = done.stdout + done.stderr
        if done.returncode not in (0, 2, 3) or "Traceback" in said:
            raise Defect(f"exit code {done.returncode}: {said[-3000:]}")
        if done.returncode == 2:
            raise InvalidInput(done.stderr[-2000:].strip() or "refused without a word")
        trials = list((Path(place) / "run" / "trials").iterdir())
        planned = json.loads((Path(place) / "run" / "run.json").read_text())["planned_recipes"]
        if len(trials) > planned:
            raise Defect(f"{len(trials)} recipes of {planned} planned")


KINDS: dict[str, tuple[Callable[[int], None], int]] = {
    "studies": (validate, 2000),
    "folders": (folder, 300),
    "searches": (search, 50),
}


def outcome(kind: str, number: int) -> dict[str, Any]:
    """The end of one input: its number, `done`, `refused` or `defect`, and why."""
    started, reason, end = time.perf_counter(), "", "done"
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            KINDS[kind][0](number)
    except InvalidInput as error:
        end, reason = "refused", str(error)
    except Exception as error:
        end, reason = "defect", f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}"
    finally:
        logging.disable(logging.NOTSET)
    return {"number": number, "end": end, "reason": reason, "seconds": round(time.perf_counter() - started, 1)}


def main() -> int:
    """Runs the inputs of a kind that its file does not hold yet, and prints how all of them ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, help="[default: 2000 studies, 300 folders, 50 searches]")
    parser.add_argument("--log", type=Path, help="[default: build/fuzz/KIND.jsonl]")
    given = parser.parse_args()
    count = KINDS[given.kind][1] if given.count is None else given.count
    log = given.log or Path(f"build/fuzz/{given.kind}.jsonl")
    log.parent.mkdir(parents=True, exist_ok=True)
    before = {one["number"]: one for one in map(json.loads, log.read_text().splitlines() if log.exists() else [])}
    for number in range(given.first, given.first + count):
        if number not in before:
            before[number] = outcome(given.kind, number)
            with log.open("a") as file:
                file.write(json.dumps(before[number]) + "\n")
    wanted = [before[number] for number in range(given.first, given.first + count)]
    ends = [one["end"] for one in wanted]
    print({end: ends.count(end) for end in ("done", "refused", "defect")})
    for one in wanted:
        if one["end"] == "defect":
            print(f"{one['number']} {one['end']}: {one['reason']}")
    return 1 if "defect" in ends else 0


if __name__ == "__main__":
    raise SystemExit(main())
