"""Writes docs/command-line.md, every option of every command: `python -m tests.support.command_reference`."""

import inspect

import click

from search.cli.app import EXAMPLES, SECTIONS, temper
from tests.support.checkout import ROOT

PAGE = ROOT / "docs" / "command-line.md"
HEAD = """# Every command and its options
Written from the commands themselves, which say the same with `--help`; [commands](commands.md) says more about them.
"""


def page() -> str:
    """Return the page: the commands in the order of `temper --help`."""
    parts = [HEAD]
    for heading, commands in SECTIONS.items():
        parts += [f"## {heading}", "", *(_section(command) for command in commands)]
    return "\n".join(parts)


def _section(command: click.Command) -> str:
    name = str(command.name)
    context = click.Context(command, info_name=name, parent=click.Context(temper, info_name="temper"))
    usage = " ".join(["temper", name, *command.collect_usage_pieces(context)])
    rows = [_row(one, context) for one in command.get_params(context) if isinstance(one, click.Option)]
    table = ["| option | meaning | default |", "|---|---|---|", *(row for row in rows if row), ""]
    about = inspect.cleandoc(command.help or "")
    examples = ["```bash", *EXAMPLES[name], "```", ""]
    return "\n".join([f"### temper {name}", "", f"`{usage}`", "", about, "", *(table if any(rows) else []), *examples])


def _row(option: click.Option, context: click.Context) -> str:
    """Return an option's row; empty for `--help`, which every command has."""
    if "--help" in option.opts:
        return ""
    first, *others = _values(option, context)
    named = [f"{one}{first}" for one in (*option.opts, *option.secondary_opts)]
    names = ", ".join(f"`{one}`" for one in (*named, *others))
    meaning, _, told = (option.help or "").partition("  [default: ")
    default = option.to_info_dict()["default"]
    if option.required:
        default = "must be given"
    elif told:
        default = told.removesuffix("]")
    elif (option.is_flag and not option.secondary_opts) or default in (None, (), []):
        default = ""
    elif isinstance(default, list | tuple):
        default = ", ".join(str(one) for one in default)
    return f"| {names} | {meaning} | {default} |"


def _values(option: click.Option, context: click.Context) -> list[str]:
    """Return what follows an option, and the other words that may; the first is empty where nothing does."""
    if option.is_flag:
        return [""]
    if isinstance(option.type, click.Choice):
        first, *others = map(str, option.type.choices)
        return [f" {first}", *others]
    return [f" {option.make_metavar(context).removesuffix(' RANGE')}"]


if __name__ == "__main__":
    PAGE.write_text(page())
