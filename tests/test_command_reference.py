"""The page of commands is what the commands say, with every option of each."""

import click

from search.cli.app import temper
from tests.support.command_reference import PAGE, page


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.support.command_reference"


def test_every_command_and_every_option_is_there() -> None:
    sections = {one.split("\n")[0]: one for one in page().split("\n### temper ")[1:]}
    assert sorted(sections) == sorted(temper.commands)
    for name, command in temper.commands.items():
        options = [spelt for one in command.params if isinstance(one, click.Option) for spelt in one.opts]
        assert all(f"`{spelt}" in sections[name] for spelt in options)
        assert all(line.count(" | ") == 2 for line in sections[name].splitlines() if line.startswith("| `"))
