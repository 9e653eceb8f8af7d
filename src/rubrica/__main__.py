"""`python -m rubrica` is the command `rubrica`."""

from rubrica.cli.main import main

main()
