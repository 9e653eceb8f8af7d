"""A server on this machine, in place of one that is far away."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def stand_in(page_at):
    """Its address. `page_at(path)` gives the bytes of a page and the length that is promised; None is a 404.

    A number is the status of an error.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = page_at(self.path)
            if found is None or isinstance(found, int):
                self.send_error(found or 404)
                return
            page, promised = found
            self.send_response(200)
            self.send_header("Content-Length", str(promised))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(page)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
