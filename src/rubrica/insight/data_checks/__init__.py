"""The doctor's checks of data: each file holds checks of one theme, each check yields findings."""
