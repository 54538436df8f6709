"""Reads back what a report.html holds for its scripts to draw."""

import json
from typing import Any


def page_numbers(page: str) -> dict[str, Any]:
    """The data of a page, as `analysis.report.page_data.page_data` made it."""
    begun = page.index('id="data">') + len('id="data">')
    found = dict(json.loads(page[begun : page.index("</script>", begun)]))
    values = found["values"]  # a column of one value is of all recipes
    return found | {"values": {key: one * len(values["id"]) if len(one) == 1 else one for key, one in values.items()}}


def page_rows(page: str) -> dict[str, dict[str, Any]]:
    """The recipes of a page by their ids, each with all of its numbers."""
    values = page_numbers(page)["values"]
    return {one: {key: values[key][place] for key in values} for place, one in enumerate(values["id"])}
