"""A web server in a thread, whose answers a test writes down one after the other."""

import io
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Web:
    """What the server answers, and what it was asked.

    `answers[path]` is a list of functions of the handler; the last one stays. `asked` lists path and headers.
    """

    def __init__(self, address: str):
        self.address, self.answers, self.asked = address, {}, []
        self.go_on = threading.Event()  # set at the end, so that stalled answers end

    def url(self, path: str, *answers) -> str:
        self.answers[path] = list(answers) or [reply(b"not here", 404)]
        return f"{self.address}{path}"


def zipped(**members):
    """The bytes of a zip: path -> content."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return data.getvalue()


def reply(data=b"", status=200, length=None, close_after=None, **headers):
    """An answer with that body; `length` may lie, `close_after` cuts it off. An underscore in a header is a dash."""

    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if length != "none":
            handler.send_header("Content-Length", str(len(data) if length is None else length))
        handler.end_headers()
        handler.wfile.write(data[:close_after])

    return answer


def ranged(data, etag="", **cut):
    """An answer that keeps to Range and If-Range, as most servers do."""

    def answer(handler):
        headers = {"ETag": etag} if etag else {}
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        if not asked or (condition and condition != etag):
            return reply(data, **headers, **cut)(handler)
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(data):
            return reply(b"", 416, Content_Range=f"bytes */{len(data)}")(handler)
        span = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return reply(data[start:], 206, Content_Range=span, **headers, **cut)(handler)

    return answer


def stalling(web, data, after):
    """Sends `after` bytes of `data` and then nothing."""

    def answer(handler):
        reply(data, close_after=after)(handler)
        handler.wfile.flush()
        web.go_on.wait(20)

    return answer


@contextmanager
def serve():
    """A `Web` on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            web.asked.append((self.path, dict(self.headers)))
            answers = web.answers.get(self.path, [reply(b"not here", 404)])
            (answers.pop(0) if len(answers) > 1 else answers[0])(self)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    web = Web(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
