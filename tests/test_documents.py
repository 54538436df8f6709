"""What documents for contributors say of the code is so: rooms, paths, commands, decisions, versions and hooks."""

import re
import shlex
import tomllib
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from search.cli.app import temper
from search.study.loading import load, shipped
from search.study.study import Study
from tests.support.checkout import PACKAGES, ROOT
from tests.support.study_reference import within
from tests.test_structure import FLOORS

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
README = (ROOT / "README.md").read_text()
FOLDERS = "search|analysis|cluster|trainables|tests|docs"
PATH = re.compile(rf"`((?:{FOLDERS})/[\w./]*|[\w.-]+\.(?:md|toml|lock|cff|yaml))`")
OF_RUNS_AND_USERS = {"study.yaml", "odd.yaml", "mine.yaml"}  # files that are named and lie in no checkout
NAME = re.compile(r"`(?:\w+\.)*(?!py`)([A-Za-z_]\w*)`")  # and no file's


def missing(paths: Iterable[str]) -> list[str]:
    return [path for path in sorted(set(paths) - OF_RUNS_AND_USERS) if not (ROOT / path).exists()]


def from_the_top(package: str) -> list[str]:
    return [room for room in reversed(FLOORS[package].split()) if room != "__main__"]


def test_the_picture_of_the_rooms_shows_each_in_its_order() -> None:
    picture = CONTRIBUTING.split("```text\n")[1].split("```")[0]
    parts = re.split(rf"^({'|'.join(PACKAGES)})/.*$", picture, flags=re.MULTILINE)[1:]
    shown = {package: re.findall(r"\w+", rooms) for package, rooms in zip(parts[::2], parts[1::2])}
    assert shown == {package: from_the_top(package) for package in PACKAGES}
    assert list(shown) == list(reversed(PACKAGES))


def test_the_readmes_table_shows_every_room_that_is_a_folder() -> None:
    section = README.split("## Where things live")[1]
    for package in PACKAGES:
        (row,) = [line for line in section.splitlines() if line.startswith(f"| `{package}/`")]
        rooms = [room for room in from_the_top(package) if (ROOT / package / room).is_dir()]
        assert re.findall(r"`(\w+)`", row) == rooms
    assert len(section.strip().splitlines()) <= 13


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "README.md"])
def test_every_path_that_is_named_is_there(name: str) -> None:
    named = set(PATH.findall((ROOT / name).read_text()))
    assert missing(named) == []
    assert len(named) >= {"CONTRIBUTING.md": 40, "README.md": 4}[name]


def test_every_name_stands_in_a_file_that_its_step_names() -> None:
    looked_up = 0
    lists = CONTRIBUTING.split("## How to add something")[1].split("## Tests")[0]
    for step in re.split(r"\n(?=\d\. |\n|- )", lists):
        text = "".join((ROOT / path).read_text() for path in PATH.findall(step) if path.endswith(".py"))
        for name in NAME.findall(step) if text else []:
            assert re.search(rf"\b{name}\b", text), (name, step)
            looked_up += 1
    assert looked_up >= 30


def test_every_command_of_make_is_a_target() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"`make ([\w-]+)`", CONTRIBUTING + README))
    assert named - targets == set()
    told = set(re.findall(r"^\| `make ([\w-]+)` \|", CONTRIBUTING, flags=re.MULTILINE))
    assert told == targets - {"clean"}


def test_hooks_run_what_make_lint_runs_and_fetch_nothing() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in local["hooks"])
    recipe = (ROOT / "Makefile").read_text().split("\nlint: install\n")[1].split("\n\n")[0]
    linted = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]
    assert [hook["entry"] for hook in local["hooks"]] == linted
    assert len(linted) == 3


