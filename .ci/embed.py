#!/usr/bin/env python3
"""Writes a C file with the files of the admin port's page, compressed: agent/control/ui/assets.h says what is in it.

    .ci/embed.py OUT PAGE PACKAGES

PAGE is the folder of the page: all of its files are embedded but those of npm. package.json there says in "embed" which files of
packages come beside them, {"name": "package/path"}, taken from PACKAGES/node_modules. Where that has none an empty file stands for it:
the page does without. The same files give the same bytes."""
import gzip
import hashlib
import json
import os
import re
import sys

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml", ".png": "image/png", ".txt": "text/plain; charset=utf-8", ".webmanifest": "application/manifest+json"}
NPM = {"package.json", "package-lock.json"}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}\Z")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def page_files(page):
    """{name: bytes} of the folder itself."""
    return {name: read(os.path.join(page, name)) for name in os.listdir(page)
            if name not in NPM and not name.startswith(".") and os.path.isfile(os.path.join(page, name))}


def package_files(page, packages):
    """{name: bytes} of what package.json wants from packages; b"" for what is not there."""
    path = os.path.join(page, "package.json")
    wanted = json.loads(read(path)).get("embed", {}) if os.path.exists(path) else {}
    found = {}
    for name, inside in wanted.items():
        source = os.path.join(packages, "node_modules", inside)
        found[name] = read(source) if os.path.exists(source) else b""
    return found


def array(number, data):
    lines = [",".join(str(byte) for byte in data[at:at + 32]) for at in range(0, len(data), 32)]
    return f"static const unsigned char f{number}[] = {{\n" + ",\n".join(lines) + "\n};\n"


def source(files):
    """The text of the C file."""
    arrays, rows = [], []
    for number, (name, plain) in enumerate(sorted(files.items())):
        kind = TYPES.get(os.path.splitext(name)[1])
        if not kind or not NAME.match(name):
            sys.exit(f"embed.py: {name}: no name or kind of file that is served; see TYPES there")
        packed = gzip.compress(plain, compresslevel=9, mtime=0)
        digest = hashlib.sha256(plain).hexdigest()[:20]
        arrays.append(array(number, packed))
        rows.append(f'\t{{ "{name}", "{kind}", "{digest}", f{number}, {len(packed)}, {len(plain)} }},\n')
    return ("/* Made by .ci/embed.py. */\n#include \"control/ui/assets.h\"\n\n" + "".join(arrays) +
            "\nconst struct ui_asset ui_assets[] = {\n" + "".join(rows) + "};\n" +
            f"const size_t ui_asset_count = {len(rows)};\n")


def main():
    out, page, packages = sys.argv[1:]
    text = source({**page_files(page), **package_files(page, packages)})
    with open(out, "w", encoding="ascii") as file:
        file.write(text)


if __name__ == "__main__":
    main()
