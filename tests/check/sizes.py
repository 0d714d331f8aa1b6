#!/usr/bin/env python3
"""Reports functions above 60 lines and files above 500, in agent/, plugins/ and tests/.

tests/check/sizes.allow names what may be longer, and how long: `path` or `path:function`, blank, lines. What is not
named there, or has grown beyond its figure, fails; so does a row that is no longer needed."""
import re
import statistics

import tree

FUNCTION_MAX = 60
FILE_MAX = 500
ALLOW = "tests/check/sizes.allow"


def functions(path):
    """Yields (name, lines) of each C function: K&R puts its braces, and nothing else of it, into column 0."""
    lines = tree.code_only(tree.read(path)).splitlines()
    start = None
    for i, line in enumerate(lines):
        if line.rstrip() == "{":
            start = i
        elif line.startswith("}") and start is not None:
            head = start - 1
            while head > 0 and lines[head][:1] in ("\t", " "):
                head -= 1
            match = re.search(r"(\w+)\s*\(", "\n".join(lines[head:start]))
            yield (match.group(1) if match else f"line-{head + 1}"), i - head + 1
            start = None


def measured():
    """({name: lines} above the limits, all function sizes, number of files)."""
    long, sizes = {}, []
    sources = tree.files("agent", "plugins", "tests", ends=(".c", ".h"))
    for path in sources + tree.files("tests", "deploy", ends=(".py",)):
        count = tree.read(path).count("\n")
        if count > FILE_MAX:
            long[path] = count
    for path in sources:
        for name, count in functions(path):
            sizes.append(count)
            if count > FUNCTION_MAX:
                long[f"{path}:{name}"] = count
    return long, sizes, len(sources)


def allowed():
    """{name: lines} of the allow-list."""
    rows = {}
    for line in tree.read(ALLOW).splitlines():
        line = line.partition("#")[0].strip()
        if line:
            name, lines = line.rsplit(None, 1)
            rows[name] = int(lines)
    return rows


def main():
    long, sizes, count = measured()
    allow = allowed()
    report = tree.Report()
    if sizes:
        ranked = sorted(sizes)
        print(f"     {count} C files, {len(sizes)} functions: median {statistics.median(sizes):.0f} lines, "
              f"p90 {ranked[len(ranked) * 9 // 10]}, longest {ranked[-1]}")
    report.check(f"sizes: functions within {FUNCTION_MAX} lines, files within {FILE_MAX}",
                 [f"{name}: {lines} lines" + (f", {allow[name]} allowed" if name in allow else "")
                  for name, lines in sorted(long.items()) if lines > allow.get(name, 0)])
    report.check(f"sizes: every row of {ALLOW} is needed",
                 [f"{name} is within the limits now: remove its row" for name in allow if name not in long])
    report.leave()


if __name__ == "__main__":
    main()
