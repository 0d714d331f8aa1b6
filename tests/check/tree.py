"""What the checks of this folder share: the root, walking the tree, C without comments, ok and FAIL lines."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = {".git", "build", "__pycache__"}

C_NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def files(*folders, ends=("",)):
    """Paths relative to the root, sorted, of all files below the folders (the root itself when none is given)."""
    found = []
    for folder in folders or (".",):
        for where, names, leaves in os.walk(os.path.join(ROOT, folder)):
            names[:] = [n for n in names if n not in SKIPPED]
            found += [os.path.relpath(os.path.join(where, leaf), ROOT) for leaf in leaves if leaf.endswith(tuple(ends))]
    return sorted(set(found))


def read(path):
    """The text of a file, or None when it is not text."""
    with open(os.path.join(ROOT, path), "rb") as f:
        data = f.read()
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def code_only(text):
    """C text whose comments and literals are blanked; line numbers stay."""
    return C_NOISE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


class Report:
    """Prints `ok name` or its complaints and `FAIL name`, once for each named check."""

    def __init__(self):
        self.failed = False

    def check(self, name, complaints):
        for complaint in complaints:
            print(f"     {complaint}")
        print(f"{'FAIL' if complaints else 'ok'} {name}")
        self.failed |= bool(complaints)

    def leave(self):
        sys.exit(1 if self.failed else 0)
