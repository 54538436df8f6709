"""The documents make a site: every page is in its menu, and every link leads somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import site_pages
from tests.support.checkout import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built by MkDocs with every warning an error."""
    place = tmp_path_factory.mktemp("site")
    site_pages.lay_out(place / "pages")
    settings = (ROOT / "mkdocs.yml").read_text().replace("docs_dir: build/pages", f"docs_dir: {place}/pages")
    (place / "mkdocs.yml").write_text(settings)
    command = ["build", "--strict", "--config-file", str(place / "mkdocs.yml"), "--site-dir", str(place / "built")]
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", *command],
        capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "built"


def test_every_document_is_a_page(site: Path) -> None:
    documents = [path.relative_to(ROOT) for end in ("*.md", "*.ipynb") for path in (ROOT / "docs").rglob(end)]
    pages = [site / path.parent / ("index" if path.stem == "README" else path.stem) for path in documents]
    assert len(pages) > 25
    assert [str(page) for page in pages if not page.with_suffix(".html").exists()] == []
    assert "Finds compressed neural networks" in (site / "index.html").read_text()


def test_every_table_is_one_and_no_code_has_a_stray_backslash(site: Path) -> None:
    pages = [page.read_text() for page in site.rglob("*.html")]
    assert [page[:500] for page in pages if re.search(r"\| ?-+ ?\||<code>[^<]*\\\|", page)] == []
    assert sum(page.count("<table>") for page in pages) >= 100


def test_every_picture_is_there_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pictures = 0
    for page in site.rglob("*.html"):
        for source in re.findall(r'<(?:img|script)[^>]* src="?([^"> ]+)', page.read_text()):
            assert (page.parent / source).exists() or source.startswith("/"), (page, source)
            pictures += source.endswith(".png")
    assert pictures >= 6


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*site_pages.FIRST, "docs/page.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("nothing")
    monkeypatch.setattr(site_pages, "ROOT", tmp_path)
    (tmp_path / "docs" / "page.md").write_text("[up](../README.md#top) [room](../cluster) ![gone](gone.png)")
    with pytest.raises(ValueError, match=r"docs/page\.md: links to gone\.png"):
        site_pages.lay_out(tmp_path / "pages")
    (tmp_path / "docs" / "gone.png").write_bytes(b"png")
    site_pages.lay_out(tmp_path / "pages")
    assert (tmp_path / "pages/docs/gone.png").read_bytes() == b"png"
    assert (tmp_path / "pages/docs/page.md").read_text() == "[up](../README.md#top) room ![gone](gone.png)"
