"""Rows that cannot be read: an error; or left out and counted; or also written to a file, with place and reason."""

import json
from pathlib import Path
from typing import Any

from rubrica.environment import processes
from rubrica.errors import ConfigError, DataError

WAYS = ("error", "skip", "report")
_SHOWN = 3  # places in a warning


class BadRows:
    """The bad rows of one data set.

    Args:
        way: `error` raises the error of the first; `skip` leaves all out, and a warning counts them and names some;
            `report` does that, and writes each to `NAME.bad-rows.jsonl` in the working folder.

    Raises:
        ConfigError: For another way.
    """

    def __init__(self, way: str) -> None:
        if way not in WAYS:
            raise ConfigError(f"on_bad_row is {way!r:.40}; give one of {', '.join(WAYS)}")
        self.way, self.count, self.first = way, 0, list[str]()
        self.report: Path | None = None

    @property
    def are_errors(self) -> bool:
        """Whether the first one ends the reading."""
        return self.way == "error"

    def add(self, error: DataError, row: Any) -> None:
        """Leave a row out.

        Args:
            error: Its place and what is wrong.
            row: What it holds, for the report.

        Raises:
            DataError: The error, where bad rows are errors.
        """
        if self.are_errors:
            raise error
        self.count += 1
        if len(self.first) < _SHOWN:
            self.first.append(str(error))
        if self.way == "report" and not processes()[0]:  # of a team that trains one model, one process writes
            mode = "a" if self.report else "w"
            self.report = self.report or Path(f"{Path(error.path).name}.bad-rows.jsonl")
            record = {"file": error.path, "line": error.line, "problem": error.problem, "row": row}
            with self.report.open(mode, encoding="utf-8", errors="surrogatepass") as file:
                file.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")

    def tell(self, name: str, left: int) -> None:
        """Say how many were left out, when all is read and `left` rows are not bad.

        Raises:
            DataError: If no row is left.
        """
        report = f"; all of them are in {self.report}" if self.report else ""
        if self.count and not left:
            raise DataError(name, f"no row can be used; the first: {self.first[0]}{report}")
        if self.count:
            more = f"; and {self.count - _SHOWN} more" if self.count > _SHOWN else ""
            count = f"{self.count} bad row{'s are' if self.count > 1 else ' is'} left out"
            import logging  # late: an answer needs none

            log = logging.getLogger(__name__)
            log.warning("%s: %s (%s%s)%s", name, count, "; ".join(self.first), more, report)
