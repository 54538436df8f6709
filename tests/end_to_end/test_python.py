"""The notebook, which has README's example of Python in it, on a small study: search, figure, network, more trials."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.checkout import ROOT
from tests.support.command import SMALL

SETTINGS = {key: yaml.safe_load(value) for key, _, value in (one.partition("=") for one in SMALL)}
CHANGED = {
    '{"budget.trials": 12}': repr(SETTINGS),
    "search.run_study(study)": 'search.run_study(study, name="run")',
    ".figure().show()": ".figure().to_json()",
    "trainables.evaluate_model(": "found = trainables.evaluate_model(",
    "search.resume_run(": "longer = search.resume_run(",
    '{"trials": 20}': '{"trials": 1}',
}
AFTER = """
again = analysis.load_run("runs/run")
print("RUN", run)
print("PICKED", float((picked.model()(images).argmax(1) == labels).double().mean()) == picked.metrics["clean_accuracy"])
print("FOUND", found)
print("LONGER", longer, len(longer.trials) - len(run.trials), len(again.trials) == len(longer.trials))
"""


NOTEBOOK = ROOT / "docs" / "first-search.ipynb"


def readme() -> str:
    (code,) = re.findall(
        r"```python\n(.*?)```",
        (ROOT / "README.md").read_text().split("## From Python\n")[1].split("\n## ")[0],
        re.DOTALL,
    )
    return str(code)


def notebook() -> str:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def statements(code: str) -> list[str]:
    """Each statement without its comments, imports one by one."""
    parts = [part for one in ast.parse(code).body for part in (one.names if isinstance(one, ast.Import) else [one])]
    return [ast.unparse(part) for part in parts]


def test_the_notebook_has_no_output_and_the_statements_of_the_example_in_their_order() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code")
    shown = iter(statements(notebook()))
    assert [one for one in statements(readme()) if one not in shown] == []  # `in` goes on from the last one found


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    code = notebook()
    for there, here in CHANGED.items():
        assert code.count(there) == 1, there
        code = code.replace(there, here)
    (tmp_path / "example.py").write_text(code + AFTER)
    done = subprocess.run(
        [sys.executable, "example.py"], capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if re.match(r"[A-Z]{3,} ", line))
    assert re.fullmatch(r"runs/run: 9 of 9 recipes have ended, [1-9] on the frontier", said["RUN"])
    assert said["PICKED"] == "True"
    assert re.match(r"L∞ ε 0\.02, standard attack, 100 images: robust accuracy 0\.\d+, clean 0\.", said["FOUND"])
    assert re.fullmatch(r"runs/run: 10 of 10 .* on the frontier 1 True", said["LONGER"])
