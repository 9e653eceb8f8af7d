"""Templates of pages: whatever is put into one is escaped, since texts and labels come from strangers."""

import math
from pathlib import Path
from typing import Any

from rubrica.errors import require

FOLDER = Path(__file__).parent / "templates"


def open_template(path: Path) -> Any:
    """A template of Jinja2, which may include the files of `FOLDER`.

    Raises:
        MissingExtraError: If Jinja2 is not installed.
    """
    jinja2 = require("jinja2", "report")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([path.parent, FOLDER]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": "{:.1%}".format, "decimals": decimals, "thousands": "{:,}".format}
    return environment.get_template(path.name)


def decimals(number: float | None, digits: int = 3) -> str:
    """A number for people; a dash where there is none."""
    if number is None:
        return "–"
    return f"{number:,.{digits}f}" if math.isfinite(number) else "not finite"
