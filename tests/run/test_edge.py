"""Routing at the edge: prefixes, hosts, strip and rewrite, and one normalised path."""
from harness.case import rows
from harness.message import request


def _edge(t, routes, env=None):
    """One origin per upstream that the routes name."""
    names = sorted({keys["upstream"] for keys in routes.values()})
    origins = {name: t.origin(name) for name in names}
    agent = t.edge(routes, {name: [o] for name, o in origins.items()}, env)
    return t.client(agent.edge), origins


ACCOUNTS = {"accounts": {"prefix": "/accounts", "upstream": "account"}}


@rows({"itself": ("/accounts",), "below": ("/accounts/7",), "query": ("/accounts?x=/y",), "slash": ("/accounts/",)})
def test_prefix_matches(t, path):
    """A prefix matches itself and what lies below it; the path is forwarded as it is."""
    c, o = _edge(t, ACCOUNTS)
    seen, _, _ = t.exchange(c, o["account"], request("GET", path, "shop"))
    assert seen.target == path and seen.get("host") == "shop"


@rows({"longer-segment": ("/accountsx",), "other": ("/",), "case": ("/Accounts",), "inner": ("/x/accounts",)})
def test_prefix_does_not_match(t, path):
    """Only whole segments match; nothing matching is 404 no-route."""
    c, o = _edge(t, ACCOUNTS)
    c.send(request("GET", path, "shop"))
    t.own_answer(c.read_response(), "no-route")
    assert o["account"].untouched()


def test_longest_prefix_wins(t):
    """Of several prefixes the longest takes the request, in whatever order they are written."""
    c, o = _edge(t, {"a": {"prefix": "/", "upstream": "root"}, "z": {"prefix": "/a/b", "upstream": "deep"},
                     "m": {"prefix": "/a", "upstream": "middle"}})
    for path, name in (("/a/b/c", "deep"), ("/a/bc", "middle"), ("/b", "root"), ("/a", "middle"), ("/a/b", "deep")):
        wire = o[name].wire if hasattr(o[name], "wire") else None
        _, _, o[name].wire = t.exchange(c, wire or o[name], request("GET", path, "shop"))


@rows({"below": ("/accounts/7", "/7"), "itself": ("/accounts", "/"), "slash": ("/accounts/", "/"),
       "query": ("/accounts?a=b", "/?a=b"), "deep-query": ("/accounts/7/x?a=/accounts", "/7/x?a=/accounts")})
def test_strip(t, path, seen_path):
    """strip removes the prefix; what is left always begins with a slash."""
    c, o = _edge(t, {"accounts": {"prefix": "/accounts", "upstream": "account", "strip": "on"}})
    seen, _, _ = t.exchange(c, o["account"], request("GET", path, "shop"))
    assert seen.target == seen_path


@rows({"below": ("/old/7", "/new/api/7"), "itself": ("/old", "/new/api"), "query": ("/old?a", "/new/api?a"),
       "slash": ("/old/", "/new/api/")})
def test_rewrite(t, path, seen_path):
    """rewrite puts another prefix in its place."""
    c, o = _edge(t, {"accounts": {"prefix": "/old", "upstream": "account", "rewrite": "/new/api"}})
    seen, _, _ = t.exchange(c, o["account"], request("GET", path, "shop"))
    assert seen.target == seen_path


def test_host_routes(t):
    """Routes may be for a host, exact or *.suffix; a host route goes before one for any host."""
    c, o = _edge(t, {"one": {"prefix": "/", "host": "one.example", "upstream": "one"},
                     "sub": {"prefix": "/", "host": "*.sub.example", "upstream": "sub"},
                     "any": {"prefix": "/", "upstream": "any"}})
    for host, name in (("one.example", "one"), ("ONE.example:8080", "one"), ("a.sub.example", "sub"),
                       ("b.a.sub.example", "sub"), ("sub.example", "any"), ("xone.example", "any"),
                       ("notsub.example", "any")):
        wire = getattr(o[name], "wire", None)
        _, _, o[name].wire = t.exchange(c, wire or o[name], request("GET", "/x", host))


def test_host_routes_without_a_match(t):
    """Without a route for any host another host is 404."""
    c, _ = _edge(t, {"one": {"prefix": "/", "host": "one.example", "upstream": "one"}})
    c.send(request("GET", "/", "two.example"))
    t.own_answer(c.read_response(), "no-route")


