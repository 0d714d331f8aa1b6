"""A strict reader of HTTP/1 messages (RFC 9112). What it returns was complete on the wire; everything else raises.

A proxy test stands or falls with this: a client library forgives a missing last chunk or a short body, and so
hides exactly the faults that these tests look for."""
import re

START_RESPONSE = re.compile(rb"^HTTP/1\.([01]) ([0-9]{3}) ?(.*)$")
START_REQUEST = re.compile(rb"^([!-~]+) ([!-~]+) HTTP/1\.([01])$")
FIELD = re.compile(rb"^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$", re.S)


class Broken(AssertionError):
    """What came is not a well-formed message."""


class Message:
    """A head and, once read, its body. Field names compare without case; values are text (latin-1)."""

    def __init__(self, raw):
        self.raw = raw
        lines = raw[:-4].split(b"\r\n")
        self.start = lines[0]
        self.fields = []
        for line in lines[1:]:
            found = FIELD.match(line)
            if not found or b"\r" in line or b"\n" in line or b"\0" in line:
                raise Broken("malformed field line %r" % line)
            self.fields.append((found.group(1).decode("latin-1"), found.group(2).decode("latin-1")))
        self.body = b""
        self.trailers = []
        self.framing = None  # none, length, chunked, close
        self._start_line()

    def _start_line(self):
        self.status = None
        self.method = self.target = None
        reply = START_RESPONSE.match(self.start)
        if reply:
            self.minor, self.status = int(reply.group(1)), int(reply.group(2))
            self.phrase = reply.group(3).decode("latin-1")
            return
        request = START_REQUEST.match(self.start)
        if not request:
            raise Broken("malformed start line %r" % self.start)
        self.method, self.target = request.group(1).decode(), request.group(2).decode()
        self.minor = int(request.group(3))

    def all(self, name):
        """Values of every field of that name, in order."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        """The value of the one field of that name; None when absent; two of them are an error."""
        values = self.all(name)
        if len(values) > 1:
            raise Broken("field %s stands %d times: %r" % (name, len(values), values))
        return values[0] if values else None

    def names(self):
        return [key.lower() for key, _ in self.fields]

    def tokens(self, name):
        """The lower-case members of a comma list such as Connection."""
        return [part.strip().lower() for value in self.all(name) for part in value.split(",") if part.strip()]

    def find_framing(self, request_method="GET"):
        """RFC 9112 section 6.3; ambiguity raises. Returns (kind, length)."""
        lengths, codings = self.all("content-length"), self.tokens("transfer-encoding")
        if codings and lengths:
            raise Broken("Content-Length beside Transfer-Encoding")
        if len(lengths) > 1:
            raise Broken("Content-Length stands twice: %r" % lengths)
        if codings and codings != ["chunked"]:
            raise Broken("Transfer-Encoding %r" % codings)
        if lengths and not re.match(r"^[0-9]+$", lengths[0]):
            raise Broken("Content-Length %r" % lengths[0])
        if self.status is not None:
            if request_method == "HEAD" or self.status < 200 or self.status in (204, 304):
                return "none", 0
            if request_method == "CONNECT" and self.status < 300:
                return "none", 0
        if codings:
            return "chunked", 0
        if lengths:
            return "length", int(lengths[0])
        return ("none", 0) if self.status is None else ("close", 0)


def build(start, fields=(), body=b""):
    """Bytes of a message: start line, fields as "Name: value" texts, body as it is."""
    head = [start] + list(fields)
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def request(method="GET", path="/", host="handler", fields=(), body=None, version="HTTP/1.1"):
    """Bytes of a request; a body gets its Content-Length."""
    lines = ["Host: " + host] if host is not None else []
    lines += list(fields)
    if body is not None:
        lines.append("Content-Length: %d" % len(body))
    return build("%s %s %s" % (method, path, version), lines, body or b"")


def response(status=200, body=b"", fields=(), phrase="OK", version="HTTP/1.1"):
    """Bytes of a reply with Content-Length."""
    return build("%s %d %s" % (version, status, phrase),
                 list(fields) + ["Content-Length: %d" % len(body)], body)


def chunk(data, ext=""):
    """One chunk; b"" is the last one, without the empty line that ends the trailer section."""
    if not data:
        return b"0" + ext.encode() + b"\r\n"
    return b"%x" % len(data) + ext.encode() + b"\r\n" + data + b"\r\n"


def chunked(*pieces, trailers=()):
    """A whole chunked body."""
    tail = b"".join(line.encode() + b"\r\n" for line in trailers)
    return b"".join(chunk(piece) for piece in pieces) + chunk(b"") + tail + b"\r\n"
