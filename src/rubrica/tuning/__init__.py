"""The search for settings, within a time and a size: `rubrica tune`."""
