"""The page of a study's keys is what the types say, and every key has a meaning there."""

import re

from search.study.algorithms import SAMPLERS
from search.study.loading import shipped
from search.study.space import SEARCHED
from search.study.study import Study
from tests.support.checkout import ROOT
from tests.support.study_reference import KINDS, PAGE, page
from trainables.config import read_yaml
from trainables.data.config import DATA_SETS
from trainables.evaluation.metrics import OBJECTIVES
from trainables.models.config import NETWORKS

ROW = re.compile(r"^\| `(\w+)` \| (.*?) \| (.+?) \| (.*?) \|$", re.MULTILINE)


def test_the_page_is_what_the_types_say() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.support.study_reference"


def test_every_key_has_a_meaning() -> None:
    rows = ROW.findall(page())
    assert [key for key, meaning, *_ in rows if not meaning and key not in KINDS] == []
    assert len(rows) > 100


def test_whatever_is_known_by_name_is_named_in_both_pages_of_keys() -> None:
    known = {*DATA_SETS, *NETWORKS, *SAMPLERS, *SEARCHED}
    for text, names in (
        (page(), known),
        ((ROOT / "docs" / "studies.md").read_text(), {*known, *OBJECTIVES, *shipped()}),
    ):
        words = set(re.findall(r"[\w-]+", text))
        assert names - words == set()


def test_every_link_leads_to_a_table() -> None:
    titles = {title.lower() for title in re.findall(r"^## (\w+)$", page(), re.MULTILINE)}
    linked = set(re.findall(r"\(#(\w+)\)", page()))
    assert linked <= titles
    assert titles - linked == {"study"}


def test_it_has_every_key_of_the_shipped_studies() -> None:
    known = {key for key, *_ in ROW.findall(page())}
    (first, *_) = re.split(r"^## (?!Study)", page(), maxsplit=1, flags=re.MULTILINE)
    assert {key for key, *_ in ROW.findall(first)} == set(Study.model_fields)
    for path in shipped().values():
        assert keys(read_yaml(path.read_bytes(), path.name)) <= known


def keys(part: object) -> set[str]:
    if isinstance(part, dict):
        return set(part) | {key for one in part.values() for key in keys(one)}
    if isinstance(part, list):
        return {key for one in part for key in keys(one)}
    return set()
