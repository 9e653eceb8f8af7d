"""Draws the rooms of the package and who imports whom, from the imports themselves: `make rooms`.

A row is a room, with its lines of Python. A curve on the right runs from a room up to a room that it imports; its width
grows with the number of import lines. No curve runs down: a room imports only rooms that stand above it in the drawing.
"""

import ast
import re
from collections import Counter
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Curve

PACKAGE = Path(__file__).parents[1] / "src" / "rubrica"
OUT = Path(__file__).parent / "rooms.svg"
INK, COLORS = "#1f2328", ("#1f6feb", "#d1570a", "#2da44e", "#8250df", "#bf3989", "#57606a")


def room_of(path: Path) -> str:
    """The first part of a file's place in the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def read_rooms() -> tuple[dict[str, int], Counter[tuple[str, str]]]:
    """Lines of each room, and how many import lines lead from one room to another."""
    lines: Counter[str] = Counter()
    arrows: Counter[tuple[str, str]] = Counter()
    for path in PACKAGE.rglob("*.py"):
        if path.parent == PACKAGE and path.name.startswith("__"):
            continue
        source, room = path.read_text(encoding="utf-8"), room_of(path)
        lines[room] += source.count("\n")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("rubrica."):
                target = node.module.split(".")[1]
                if target != room:
                    arrows[room, target] += 1
    return dict(lines), arrows


def order(lines: dict[str, int]) -> list[str]:
    """The rooms in the order of the table in architecture.md."""
    table = (Path(__file__).parent / "architecture.md").read_text(encoding="utf-8")
    rooms = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", table, flags=re.MULTILINE)
    if different := set(rooms) ^ set(lines):
        raise SystemExit(f"the table of architecture.md and the folder differ in {sorted(different)}")
    return rooms


def draw(lines: dict[str, int], arrows: Counter[tuple[str, str]], rooms: list[str]) -> Figure:
    """The drawing."""
    figure = Figure(figsize=(8, 0.42 * len(rooms) + 0.4))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, 10)
    axes.set_ylim(len(rooms), -0.6)
    largest = max(lines.values())
    for y, room in enumerate(rooms):
        color = COLORS[y % len(COLORS)]
        axes.barh(y, 2.2 * lines[room] / largest, left=1.75, height=0.62, color=color, alpha=0.25)
        axes.text(1.6, y, room, ha="right", va="center", color=INK, fontsize=10)
        axes.text(1.85, y, f"{lines[room]:,}", va="center", color=INK, fontsize=8)
        for (source, target), count in arrows.items():
            if source == room:
                top, reach = rooms.index(target), 4.2 + 0.27 * (y - rooms.index(target))
                points = [(4.1, y), (reach, y), (reach, top), (4.1, top)]
                curve = Curve(points, [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4])
                width = 0.4 + 0.25 * min(count, 10)
                axes.add_patch(PathPatch(curve, facecolor="none", edgecolor=color, linewidth=width, alpha=0.55))
    return figure


def main() -> None:
    """Write the drawing."""
    lines, arrows = read_rooms()
    with matplotlib.rc_context({"svg.hashsalt": "rooms", "svg.fonttype": "none"}):
        draw(lines, arrows, order(lines)).savefig(OUT, metadata={"Date": None})
    print(f"wrote {OUT.name}: {len(lines)} rooms, {sum(lines.values()):,} lines, {len(arrows)} arrows")


if __name__ == "__main__":
    main()
