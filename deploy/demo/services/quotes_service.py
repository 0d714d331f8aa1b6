"""quotes-service where a JDK is missing: the same plain handler as QuotesService.java."""
import contextlib
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

QUOTES = ["To be or not to be", "You, too, Brutus?", "Champagne should be cold, dry and free",
          "I think, therefore I am", "In vino veritas", "Less is more"]

SLOW = 0.15


class Quotes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one piece

    def do_GET(self):
        ill = ""
        with contextlib.suppress(OSError), open(os.environ.get("SICK", ""), encoding="ascii") as file:
            ill = file.read()  # the demo's act of chaos: it does badly while that file is there
        time.sleep(SLOW if ill == "slow" else 0)
        if ill == "fail":
            return self.send_error(503)
        number = int(parse_qs(urlsplit(self.path).query)["id"][0])
        body = json.dumps({"quote": QUOTES[number % len(QUOTES)], "language": "en",
                           "servedBy": os.environ["INSTANCE"]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    host, port = os.environ["LISTEN"].split(":")
    ThreadingHTTPServer((host, int(port)), Quotes).serve_forever()
