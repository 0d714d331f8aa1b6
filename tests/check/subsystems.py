#!/usr/bin/env python3
"""Rule of the tree: every word that stands as `subsystem` in a line of the agent's own log is a row of log_subsystems (agent/control/log.c), and
every row is used. Levels are set by these words (outrider.log.levels, PUT /log)."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[2]
table = re.search(r"log_subsystems\[\] = \{(.*?)NULL", (root / "agent/control/log.c").read_text(), re.S)
rows = set(re.findall(r'"([a-z-]+)"', table.group(1)))
used = {}
for path in sorted((root / "agent").rglob("*.c")):
    for call in re.finditer(r'\blog_write\(([^;]*?)"([a-z][a-z-]*)",', path.read_text()):
        used.setdefault(call.group(2), path.relative_to(root))
bad = [f"{used[w]}: subsystem \"{w}\" is no row of log_subsystems in agent/control/log.c" for w in sorted(used) if w not in rows]
bad += [f"agent/control/log.c: nobody writes as subsystem \"{w}\"" for w in sorted(rows) if w not in used]
for line in bad:
    print("    ", line)
print("FAIL" if bad else "ok", f"subsystems: {len(rows)} rows of log_subsystems are those that are written")
sys.exit(1 if bad else 0)
