"""imageservice: a plain HTTP handler. It knows where to listen, and nothing of agents."""
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SVG = ('<svg xmlns="http://www.w3.org/2000/svg" width="96" height="96"><rect width="96" height="96" rx="12" fill="%s"/>'
       '<text x="48" y="56" font-size="24" text-anchor="middle" fill="white">%s</text></svg>')


class Images(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one piece

    def do_GET(self):
        name = self.path.strip("/")
        number = name.removesuffix(".svg")
        if not number.isdigit():
            return self.send_error(404)
        if name.endswith(".svg"):
            colour = "#%06x" % (int(number) * 2654435761 % 0x808080)
            kind, body = "image/svg+xml", SVG % (colour, number)
        else:
            kind = "application/json"
            body = json.dumps({"image": f"/images/{number}.svg", "servedBy": os.environ["INSTANCE"]})
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    host, port = os.environ["LISTEN"].split(":")
    ThreadingHTTPServer((host, int(port)), Images).serve_forever()
