"""What `rubrica doctor` found, for a person."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from rubrica.insight.findings import SEVERITIES, Finding

_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}
_SHOWN = 5  # texts of a finding; --json has all
_INDENT = (0, 0, 0, 4)


def print_findings(target: str, findings: Sequence[Finding]) -> None:
    """Each finding with its evidence and its remedy, and how many there are."""
    console = Console(highlight=False)
    for found in findings:
        console.print(Text.assemble((f"{found.severity}: ", _STYLES[found.severity]), (found.title, "bold")))
        for line in _lines(found):
            console.print(Padding(line, _INDENT))
        console.print()
    console.print(Text(f"{target}: {_count(findings)}", "bold"))


def _lines(found: Finding) -> list[Text]:
    """What stands below the title of a finding."""
    lines = [Text(found.why)]
    for row in found.rows[:_SHOWN]:
        note = f" ({row.note})" if row.note else ""
        lines.append(Text.assemble((f"{row.split} {row.row}{note}: ", "dim"), row.text))
    if found.cost is not None:
        points, spread, trial = found.cost
        lines.append(Text(f"cost: {points:+.2f} points, ± {spread:.2f} ({trial})"))
    lines.append(Text.assemble(("remedy: ", "bold"), found.remedy))
    lines.append(Text(f"kind: {found.kind}", "dim"))
    return lines


def _count(findings: Sequence[Finding]) -> str:
    """How many findings there are of each severity, in words."""
    if not findings:
        return "nothing found"
    counts = {severity: sum(found.severity == severity for found in findings) for severity in reversed(SEVERITIES)}
    return ", ".join(f"{count} {name}{'s' if count > 1 else ''}" for name, count in counts.items() if count)
