"""accountservice where Go is missing: the same plain handler as accountservice.go."""
import json
import os
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def get(url):
    try:
        with urllib.request.urlopen(url) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        raise OSError(f"{url} answered {error.code} {error.read().decode()}") from error


class Accounts(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one piece

    def do_GET(self):
        number, status = self.path.removeprefix("/accounts/"), 200
        try:
            quote = get(os.environ["QUOTES_URL"] + "/api/quote?id=" + number)
            image = get(os.environ["IMAGES_URL"] + "/" + number)
            body = json.dumps({"id": number, "name": "Person " + number, "servedBy": os.environ["INSTANCE"],
                               "quote": quote["quote"], "quotedBy": quote["servedBy"], "image": image["image"]})
        except OSError as error:
            status, body = 502, str(error)
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if status == 200 else "text/plain")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    host, port = os.environ["LISTEN"].split(":")
    ThreadingHTTPServer((host, int(port)), Accounts).serve_forever()
