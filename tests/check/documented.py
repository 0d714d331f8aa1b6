#!/usr/bin/env python3
"""Proves that docs/ says what the tables say: every row of agent/*.def stands in its page, and the page is what
`outrider help PAGE --markdown` prints. `make docs` writes the pages."""
import argparse
import os
import re
import subprocess

import tree

# table: the page that documents it. events.def joins when there is one.
PAGES = {"options": "options", "reasons": "reasons", "metrics": "metrics", "events": "events"}
ROW = re.compile(r'^[A-Z][A-Z0-9_]*\([^"\n]*"((?:[^"\\]|\\.)*)"', re.M)


def rows(table):
    """The first string of each row of agent/<table>.def: an option, a word, a metric's name."""
    text = re.sub(r"/\*.*?\*/", "", tree.read(f"agent/{table}.def"), flags=re.S)
    return [name for name in ROW.findall(re.sub(r"\(\s+", "(", text)) if name]


def stands_in(text, name):
    """`name`, or a longer key that ends in it: `outrider.upstream.<service>.name`."""
    return re.search(r"`(?:[^`\s]*\.)?" + re.escape(name) + "`", text) is not None


def printed(binary, page):
    """(text, complaint) of `outrider help PAGE --markdown`."""
    try:
        done = subprocess.run([binary, "help", page, "--markdown"], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=30, check=False)
    except OSError as error:
        return None, f"{binary}: {error.strerror}"
    if done.returncode != 0:
        return None, f"`{binary} help {page} --markdown` ended with {done.returncode}"
    return done.stdout, None


def first_difference(page, binary):
    """Complaints when docs/<page>.md is not what the program prints."""
    now, complaint = printed(binary, page)
    if complaint:
        return [complaint]
    there = tree.read(f"docs/{page}.md").splitlines()
    for number, (a, b) in enumerate(zip(there, now.splitlines()), 1):
        if a != b:
            return [f"docs/{page}.md:{number}: run `make docs`; the program now prints: {b[:100]}"]
    if len(there) != len(now.splitlines()):
        return [f"docs/{page}.md has {len(there)} lines, the program prints {len(now.splitlines())}: run `make docs`"]
    return []


def anchors(page):
    """As GitHub makes them of the headings of docs/<page>."""
    path = os.path.join(tree.ROOT, "docs", page)
    if not os.path.exists(path):
        return None
    heads = re.findall(r"^#+ +(.+)$", tree.read("docs/" + page), re.M)
    return {re.sub(r"[^a-z0-9 _-]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def lost_links(path):
    """What a remedy of `path` points to, and is not there."""
    links = set(re.findall(r'"([a-z-]+\.md(?:#[a-z0-9-]+)?)"', tree.read(path)))
    lost = []
    for link in sorted(links):
        page, _, anchor = link.partition("#")
        there = anchors(page)
        if there is None or (anchor and anchor not in there):
            lost.append(f"{path}: there is no docs/{link}")
    return lost if links else [f"{path}: no links understood"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", default=os.path.join(tree.ROOT, "build", "outrider"))
    binary = parser.parse_args().bin
    report = tree.Report()
    for table, page in PAGES.items():
        if not os.path.exists(os.path.join(tree.ROOT, "agent", table + ".def")):
            continue
        path = f"docs/{page}.md"
        if not os.path.exists(os.path.join(tree.ROOT, path)):
            report.check(f"documented: {path} exists", [f"{path} is missing: run `make docs`"])
            continue
        text, names = tree.read(path), rows(table)
        missing = [f"agent/{table}.def: `{name}` is not in {path}" for name in names if not stands_in(text, name)]
        report.check(f"documented: {len(names)} rows of {table}.def are in {path}",
                     missing if names else [f"agent/{table}.def: no rows understood"])
        report.check(f"documented: {path} is what the program prints", first_difference(page, binary))
    for path in ("agent/control/doctor.c", "agent/attach/node_doctor.c"):
        report.check(f"documented: the pages that {path} names are there", lost_links(path))
    report.leave()


if __name__ == "__main__":
    main()
