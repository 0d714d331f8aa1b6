#!/usr/bin/env python3
"""Proves the direction of includes: base < net < http < plugin.h < proxy < control < attach < main.

A folder includes itself and what stands to its left. Plug-ins see plugin.h and what stands left of it. Only net/
knows libevent, OpenSSL and c-ares."""
import os
import re

import tree

ORDER = ["base", "net", "http", "plugin.h", "proxy", "control", "attach", "main"]
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
NET_ONLY = re.compile(r"^(event2/|event\.h|evhttp\.h|openssl/|ares(_\w+)?\.h)")
# Files directly in agent/: where they stand. subsystem.h is what subsystems implement, subsystem.c lists them.
TOP = {"plugin.h": "plugin.h", "subsystem.h": "plugin.h", "subsystem.c": "main", "main.c": "main"}


def place(path):
    """Where a file under agent/ stands (its path without agent/), or None for what nobody ranks (.def tables)."""
    folder, _, _ = path.partition("/")
    if folder in ORDER and "/" in path:
        return ORDER.index(folder)
    return ORDER.index(TOP[path]) if path in TOP else None


def included(path):
    """Yields (line, quote, name) for each include of a file; what a comment shows does not count."""
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), tree.read(path), flags=re.S)
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)


def agent_complaints():
    """(direction, existence) complaints of all of agent/ and plugins/."""
    direction, missing = [], []
    for path in tree.files("agent", "plugins", ends=(".c", ".h")):
        plugin = path.startswith("plugins/")
        own = ORDER.index("plugin.h") if plugin else place(path.removeprefix("agent/"))
        if own is None:
            direction.append(f"{path}: has no place in the order; see TOP in tests/check/includes.py")
            continue
        for line, quote, name in included(path):
            if quote == "<" or name.endswith(".def"):
                continue
            if plugin and os.path.exists(os.path.join(tree.ROOT, "plugins", name)):
                continue
            if not os.path.exists(os.path.join(tree.ROOT, "agent", name)):
                missing.append(f'{path}:{line}: "{name}" is not a path below agent/')
                continue
            rank = place(name)
            if rank is None or rank > own:
                direction.append(f'{path}:{line}: includes "{name}", which stands to its right')
    return direction, missing


def library_complaints():
    """Files outside net/ that include what only net/ may know."""
    return [f"{path}:{line}: <{name}> belongs to net/ alone"
            for path in tree.files("agent", "plugins", ends=(".c", ".h")) if not path.startswith("agent/net/")
            for line, _, name in included(path) if NET_ONLY.match(name)]


def main():
    report = tree.Report()
    direction, missing = agent_complaints()
    report.check("includes: each folder includes only what stands to its left", direction)
    report.check("includes: every quoted include is a path below agent/", missing)
    report.check("includes: only net/ includes libevent, OpenSSL and c-ares", library_complaints())
    report.leave()


if __name__ == "__main__":
    main()
