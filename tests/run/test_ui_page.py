"""The operator's page: who gets it at /, its files, and what stands around them."""
import gzip
import http.client
import re

from harness.case import rows

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Encoding": "gzip, deflate, br"}
WIRE_MAX = 150 * 1000


def page(agent, path="/", headers=None, method="GET"):
    return agent.admin_call(method, path, {**BROWSER, **(headers or {})})


def files(agent):
    """The relative URLs that the page loads."""
    html = gzip.decompress(page(agent)[2]).decode()
    return re.findall(r'(?:src|href)="(ui/[^"]+)"', html)


def test_a_browser_gets_the_page(t):
    """/ is the page for who takes text/html, compressed, with an ETag and no-cache; scripts get the list as before."""
    agent = t.sidecar()
    status, fields, body = page(agent)
    assert status == 200 and fields["content-type"] == "text/html; charset=utf-8" and fields["content-encoding"] == "gzip", fields
    assert gzip.decompress(body).lstrip().lower().startswith(b"<!doctype html>")
    assert fields["cache-control"] == "no-cache" and fields["etag"].startswith('"'), fields
    assert agent.get("/")["agent"] == "outrider"


@rows({"curl": ({"Accept": "*/*"},), "json": ({"Accept": "application/json"},), "none": ({},),
       "refused": ({"Accept": "application/json, text/html;q=0"},)})
def test_scripts_get_the_list(t, headers):
    """Whoever does not name text/html gets JSON at /."""
    status, fields, _ = t.sidecar().admin_call("GET", "/", headers)
    assert status == 200 and fields["content-type"] == "application/json", fields


def test_format_text_is_not_the_page(t):
    """?format=text is readable text also for a browser."""
    status, fields, body = page(t.sidecar(), "/?format=text")
    assert status == 200 and fields["content-type"].startswith("text/plain") and b"pages" in body


def test_every_file_of_the_page_is_served(t):
    """All that the page loads is there, by relative URLs, typed, and below 150 kB on the wire together."""
    agent = t.sidecar()
    total = len(page(agent)[2])
    assert files(agent)
    for name in files(agent):
        status, fields, body = page(agent, "/" + name)
        assert status == 200 and fields["content-encoding"] == "gzip", (name, status, fields)
        kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
        assert fields["content-type"].startswith(kinds.get(name.rsplit(".", 1)[1], "")), (name, fields)
        gzip.decompress(body)
        total += len(body)
    assert total <= WIRE_MAX, total


