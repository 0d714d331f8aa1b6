"""What the demo shows: a table redrawn in place on a terminal, plain lines elsewhere."""
import shutil
import sys
import time

from traffic import RECENT

EVENTS_SHOWN = 6
REDRAW = 0.5      # seconds, on a terminal
LINE = 2.0        # seconds, elsewhere


def milliseconds(value):
    return "-" if value is None else f"{value:.1f} ms"


def row(name, numbers, note=""):
    return (f"{name:<18}{numbers.right + numbers.failed:>10}{numbers.failed:>9}"
            f"{milliseconds(numbers.percentile(0.5)):>12}{milliseconds(numbers.percentile(0.99)):>12}   {note}").rstrip()


class Screen:
    def __init__(self, landscape, traffic, out=sys.stdout):
        self.landscape, self.traffic, self.out = landscape, traffic, out
        self.in_place = out.isatty()
        self.events = []
        self.drawn = 0       # lines of the table now on the terminal
        self.next = 0.0
        self.last = (0.0, 0)  # time and requests at the last drawing, for the rate
        self.rate = 0.0

    def clock(self):
        seconds = self.traffic.elapsed() if self.traffic.started else 0
        return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"

    def tell(self, text):
        """One event, shown at once where lines scroll and below the table where it is redrawn."""
        self.events.append(f"{self.clock()}  {text}")
        if self.in_place:
            self.next = 0.0
        else:
            self.say(f"  {self.events[-1]}")

    def say(self, text=""):
        self.out.write(text + "\n")
        self.out.flush()

    def tick(self):
        now = time.monotonic()
        if now < self.next:
            return
        self.next = now + (REDRAW if self.in_place else LINE)
        with self.traffic.lock:
            self.measure(now)
            text = self.table() if self.in_place else [self.line()]
        if self.in_place:
            self.redraw(text)
        else:
            self.say(text[0])

    def measure(self, now):
        done = self.traffic.total.right + self.traffic.total.failed
        if now - self.last[0] >= 0.9:
            before, count = self.last if self.last[0] else (self.traffic.started, 0)
            self.rate = (done - count) / max(now - before, 0.001)
            self.last = (now, done)

    def redraw(self, lines):
        size = shutil.get_terminal_size()
        lines = [line[:size.columns - 1] for line in lines][:size.lines - 1]
        up = f"\x1b[{self.drawn}A" if self.drawn else ""
        self.out.write(up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J")
        self.out.flush()
        self.drawn = len(lines)

    def table(self):
        total = self.traffic.total
        statuses = "  ".join(f"{status}: {count}" for status, count in sorted(self.traffic.statuses.items(), key=str))
        lines = [f"{self.clock()}   {self.rate:.0f} requests/s   status {statuses}", "",
                 f"{'':<18}{'requests':>10}{'failed':>9}{'p50':>12}{'p99':>12}   (of the last {RECENT})",
                 row("all", total)]
        lines += [row(name + "/ID", self.traffic.rows[name]) for name in ("/accounts", "/images") if name in self.traffic.rows]
        lines.append("")
        lines += [row(i.name, self.traffic.rows[i.name], f"{i.state}  (agent: {i.how})") for i in self.landscape.quotes]
        return lines + [""] + self.events[-EVENTS_SHOWN:]

    def line(self):
        total = self.traffic.total
        shares = "  ".join(f"{self.traffic.rows[i.name].right}" + ("" if i.state == "up" else f" ({i.state})")
                           for i in self.landscape.quotes)
        return (f"{self.clock()} {total.right + total.failed} requests, {total.failed} failed, {self.rate:.0f}/s, "
                f"p50 {milliseconds(total.percentile(0.5))}, p99 {milliseconds(total.percentile(0.99))}; "
                f"quotes-1, 2, 3: {shares}")
