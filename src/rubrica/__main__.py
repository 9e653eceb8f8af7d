"""`python -m rubrica` is the command `rubrica`."""

from rubrica.cli import main

main()
