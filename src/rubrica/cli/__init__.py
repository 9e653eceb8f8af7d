"""The command `rubrica`."""
