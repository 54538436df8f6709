"""Opens reports in a real Chromium, and holds that nothing goes wrong in them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
NOISE = "GPU stall due to ReadPixels"  # what drawing without a graphics card is warned of

# Where a point of the frontier lies in the window; the edges of what a selector finds: left, right, top, bottom.
WHERE = """([x, y]) => {
  const chart = document.getElementById("frontier"), box = chart.getBoundingClientRect();
  const { xaxis, yaxis } = chart._fullLayout;
  return [box.left + xaxis._offset + xaxis.d2p(x), box.top + yaxis._offset + yaxis.d2p(y)];
}"""
BOXES = """(selector) => [...document.querySelectorAll(selector)].map((mark) => {
  const box = mark.getBoundingClientRect();
  return [box.left, box.right, box.top, box.bottom];
})"""


def opened(
    browser: Browser, report: Path, width: int = 1280, dark: bool = False, drawn: str = "#frontier .annotation-text"
) -> Iterator[Page]:
    """The page, once what is drawn last is there; no error may be in the console when it is closed."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", offline=True
    )
    page, errors = context.new_page(), list[str]()
    page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(report.as_uri())
    page.wait_for_selector(drawn)
    yield page
    context.close()
    assert [line for line in errors if NOISE not in line] == []
