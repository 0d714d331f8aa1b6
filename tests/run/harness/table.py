"""reasons.def and options.def as the agent's build reads them: the tests take words and defaults from there."""
import os
import re

AGENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "agent")
STRING = r'"((?:[^"\\]|\\.)*)"'


def reasons():
    """word -> (status, stage, blame)"""
    with open(os.path.join(AGENT, "reasons.def"), encoding="utf-8") as text:
        rows = re.findall(r"^REASON\(\w+,\s*%s,\s*(\d+),\s*%s,\s*%s," % (STRING, STRING, STRING),
                          text.read(), re.M)
    return {word: (int(status), stage, blame) for word, status, stage, blame in rows}
