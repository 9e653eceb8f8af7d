"""`rubrica serve`: models that answer over HTTP, without torch."""
