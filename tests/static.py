"""A static host for the tests of pages."""

from http.server import SimpleHTTPRequestHandler


class Quiet(SimpleHTTPRequestHandler):
    """Gives the files of a folder and says nothing."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}  # Windows may say otherwise

    def log_message(self, *arguments):
        pass