def test_every_decision_is_listed_and_says_what_it_must() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    index = (ROOT / "docs" / "README.md").read_text()
    titles = {path.name: path.read_text().partition("\n")[0].removeprefix("# ") for path in pages}
    assert {name: title for title, name in re.findall(r"\[(\d+ .*?)\]\(decisions/(.*?)\)", index)} == titles
    for path in pages:
        parts = re.findall(r"^## (.*)$", path.read_text(), flags=re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequences", "What was measured"], path
    assert len(pages) >= 7


def anchors(text: str) -> list[str]:
    """What a link to each heading of a page is called."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return [re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings]


def test_links_between_documents_lead_somewhere() -> None:
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    links = [
        (path, link)
        for path in documents
        for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text())
        if "://" not in link
    ]
    for path, link in links:
        name, _, heading = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), (path, link)
        assert not heading or heading in anchors(target.read_text()), (path, link)
    assert len(links) >= 20


def test_nobody_is_told_to_install_temper_from_an_index_where_it_is_not() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/*.ipynb"), *ROOT.glob("cluster/*.md")]
    messages = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    told = [path for path in pages + messages if re.search(r"pip install.* '?temper-search", path.read_text())]
    assert told == []
    assert len(pages) >= 20


def shown_commands() -> list[tuple[str, str]]:
    """Each line of a block of commands that begins with `temper`, and the document that shows it."""
    documents = [ROOT / "README.md", ROOT / "cluster" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [
        (path.name, line.removeprefix("$ "))
        for path in documents
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```", path.read_text(), flags=re.DOTALL | re.MULTILINE)
        if language in ("", "bash", "sh")
        for line in block.replace("\\\n", " ").splitlines()
        if re.match(r"(\$ )?temper ", line)
    ]


def test_every_command_that_is_shown_is_one_that_the_command_line_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.pt").touch()  # whose bytes a study holds by their hash
    monkeypatch.chdir(tmp_path)
    for name, line in shown_commands():
        verb, *rest = takewhile(lambda word: word not in (">", "|"), shlex.split(line, comments=True)[1:])
        command = temper.commands.get(verb)
        assert command is not None, (name, line)
        given = command.make_context(verb, rest).params  # raises for an option that there is not, or for its value
        if given.get("study") in shipped():
            load(given["study"], given.get("settings") or ())
    assert len(shown_commands()) >= 20
    assert "cluster/README.md".rpartition("/")[2] in {name for name, _ in shown_commands()}


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.name)
def test_modules_that_pages_name_are_there(path: Path) -> None:
    assert missing(PATH.findall(path.read_text())) == []


def test_keys_of_a_study_and_modules_to_run_that_pages_name_are_there() -> None:
    keys = 0
    for path in (ROOT / "README.md", ROOT / "cluster" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = path.read_text()
        for key in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)(?:[:= ][^`]*)?`", text):
            models: list[type[BaseModel]] = [Study]
            for part in key.split(".") if key.partition(".")[0] in Study.model_fields else ():
                fields = [one.model_fields[part] for one in models if part in one.model_fields]
                assert fields, (path, key)
                models = [inner for field in fields for inner in within(field.annotation)]
                keys += 1
        for module in re.findall(r"python -m (tests\.[\w.]+)", text):
            assert find_spec(module) is not None, (path, module)
    assert keys >= 60


INTERNAL = {"TEMPER_GIT_COMMIT", "TEMPER_WORKING_FOLDER", "TEMPER_COMPLETE"}  # which Temper sets for its own processes


def test_every_variable_that_a_user_may_set_is_told_of() -> None:
    read = {
        name
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for name in re.findall(r"TEMPER_[A-Z_]+", path.read_text())
    }
    section = (ROOT / "docs" / "commands.md").read_text().split("## Environment variables")[1].split("\n## ")[0]
    told = set(re.findall(r"`(TEMPER_[A-Z_]+)`", section))
    assert read >= INTERNAL
    assert told == (read - INTERNAL) | {"TEMPER_HEAD_IP"}


def test_the_version_is_one_and_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    released = re.findall(r"^## (\S+) — (\S+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert (cited["version"], str(cited["date-released"])) == released[0]
    assert released[0][0] == version
    numbers = [tuple(map(int, one.split("."))) for one, _ in released]
    assert numbers == sorted(set(numbers), reverse=True)
    assert [date for _, date in released] == sorted((date for _, date in released), reverse=True)
    assert len(released) >= 2
    images = re.findall(r"REGISTRY/temper:(\S+)", (ROOT / "cluster" / "README.md").read_text())
    assert set(images) == {version}
