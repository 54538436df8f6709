"""Lays out the documents for MkDocs, each at its own place: `make site` builds build/site from them.

Documents lie where they belong in the repository and link to each other by their places, as a forge shows them.
The site's folder is the repository without all that no document links to.
"""

import json
import re
import shutil
import sys
from pathlib import Path

from tests.support.checkout import ROOT

PAGES = ROOT / "build" / "pages"  # `docs_dir` of mkdocs.yml
LOOKS = Path(__file__).with_name("site.css")  # `extra_css` of mkdocs.yml
FIRST = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "cluster/README.md"]
LINK = re.compile(r"(?P<text>!?\[[^\]]*\])\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def lay_out(target: Path) -> None:
    """Copy every document, and what they link to, into a folder that is made anew.

    A link to a folder becomes its text, since a site has no listing of folders. A notebook becomes a page of its
    text and its code.

    Raises:
        ValueError: a document links to what is not in the repository.
    """
    shutil.rmtree(target, ignore_errors=True)
    found = sorted(path for end in ("*.md", "*.ipynb") for path in (ROOT / "docs").rglob(end))
    documents = [*FIRST, *(path.relative_to(ROOT).as_posix() for path in found)]
    _put(target / LOOKS.name, LOOKS.read_bytes())
    for name in documents:
        content, linked = _read(name)
        _put((target / name).with_suffix(".md"), content.encode())
        for file in linked - set(documents):
            _put(target / file, (ROOT / file).read_bytes())


def _read(name: str) -> tuple[str, set[str]]:
    """Return a document, and the files of the repository that it links to."""
    linked = set[str]()

    def kept(found: re.Match[str]) -> str:
        if ":" in found["target"]:
            return found[0]
        place = (ROOT / name).parent.joinpath(found["target"]).resolve()
        if not place.exists():
            raise ValueError(f"{name}: links to {found['target']}, which is not there")
        if place.is_dir():
            return found["text"].strip("[]")
        linked.add(place.relative_to(ROOT).as_posix())
        return found[0].replace(".ipynb)", ".md)")

    text = (ROOT / name).read_text()
    return LINK.sub(kept, _as_page(text) if name.endswith(".ipynb") else text), linked


def _as_page(notebook: str) -> str:
    """Return a notebook as Markdown: its texts, and its code in blocks."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(notebook)["cells"]]
    return "\n\n".join(f"```python\n{text}\n```" if kind == "code" else text for kind, text in cells) + "\n"


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]) if len(sys.argv) > 1 else PAGES)