def test_page_and_files_are_guarded_by_headers(t):
    """Content-Security-Policy lets own scripts run and nothing else; no framing, no sniffing, no referrer."""
    agent = t.sidecar()
    for path in ["/"] + ["/" + name for name in files(agent)]:
        fields = page(agent, path)[1]
        policy = fields["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "frame-ancestors 'none'" in policy, policy
        assert "unsafe" not in policy and "*" not in policy, policy
        assert fields["x-content-type-options"] == "nosniff" and fields["referrer-policy"] == "no-referrer", fields


def test_page_has_nothing_inline(t):
    """No script, style or handler stands in the page itself, and nothing comes from elsewhere."""
    html = gzip.decompress(page(t.sidecar())[2]).decode()
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:", html, re.I), html
    assert not re.search(r'(?:src|href)="(?:https?:|//|/)', html), "a URL that is not relative"


def test_no_change_is_304(t):
    """If-None-Match with the ETag that was given is 304 without a body; with another one it is 200."""
    agent = t.sidecar()
    etag = page(agent)[1]["etag"]
    status, fields, body = page(agent, headers={"If-None-Match": '"other", W/' + etag})
    assert status == 304 and body == b"" and fields["etag"] == etag, (status, fields)
    assert page(agent, headers={"If-None-Match": '"other"'})[0] == 200


def test_head_has_no_body(t):
    """HEAD says what GET would."""
    agent = t.sidecar()
    status, fields, body = page(agent, method="HEAD")
    assert status == 200 and body == b"" and int(fields["content-length"]) == len(page(agent)[2])


@rows({"none": ({},), "refused": ({"Accept-Encoding": "gzip;q=0, br"},), "other": ({"Accept-Encoding": "br"},)})
def test_without_gzip_it_comes_plain(t, headers):
    """A client that takes no gzip gets the same bytes plain, under another ETag."""
    agent = t.sidecar()
    status, fields, body = agent.admin_call("GET", "/", {"Accept": "text/html", **headers})
    assert status == 200 and "content-encoding" not in fields, fields
    packed = page(agent)
    assert body == gzip.decompress(packed[2]) and fields["etag"] != packed[1]["etag"]


def test_unknown_file(t):
    """A file that the page does not have is 404, whatever its path looks like."""
    agent = t.sidecar()
    for path in ("/ui/", "/ui/nothing.js", "/ui/../admin", "/ui/%2e%2e/page.c", "/ui/package.json"):
        assert page(agent, path)[0] == 404, path


def test_foreign_hosts_and_origins_get_nothing(t):
    """The page and its files are refused where the other pages are."""
    agent = t.sidecar()
    for path in ["/"] + ["/" + name for name in files(agent)]:
        status, _, body = agent.admin_call("GET", path, BROWSER, host="evil.example")
        assert status == 403 and b"host-foreign" in body, (path, status)
        assert page(agent, path, {"Origin": "http://evil.example"})[0] == 403, path


def test_methods(t):
    """The page is read only."""
    agent = t.sidecar()
    status, fields, _ = page(agent, method="POST", headers={"X-Outrider": "1", "Content-Length": "0"})
    assert status == 405 and "GET" in fields["allow"], (status, fields)


def test_keeps_the_connection(t):
    """Page and files come over one connection."""
    agent = t.sidecar()
    conn = http.client.HTTPConnection(*agent.admin, timeout=5)
    for path in ["/"] + ["/" + name for name in files(agent)]:
        conn.request("GET", path, headers=BROWSER)
        reply = conn.getresponse()
        assert reply.status == 200 and reply.read()
        assert conn.sock is not None, "closed after " + path
    conn.close()


# --- through an edge, as deploy/ui.yml has it ----------------------------------------------------------------------------------


def through_edge(t, hosts="ops.example.org", **route):
    """An agent, and an edge in front of its admin port: (agent, call of the edge with that Host)."""
    agent = t.sidecar(t.service(200), env={"OUTRIDER_ADMIN_HOSTS": hosts})
    edge = t.edge({"ui": dict({"prefix": "/", "upstream": "outrider_agent"}, **route)},
                  {"outrider_agent": ["%s:%d" % agent.admin]}, env={"OUTRIDER_UPSTREAM_OUTRIDER_AGENT_BALANCE_COOKIE": "outrider-ui"})

    def call(path, host="ops.example.org:4180", method="GET", headers=None):
        conn = http.client.HTTPConnection(*edge.edge, timeout=10)
        conn.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for key, value in {"Host": host, **(headers or {})}.items():
            conn.putheader(key, value)
        conn.endheaders()
        return conn.getresponse()
    return agent, call


@rows({"name": ("ops.example.org",), "port": ("ops.example.org:4180",), "address": ("10.1.2.3:4180",)})
def test_the_page_through_an_edge(t, host):
    """Under a name of outrider.admin.hosts the page, its files and its data come through an edge; a browser's own Origin is that name."""
    _, call = through_edge(t, "ops.example.org,10.1.2.3")
    assert call("/", host, headers=BROWSER).getheader("content-type").startswith("text/html")
    assert call("/ui/uplot.js", host, headers=BROWSER).status == 200
    assert call("/ui/state", host, headers={"Origin": "https://" + host}).status == 200


@rows({"foreign": ("evil.example",), "below": ("x.ops.example.org",), "longer": ("ops.example.org.evil.example",), "other-address": ("10.1.2.4",)})
def test_other_names_through_an_edge(t, host):
    """A name that points at the edge without being listed is refused: a page elsewhere cannot read through it, nor change anything."""
    _, call = through_edge(t, "ops.example.org,10.1.2.3")
    for path in ("/", "/ui/state", "/ui/live"):
        assert call(path, host, headers=BROWSER).status == 403, path
    assert call("/ui/state", headers={"Origin": "http://" + host}).status == 403
    assert call("/log?level=debug", host, "PUT", {"X-Outrider": "1", "Content-Length": "0"}).status == 403


def test_a_listed_name_opens_nothing_else(t):
    """Listing a name for the edge leaves loopback as it was: other names are refused there, and a page of the listed name is that name's."""
    agent, _ = through_edge(t)
    assert agent.admin_call("GET", "/ui/state", host="evil.example")[0] == 403
    assert agent.admin_call("GET", "/ui/state", {"Origin": "http://ops.example.org"})[0] == 403


def test_below_a_prefix(t):
    """All works below a prefix that the edge strips, because the page's URLs are relative."""
    _, call = through_edge(t, prefix="/outrider", strip="on")
    reply = call("/outrider/", headers=BROWSER)
    names = re.findall(r'(?:src|href)="(ui/[^"]+)"', gzip.decompress(reply.read()).decode())
    assert names and all(call("/outrider/" + name, headers=BROWSER).status == 200 for name in names), names


def test_events_through_an_edge(t):
    """Events come through an edge one by one, as they are sent."""
    _, call = through_edge(t)
    reply = call("/ui/live", headers={"Accept": "text/event-stream"})
    lines = []
    while lines.count("event: tick\n") < 2:
        lines.append(reply.fp.readline().decode() if not reply.chunked else reply.readline().decode())
    assert "event: hello\n" in lines and "event: history\n" in lines, [one[:60] for one in lines]
