"""fastText's flags: one dash and a long name, as `-wordNgrams 2`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from rubrica.errors import nearest

if TYPE_CHECKING:
    from rubrica.fasttext.arguments import Argument

PASS_ON = {"ignore_unknown_options": True, "help_option_names": ["--help"]}
"""Click leaves what begins with one dash to us; `-h` would be found in `-thread`."""

_QUANTIZE = {
    "qnorm": (bool, "store the lengths of rows by themselves"),
    "qout": (bool, "quantise the output too"),
    "retrain": (bool, "train the rows that stay on -input again"),
    "cutoff": (int, "rows that stay; 0 keeps all [0]"),
    "dsub": (int, "numbers that become one code [2]"),
}
_SAVE_OUTPUT = {"saveOutput": (bool, "write the output's rows to NAME.output too")}
_OUTPUT = {"output": (str, "NAME of the files to write")}
_OF__QUANTIZE = ("input", "lr", "epoch", "thread", "verbose")


def flags_of(command: str) -> dict[str, tuple[type, str]]:
    """The flags of supervised, skipgram, cbow or quantize: type and help."""
    from rubrica.fasttext.arguments import ARGUMENTS

    supervised = command in ("supervised", "quantize")
    wanted = [each for each in ARGUMENTS if each.flag]
    if command == "quantize":
        wanted = [each for each in wanted if each.name in _OF__QUANTIZE]
    elif not supervised:
        wanted = [each for each in wanted if not each.name.startswith("autotune")]
    found = {each.flag: (each.kind, _help(each, supervised=supervised)) for each in wanted}
    return found | _OUTPUT | (_QUANTIZE if command == "quantize" else _SAVE_OUTPUT)


def _help(argument: "Argument", *, supervised: bool) -> str:
    default = argument.supervised if supervised else argument.default
    return argument.help if default == "" else f"{argument.help} [{default}]"


def read_flags(command: str, words: Sequence[str]) -> dict[str, Any]:
    """The values of flags by their names; `-h` shows the help and ends.

    Raises:
        UsageError: If a flag is unknown, lacks its value, or has one of another type.
    """
    known, found, rest = flags_of(command), dict[str, Any](), list(words)
    while rest:
        word = rest.pop(0)
        name = word.removeprefix("-")
        if name == word:
            raise click.UsageError(f"{word!r} has no dash; expected -FLAG VALUE, see --help")
        if name in ("h", "help"):
            context = click.get_current_context()
            click.echo(context.get_help())
            context.exit()
        if name not in known:
            raise click.UsageError(f"no flag -{name}; {nearest(name, known)}")
        kind = known[name][0]
        if kind is bool:
            found[name] = True
            continue
        if not rest:
            raise click.UsageError(f"-{name} is missing its value")
        value = rest.pop(0)
        try:
            found[name] = kind(value)
        except ValueError:
            raise click.UsageError(f"-{name} is {value!r}, expected {kind.__name__}") from None
    return found


class FlagCommand(click.Command):
    """A command whose help ends with the table of its flags."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table."""
        rows = [(f"-{flag}", help) for flag, (_, help) in flags_of(self.name or "").items()]
        with formatter.section("Flags"):
            formatter.write_dl(rows)
