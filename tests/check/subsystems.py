#!/usr/bin/env python3
"""Every word that stands as `subsystem` in a line of the agent's own log is a row of log_subsystems (agent/control/log.c), and every row is
used: levels are set by these words (outrider.log.levels, PUT /log)."""
import re

import tree


def main():
    report = tree.Report()
    table = re.search(r"log_subsystems\[\] = \{(.*?)NULL", tree.read("agent/control/log.c"), re.S)
    known = set(re.findall(r'"([a-z-]+)"', table.group(1)))
    used = {}
    for path in tree.files("agent", ends=(".c",)):
        for call in re.finditer(r'\blog_write\(([^;]*?)"([a-z][a-z-]*)",', tree.read(path)):
            used.setdefault(call.group(2), path)
    report.check("subsystems: those that are written are rows of log_subsystems", [f"{used[word]}: {word}" for word in sorted(used) if word not in known])
    report.check("subsystems: every row of log_subsystems is written", sorted(known - set(used)))
    report.leave()


if __name__ == "__main__":
    main()
