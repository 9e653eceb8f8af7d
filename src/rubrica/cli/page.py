"""What `rubrica serve` and `rubrica export --web` ask alike: the models by name, and what the page shows."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import click

_MOST = 12  # examples: more are no offer


def page_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of a command that writes or serves the page."""
    examples = click.option("--examples", metavar="FILE", help=f"Texts to try on the page; the first {_MOST} of FILE.")
    report = click.option(
        "--report", type=click.Path(path_type=Path), metavar="FILE.html",
        help="A page of `rubrica evaluate --report`, which this page links.",
    )  # fmt: skip
    return examples(report(command))


def read_examples(file: str | None) -> tuple[str, ...]:
    """The first texts of a file."""
    from rubrica.cli.data import texts_in

    return tuple(islice(filter(str.strip, texts_in(file)), _MOST)) if file else ()


def named_paths(arguments: tuple[str, ...]) -> dict[str, Path]:
    """The name and the path of each MODEL or NAME=PATH."""
    found: dict[str, Path] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals or Path(argument).exists():
            name, path = Path(argument).resolve().name, argument
        if not name or "/" in name:
            raise click.UsageError(f"{argument} has no name for the model; give NAME=PATH")
        if name in found:
            raise click.UsageError(f"two models are called {name}; give NAME=PATH")
        found[name] = Path(path)
    return found
