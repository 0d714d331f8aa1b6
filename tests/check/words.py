#!/usr/bin/env python3
"""Looks for what must not stand in the tree: paths of somebody's machine, hosts of package registries, banned
functions of libc, trailing blanks, carriage returns, a missing last newline."""
import re

import tree

# Written so that this file does not match itself.
PATHS = re.compile(r"(?<![\w.$}])/(?:hom[e]|User[s]|roo[t]|wor[k])/\w")
HOSTS = re.compile(r"\b(?:registry\.npmj[s]\.org|registry\.yarnpk[g]\.com|pyp[i]\.org|files\.pythonhoste[d]\.org|"
                   r"proxy\.golan[g]\.org|sum\.golan[g]\.org|static\.crate[s]\.io|index\.crate[s]\.io|"
                   r"repo\d?\.mave[n]\.(?:org|apache\.org)|repo\.mave[n]\.apache\.org|registry-1\.docke[r]\.io|"
                   r"rubygem[s]\.org)\b")
BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|strncpy|strncat|sprintf|vsprintf|strtok|atoi|atol|atoll|atof|gets|gmtime|"
                    r"localtime|ctime|tmpnam|system|srand)\s*\(")
# Bytes are the point of these: nothing of theirs is to be tidied.
RAW = ("tests/fuzz/seeds/", "tests/fuzz/regression/", "tests/run/data/")


def lines_with(pattern, paths, show):
    """Complaints for each line of the files that the pattern matches."""
    found = []
    for path in paths:
        text = tree.read(path)
        if text is None:
            continue
        if path.endswith((".c", ".h")) and show == "banned":
            text = tree.code_only(text)
        found += [f"{path}:{n}: {match.group().strip() or 'blank'}"
                  for n, line in enumerate(text.split("\n"), 1) if (match := pattern.search(line))]
    return found


def main():
    report = tree.Report()
    everything = [p for p in tree.files() if not p.startswith(RAW)]
    c_files = [p for p in tree.files("agent", "plugins", "tests", ends=(".c", ".h")) if p != "agent/base/banned.h"]
    report.check("words: no path of one machine", lines_with(PATHS, everything, "path"))
    report.check("words: no host of a package registry", lines_with(HOSTS, everything, "host"))
    report.check("words: no banned function", lines_with(BANNED, c_files, "banned"))
    pages = [p for p in everything if p.endswith(".md")]
    others = [p for p in everything if not p.endswith(".md")]
    report.check("words: no trailing blank", lines_with(re.compile(r"[ \t\r]+$"), others, "blank") +
                 # Two blanks behind a word break a line in Markdown.
                 lines_with(re.compile(r"(?:[\t\r]|\S |\S {3,}|^ +)$"), pages, "blank"))
    report.check("words: every text ends in one newline",
                 [p for p in everything if (t := tree.read(p)) and not t.endswith("\n")] +
                 [p for p in others if (t := tree.read(p)) and t.endswith("\n\n")])
    report.leave()


if __name__ == "__main__":
    main()
