"""The tutorial, as it stands there: its commands are run in order, and each does what the page says of it."""

import re
import shlex
from pathlib import Path

import pytest

from search.cli.app import temper as command_line
from tests.support.checkout import ROOT
from tests.support.command import temper, temper_here

PAGE = (ROOT / "docs" / "tutorial.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
HOURS = ("--hours 0.03", "--hours 0.01")  # as the page has it, and as is enough to try it
SAYS = {  # what a command prints, by its first words
    "temper init": r"Next       temper search mine\.yaml",
    "temper validate": r"mine\.yaml: valid \(4 baselines, \d+ proposals\)",
    "temper search mine.yaml --dry-run": r"baseline  pgd_at .*%",
    "temper search mine.yaml --name": r"(?s)base .* pgd_at .*Report   runs/first/report\.html",
    "temper status": r"runs/first: \d+ of \d+ recipes ended .* 0 unfinished",
    "temper resume": r"recipes in \d+ s on (?s:.*)Report   runs/first/report\.html",
    "temper evaluate runs/first:pgd_at": r"robust accuracy 0\.\d+ ± 0\.\d+ \(standard error\)",
    "temper confirm": r"against   pgd_at\n",
    "temper export runs/first --pick knee": r"(?s)recipe:.*schedule:",
    "temper export runs/first --pick max-robust": r"model\.onnx: [\d,]+ bytes, \d+\.\d\d% of 249 validation",
    "temper evaluate model": r"robust accuracy 0\.\d+ ± 0\.\d+ \(standard error\)",
    "temper prune": r"MB freed",
}
# Commands that start no Ray and write no model, which run in the test's own process.
HERE = ("temper validate", "temper search mine.yaml --dry-run", "temper status", "temper evaluate runs", "temper prune")


def test_every_command_is_one_that_is_looked_at() -> None:
    assert [next(one for one in SAYS if line.startswith(one)) for line in COMMANDS] == list(SAYS)
    assert sum(HOURS[0] in line for line in COMMANDS) == 1
    assert {line.split()[1] for line in COMMANDS} <= set(command_line.commands)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(1200)
def test_its_commands_do_what_it_says_in_the_order_of_the_page(tmp_path: Path) -> None:
    (module,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "mine.py").write_text(module)
    for line, said in zip(COMMANDS, SAYS.values(), strict=True):
        run = temper_here if line.startswith(HERE) else temper
        done = run(*shlex.split(line.replace(*HOURS))[1:], cwd=tmp_path)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        assert re.search(said, done.stdout), (line, said, done.stdout)
        assert "Warning" not in done.stderr, (line, done.stderr)
    assert (tmp_path / "runs" / "first" / "report.html").stat().st_size < 6e6
    assert "(0." in (tmp_path / "model" / "README.md").read_text()