def test_absolute_form_at_the_edge(t):
    """Absolute form is routed by its authority and path, and forwarded as origin form."""
    c, o = _edge(t, {"one": {"prefix": "/a", "host": "one.example", "upstream": "one"}})
    seen, _, _ = t.exchange(c, o["one"], request("GET", "http://one.example/a/b", "one.example"))
    assert seen.target == "/a/b"


@rows({"dots": ("/x/../accounts/7", "/accounts/7"), "dot": ("/./accounts/./7", "/accounts/7"),
       "encoded-letter": ("/%61ccounts/7", "/accounts/7"), "encoded-dot": ("/x/%2e%2e/accounts/7", "/accounts/7"),
       "encoded-dot-upper": ("/x/%2E%2e/accounts", "/accounts"), "hex-case": ("/accounts/%3a", "/accounts/%3A"),
       "dots-at-end": ("/accounts/x/..", "/accounts/"),
       "query-untouched": ("/accounts?a=%2e%2e/../b", "/accounts?a=%2e%2e/../b")})
def test_path_is_normalised(t, path, seen_path):
    """Routes judge one normalised path, and that same path is forwarded."""
    c, o = _edge(t, ACCOUNTS)
    seen, _, _ = t.exchange(c, o["account"], request("GET", path, "shop"))
    assert seen.target == seen_path


BAD_PATHS = {"above-root": "/../x", "encoded-above-root": "/%2e%2e/x", "encoded-slash": "/accounts/..%2fadmin",
             "encoded-slash-upper": "/accounts/%2Fadmin", "encoded-backslash": "/accounts/..%5cadmin",
             "backslash": "/accounts\\..\\admin", "encoded-nul": "/accounts/%00", "bad-code": "/accounts/%zz",
             "half-code": "/accounts/%2", "double-dots-deep": "/accounts/../../x"}


@rows({name: (path,) for name, path in BAD_PATHS.items()})
def test_path_that_cannot_be_normalised(t, path):
    """A path that climbs above the root or hides a slash, backslash, NUL or a bad code is 400; nothing is called."""
    c, o = _edge(t, {"all": {"prefix": "/", "upstream": "account"}})
    c.send(request("GET", path, "shop"))
    reply = c.read_response()
    assert reply.status == 400 and reply.get("x-outrider-reason") in ("bad-path", "bad-target"), reply.fields
    assert o["account"].untouched()


def test_climbing_out_of_a_prefix(t):
    """/public/../admin is judged as /admin: a route to /public does not carry it."""
    c, o = _edge(t, {"public": {"prefix": "/public", "upstream": "web"}})
    for path in ("/public/../admin", "/public/%2e%2e/admin", "/public/x/../../admin"):
        c.send(request("GET", path, "shop"))
        t.own_answer(c.read_response(), "no-route")
    assert o["web"].untouched()


def test_double_encoding_is_not_decoded_twice(t):
    """%252e is left as it is."""
    c, o = _edge(t, ACCOUNTS)
    seen, _, _ = t.exchange(c, o["account"], request("GET", "/accounts/%252e%252e/x", "shop"))
    assert seen.target == "/accounts/%252e%252e/x"


def test_connect_is_refused_at_the_edge(t):
    """The edge is no proxy."""
    c, _ = _edge(t, ACCOUNTS)
    c.send(b"CONNECT account:80 HTTP/1.1\r\nHost: account:80\r\n\r\n")
    t.own_answer(c.read_response(), "upgrade-refused")


def test_two_routes_to_one_upstream(t):
    """Two routes may share an upstream and its pool."""
    c, o = _edge(t, {"a": {"prefix": "/a", "upstream": "web"}, "b": {"prefix": "/b", "upstream": "web"}})
    _, _, wire = t.exchange(c, o["web"], request("GET", "/a", "shop"))
    t.exchange(c, wire, request("GET", "/b", "shop"))


def test_edge_websocket(t):
    """Upgrades pass the edge."""
    c, o = _edge(t, {"ws": {"prefix": "/ws", "upstream": "web"}})
    c.send(request("GET", "/ws", "shop", ["Connection: Upgrade", "Upgrade: websocket"]))
    wire = o["web"].accept()
    wire.read_head()
    wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert c.read_head().status == 101
    c.send(b"frame")
    wire.expect(b"frame")
