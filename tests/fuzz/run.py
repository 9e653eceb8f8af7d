"""Fuzz a reader: `python tests/fuzz/run.py csv 600` reads inputs for ten minutes that reach ever more of its code.

atheris (libFuzzer, https://github.com/google/atheris) changes inputs at random and keeps each that runs a branch of
Rubrica that none before it ran. What it keeps lies in `build/fuzz/csv` for the next time; what breaks a promise of
`readers.py` goes to `build/fuzz/csv-findings`, one input for each place, with what it raised. Exit code 1 says that
there is one. Mend the reader, and keep the input in `corpus/csv`, where the usual tests read it.
"""

import logging
import os
import sys
import tempfile
import traceback
from pathlib import Path

import atheris

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "build" / "fuzz"
LIMITS = ["-timeout=5", "-rss_limit_mb=2048", "-max_len=4096", "-print_final_stats=1", "-reload=0"]


def place_of(error):
    """Where an error was raised: two errors of one place are one finding."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "src/rubrica" in frame.filename] or frames
    return f"{type(error).__name__}-{Path(ours[-1].filename).stem}-{ours[-1].lineno}"


def fuzz(name, seconds, folder, findings):
    """Does not return: libFuzzer ends the process."""
    logging.disable()  # a warning for every second input
    sys.path.insert(0, str(HERE.parent))
    with atheris.instrument_imports(include=["rubrica"]):
        from fuzz import readers

        for path in readers.corpus(name):  # what is imported late is watched, too
            readers.READERS[name](path.read_bytes(), folder)

    def one(data):
        try:
            readers.check(name, data, folder)
        except BaseException as error:
            finding = findings / place_of(error)
            if not finding.exists():
                finding.write_bytes(data)
                text = "".join(traceback.format_exception(error))
                finding.with_suffix(".txt").write_text(text)
                sys.stderr.write(f"finding {finding}\n{text}\n")

    grown = OUT / name
    grown.mkdir(parents=True, exist_ok=True)
    limits = [*LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={findings}/"]
    atheris.Setup([sys.argv[0], *limits, str(grown), str(readers.CORPUS / name)], one)
    atheris.Fuzz()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    name, seconds = sys.argv[1], int(sys.argv[2])
    findings = OUT / f"{name}-findings"
    findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if not child:
            fuzz(name, seconds, Path(folder), findings)
        _, status = os.waitpid(child, 0)
    found = sorted(str(path) for path in findings.iterdir() if path.suffix != ".txt")
    sys.stderr.write("\n".join([f"{name}: {len(found)} findings", *found]) + "\n")
    sys.exit(1 if found or status else 0)


if __name__ == "__main__":
    main()
