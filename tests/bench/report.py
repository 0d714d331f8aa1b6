"""Tables and verdicts from the results of a run; JSON for machines, Markdown for docs/performance.md.

A ratio is the median of the ratios within each round: what disturbs a round disturbs both sides of it."""

import json
import os
import statistics

import cases
import tools

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def median(rows, key):
    return statistics.median(r[key] for r in rows)


def spread(rows, key, form):
    values = [r[key] for r in rows]
    return f"{min(values):{form}} to {max(values):{form}}" if len(values) > 1 else ""


def ratio(results, case, key, name, base):
    """Median over the rounds of name's figure by base's; None when either is missing."""
    rows, against = results.get(case, {}).get(name, []), results.get(case, {}).get(base, [])
    pairs = [a[key] / b[key] for a, b in zip(rows, against) if b[key]]
    return statistics.median(pairs) if pairs else None


def table(head, rows):
    """A Markdown table, its columns aligned for a terminal."""
    widths = [max(len(str(r[i])) for r in [head, *rows]) for i in range(len(head))]

    def line(cells):
        first = str(cells[0]).ljust(widths[0])
        return "| " + " | ".join([first] + [str(c).rjust(w) for c, w in zip(cells[1:], widths[1:])]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2)] + ["-" * (w + 1) + ":" for w in widths[1:]]) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def mib(value):
    return f"{value / cases.MIB:.1f}"


def times(value):
    return "" if value is None else f"{value:.2f}"


# --- one table per case: (heads, function of (bench, name, rows) that gives the cells) ---------------------------------

def cells_cost(case):
    def cells(bench, name, rows):
        return [f"{median(rows, 'cpu_us'):.2f}", spread(rows, "cpu_us", ".2f"),
                times(ratio(bench.results, case, "cpu_us", name, "nginx")), f"{median(rows, 'rps'):.0f}",
                f"{median(rows, 'p50_us'):.0f}", f"{median(rows, 'p99_us'):.0f}", f"{median(rows, 'p999_us'):.0f}",
                f"{100 * median(rows, 'busy'):.0f}"]
    return cells


COST = ["CPU µs/request", "range", "× nginx", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "core busy %"]


def cells_latency(_bench, _name, rows):
    return [f"{median(rows, k):.0f}" for k in ("p50_us", "p99_us", "p999_us", "max_us", "rps")] + \
           [f"{median(rows, 'cpu_us'):.2f}"]


def with_per_kib(rows):
    return [{**r, "per_kib": r["cpu_ns"] / (r["bytes"] / cases.KIB)} for r in rows]


def cells_large(bench, name, rows):
    full = {"large": {n: with_per_kib(r) for n, r in bench.results["large"].items()}}
    return [f"{median(full['large'][name], 'per_kib'):.1f}", times(ratio(full, "large", "per_kib", name, "nginx")),
            f"{statistics.median(r['bytes'] / r['seconds'] for r in rows) / cases.MIB:.0f}"]


def cells_stream(_bench, _name, rows):
    return [mib(median(rows, "memory_max")), f"{median(rows, 'growth') / cases.KIB:.0f}",
            f"{median(with_per_kib(rows), 'per_kib'):.1f}",
            f"{statistics.median(r['bytes'] / r['seconds'] for r in rows) / cases.MIB:.0f}"]


def cells_idle(_bench, _name, rows):
    keys = ("rss_start", "private_start", "rss_loaded", "private_loaded", "rss_held", "private_held")
    return [mib(median(rows, k)) for k in keys] + [f"{median(rows, 'per_connection'):.0f}"]


def cells_memory(_bench, _name, rows):
    return [mib(median(rows, "rss")), mib(median(rows, "private"))]


def cells_start(_bench, _name, rows):
    return [f"{median(rows, 'us') / 1000:.1f}", spread([{"ms": r["us"] / 1000} for r in rows], "ms", ".1f")]


def cells_scale(bench, name, rows):
    free = bench.notes["scale"] == "measured"
    return [f"{median(rows, 'rps_1'):.0f}", f"{median(rows, 'rps_2'):.0f}",
            f"{statistics.median(r['rps_2'] / r['rps_1'] for r in rows):.2f}" if free else "not measurable here",
            f"{median(rows, 'cpu_us_1'):.2f}", f"{median(rows, 'cpu_us_2'):.2f}"]


def cells_steady(_bench, _name, rows):
    return [f"{median(rows, k):.4f}" for k in ("allocations", "frees", "locks", "waits")]


def cells_disturbed(_bench, _name, rows):
    both = [f"{median(rows, w + k):{form}}" for k, form in (("p50_us", ".0f"), ("p99_us", ".0f"), ("rps", ".0f"), ("cpu_us", ".2f"))
            for w in ("without_", "with_")]
    return both + [times(median(rows, "p99_ratio")), spread(rows, "p99_ratio", ".2f")]


DISTURBED = ["p50 µs without", "with", "p99 µs without", "with", "requests/s without", "with", "CPU µs/request without", "with",
             "p99 with/without", "range"]

def cells_reach(_bench, _name, rows):
    return [f"{median(rows, k):.1f}" for k in ("ms", "ms_min", "ms_max", "control_quiet_ms", "control_ms")]


def cells_guards(_bench, _name, rows):
    whole = [r for r in rows if "process_us" in r]
    return [f"{median(rows, k):.0f}" for k in ("one_ns", "two_ns")] + \
           ([f"{median(whole, k):.2f}" for k in ("guarded_us", "bare_us")] + [f"{median(whole, 'process_us'):+.2f}"] if whole else [""] * 3)


def cells_known(_bench, _name, rows):
    return [mib(median(rows, "few")), mib(median(rows, "many")), f"{median(rows, 'per_endpoint'):.0f}",
            spread(rows, "per_endpoint", ".0f")]


def cells_questions(_bench, _name, rows):
    return [f"{median(rows, 'per_second'):.1f}", f"{median(rows, 'aaaa'):.1f}", f"{median(rows, 'names'):.0f}"]


def cells_skewed(bench, name, rows):
    return [f"{median(rows, k):.0f}" for k in ("p50_us", "p99_us", "p999_us")] + \
           [times(ratio(bench.results, "skewed", "p99_us", name, "round-robin")), f"{median(rows, 'slow_share'):.2f}",
            f"{median(rows, 'late_max_us') / 1000:.0f}"]


def cells_hung(_bench, _name, rows):
    return [f"{median(rows, 'success') * 100:.2f}"] + [f"{median(rows, k):.1f}" for k in ("well", "first", "then")] + \
           [f"{median(rows, 'p99_ratio'):.2f}"]


def cells_dead(_bench, _name, rows):
    return [f"{median(rows, 'opened'):.1f}", f"{median(rows, 'refused') * 100:.1f}", f"{median(rows, 'refused_p99'):.1f}", f"{median(rows, 'other_ratio'):.2f}",
            f"{median(rows, 'grown'):.0f}", f"{median(rows, 'closed_after'):.2f}"]


def cells_telemetry(bench, name, rows):
    base = bench.results["telemetry"].get("outrider")
    more = f"{median(rows, 'cpu_us') - median(base, 'cpu_us'):+.2f}" if base else ""
    return [f"{median(rows, 'cpu_us'):.2f}", spread(rows, "cpu_us", ".2f"), more,
            times(ratio(bench.results, "telemetry", "cpu_us", name, "nginx-log")), f"{median(rows, 'rps'):.0f}",
            f"{median(rows, 'p50_us'):.0f}", f"{median(rows, 'p99_us'):.0f}"]


def cells_stuck(_bench, _name, rows):
    return [f"{median(rows, 'well_p99_us'):.0f}", f"{median(rows, 'hung_p99_us'):.0f}", times(median(rows, "p99_ratio")), mib(median(rows, "memory")),
            f"{median(rows, 'grown') / cases.KIB:.0f}", f"{median(rows, 'lost'):.0f}"]


def cells_scrape(bench, name, rows):
    return [f"{median(rows, 'series'):.0f}", f"{median(rows, 'made_ms'):.2f}", f"{median(rows, 'ms'):.2f}", f"{median(rows, 'ms_p99'):.2f}",
            *cells_disturbed(bench, name, rows)]


def bar_stuck(bench):
    rows = bench.results.get("stuck", {}).get("outrider")
    return unless_late(median(rows, "p99_ratio"), 1.10, median(rows, "late_max_us"), 10) if rows else None


def bar_counted(bench):
    rows = bench.results.get("stuck", {}).get("outrider")
    return (True, f"{median(rows, 'lost'):.0f} lost, all counted") if rows else None  # a wrong sum fails the case


def bar_told(bench):
    rows = bench.results.get("telemetry", {})
    if not rows.get("outrider") or not rows.get("traced and logged"):
        return None
    pairs = [a["cpu_us"] - b["cpu_us"] for a, b in zip(rows["traced and logged"], rows["outrider"])]
    more = statistics.median(pairs)
    return more <= 1.5, f"{more:+.2f} µs"


def bar_logged(bench):
    value = ratio(bench.results, "telemetry", "cpu_us", "traced and logged", "nginx-log")
    return None if value is None else (value <= 0.85, times(value))


TABLES = {
    "keepalive": (COST, cells_cost("keepalive")),
    "newconn": (COST, cells_cost("newconn")),
    "telemetry": (["CPU µs/request", "range", "more than untold", "× nginx-log", "requests/s", "p50 µs", "p99 µs"], cells_telemetry),
    "stuck": (["p99 µs, all well", "hanging", "ratio", "private max MiB", "growth KiB", "spans and records lost"], cells_stuck),
    "scrape": (["series", "ms to make", "ms to get, median", "p99", *DISTURBED], cells_scrape),
    "latency": (["p50 µs", "p99 µs", "p99.9 µs", "max µs", "requests/s", "CPU µs/request"], cells_latency),
    "large": (["CPU ns/KiB", "× nginx", "MiB/s"], cells_large),
    "stream": (["private max MiB", "growth KiB", "CPU ns/KiB", "MiB/s"], cells_stream),
    "idle": (["resident MiB: start", "private", "resident: loaded", "private", "resident: held", "private",
              "bytes/connection"], cells_idle),
    "memory": (["resident MiB", "private MiB"], cells_memory),
    "start": (["ms", "range"], cells_start),
    "scale": (["requests/s, 1 worker", "2 workers", "ratio", "CPU µs/request, 1 worker", "2 workers"], cells_scale),
    "reload": (DISTURBED, cells_disturbed),
    "fifty": (DISTURBED, cells_disturbed),
    "reach": (["ms median", "least", "most", "control ms, quiet", "during updates"], cells_reach),
    "update": (DISTURBED, cells_disturbed),
    "known": (["private MiB, 10 known", "10,000", "bytes/endpoint", "range"], cells_known),
    "questions": (["questions/s", "of these AAAA", "names"], cells_questions),
    "skewed": (["p50 µs", "p99 µs", "p99.9 µs", "p99 × round-robin", "% to the slow one", "client late ms"], cells_skewed),
    "hung": (["% answered", "p99 ms before", "meanwhile", "after 5 s", "ratio"], cells_hung),
    "dead": (["opened after s", "% refused", "p99 ms of those", "other upstream p99 ratio", "memory KiB", "closed after s"], cells_dead),
    "reach_redis": (["ms median", "least", "most", "control ms, quiet", "during updates"], cells_reach),
    "fifty_ask": (["questions/s", "of these AAAA", "names", "answers heard/s"],
                  lambda _b, _n, rows: [f"{median(rows, k):.1f}" for k in ("per_second", "aaaa", "names", "heard")]),
    "pick": (["ns per pick", "with start and end"], lambda _b, _n, rows: [f"{median(rows, k):.0f}" for k in ("pick_ns", "attempt_ns")]),
    "guards": (["ns per call, 1 thread", "2 threads", "CPU µs/request with", "without", "difference"], cells_guards),
    "chain": (["requests seen per request offered"], lambda _b, _n, rows: [f"{median(rows, 'amplified'):.3f}"]),
    "storm": (["requests seen per request offered"], lambda _b, _n, rows: [f"{median(rows, 'amplified'):.3f}"]),
    "overload": (["goodput with bulkhead.adaptive", "without", "limit found"],
                 lambda _b, _n, rows: [f"{median(rows, k):{f}}" for k, f in (("with", ".2f"), ("without", ".2f"), ("limit", ".0f"))]),
    "steady": (["allocations/request", "frees", "locks", "waits"], cells_steady),
}


def case_title(bench, case):
    note = bench.notes.get(case)
    return f"{case}: {cases.CASES[case].__doc__}" + (f" ({note})" if note else "")


def case_table(bench, case):
    heads, cells = TABLES[case]
    rows = [[name, *cells(bench, name, rows)] for name, rows in bench.results.get(case, {}).items() if rows]
    failed = [[name, "failed"] + [""] * (len(heads) - 1) for name in bench.failed.get(case, {})
              if name not in bench.results.get(case, {})]
    return table([case, *heads], rows + failed)


# --- the bars ------------------------------------------------------------------------------------------------------------

def bar_ratio(case, key, base, limit, convert=None):
    def judge(bench):
        results = bench.results
        if convert:
            results = {case: {n: convert(r) for n, r in results.get(case, {}).items()}}
        value = ratio(results, case, key, "outrider", base)
        return None if value is None else (value <= limit, f"{value:.2f}")
    return judge


def bar_value(case, key, limit, form, name="outrider"):
    def judge(bench):
        rows = bench.results.get(case, {}).get(name)
        return (median(rows, key) <= limit, form(median(rows, key))) if rows else None
    return judge


def bar_least(case, key, limit, form):
    def judge(bench):
        rows = bench.results.get(case, {}).get("outrider")
        return (median(rows, key) >= limit, form(median(rows, key))) if rows else None
    return judge


def bar_scale(bench):
    rows = bench.results.get("scale", {}).get("outrider")
    if not rows:
        return None
    if bench.notes["scale"] != "measured":
        by = statistics.median(r["cpu_us_2"] / r["cpu_us_1"] for r in rows)
        return "not measurable here", f"CPU per request with 2 workers {by:.2f} × with 1"
    value = statistics.median(r["rps_2"] / r["rps_1"] for r in rows)
    return value >= 1.7, f"{value:.2f}"


def bar_steady(bench):
    rows = bench.results.get("steady", {}).get("outrider")
    if not rows:
        return None
    a, locks = median(rows, "allocations"), median(rows, "locks") + median(rows, "waits")
    return a < 0.01 and locks < 0.01, f"{a:.4f} and {locks:.4f}"


def unless_late(value, limit, late_us, bearable_ms):
    """A verdict, met or missed, only when the load client itself kept its times: else the percentile is the machine's."""
    if late_us > 1000 * bearable_ms:
        return "not measurable here", f"{value:.2f}, but the load client itself was {late_us / 1000:.0f} ms late"
    return value <= limit, f"{value:.2f}"


def bar_skewed(bench):
    value = ratio(bench.results, "skewed", "p99_us", "peak-ewma", "round-robin")
    if value is None:
        return None
    late = max(median(bench.results["skewed"][n], "late_max_us") for n in ("peak-ewma", "round-robin"))
    return unless_late(value, 0.5, late, 50)  # half of the slow one's delay


def bar_update(bench):
    rows = bench.results.get("update", {}).get("outrider")
    if not rows:
        return None
    late = max(median(rows, "with_late_max_us"), median(rows, "without_late_max_us"))
    return unless_late(median(rows, "p99_ratio"), 1.25, late, 10)


BARS = [
    ("CPU per request ≤ 0.80 × nginx", "keepalive", bar_ratio("keepalive", "cpu_us", "nginx", 0.80)),
    ("CPU per request ≤ 0.80 × HAProxy", "keepalive", bar_ratio("keepalive", "cpu_us", "haproxy", 0.80)),
    ("CPU per request ≤ 1.25 × relay", "keepalive", bar_ratio("keepalive", "cpu_us", "relay", 1.25)),
    ("new connection per request ≤ 0.90 × nginx", "newconn", bar_ratio("newconn", "cpu_us", "nginx", 0.90)),
    ("1 MiB replies: CPU per byte ≤ nginx", "large", bar_ratio("large", "per_kib", "nginx", 1.0, with_per_kib)),
    ("one long reply: memory does not grow (≤ 256 KiB)", "stream",
     bar_value("stream", "growth", 256 * cases.KIB, lambda v: f"{v / cases.KIB:.0f} KiB")),
    ("idle connection ≤ 1 KiB", "idle", bar_value("idle", "per_connection", 1024, lambda v: f"{v:.0f} B")),
    ("private memory after start, 2 workers ≤ 6 MiB", "memory",
     bar_value("memory", "private", 6 * cases.MIB, lambda v: f"{mib(v)} MiB")),
    ("first answered byte ≤ 10 ms from exec", "start", bar_value("start", "us", 10000, lambda v: f"{v / 1000:.1f} ms")),
    ("2 workers ≥ 1.7 × one", "scale", bar_scale),
    ("steady state: no allocation, no lock per request (< 0.01)", "steady", bar_steady),
    ("ten reloads a second: p99 ≤ 1.10 × without", "reload", bar_value("reload", "p99_ratio", 1.10, times)),
    ("fifty sidecars reload at once: p99 ≤ 1.10 × without", "fifty",
     bar_value("fifty", "p99_ratio", 1.10, times, "sidecars")),
    ("one of 10,000 instances exchanged in a file: called ≤ 10 ms after", "reach",
     bar_value("reach", "ms", 10, lambda v: f"{v:.1f} ms")),
    ("one of 10,000 instances exchanged in Redis: called ≤ 10 ms after", "reach_redis",
     bar_value("reach_redis", "ms", 10, lambda v: f"{v:.1f} ms")),
    ("instances exchanged: p99 ≤ 1.25 × without", "update", bar_update),
    ("known instance ≤ 1 KiB", "known", bar_value("known", "per_endpoint", 1024, lambda v: f"{v:.0f} B")),
    ("50 sidecars of one process: names asked once for all (≤ 1.4 × one sidecar's 20 /s)", "fifty_ask",
     bar_value("fifty_ask", "per_second", 28, lambda v: f"{v:.1f} /s")),
    ("a pick among 1,000 endpoints ≤ 150 ns", "pick", bar_value("pick", "pick_ns", 150, lambda v: f"{v:.0f} ns")),
    ("breaker, budget and bulkhead ≤ 0.3 µs per request", "guards", bar_value("guards", "one_ns", 300, lambda v: f"{v:.0f} ns")),
    ("one of four hangs: success ≥ 99.9 %", "hung", bar_least("hung", "success", 0.999, lambda v: f"{v * 100:.2f} %")),
    ("one of four hangs: p99 after 5 s ≤ 3 × before", "hung", bar_value("hung", "p99_ratio", 3, times)),
    ("all hang: refused in ≤ 5 ms (p99)", "dead", bar_value("dead", "refused_p99", 5, lambda v: f"{v:.1f} ms")),
    ("all hang: another upstream's p99 ≤ 1.25 ×", "dead", bar_value("dead", "other_ratio", 1.25, times)),
    ("all hang: memory grows ≤ 256 KiB", "dead", bar_value("dead", "grown", 256, lambda v: f"{v:.0f} KiB")),
    ("back again: closed within a sleep window (1 s)", "dead", bar_value("dead", "closed_after", 1.25, lambda v: f"{v:.2f} s")),
    ("retry storm: upstream sees ≤ 1.25 × what is offered", "storm", bar_value("storm", "amplified", 1.25, times)),
    ("the same through three agents ≤ 1.25 ×", "chain", bar_value("chain", "amplified", 1.25, times)),
    ("2 × overload: goodput ≥ 0.9 of the capacity", "overload", bar_least("overload", "with", 0.9, lambda v: f"{v:.2f}")),
    ("every request traced and logged: ≤ 1.5 µs more", "telemetry", bar_told),
    ("every request traced and logged ≤ 0.85 × nginx with its log", "telemetry", bar_logged),
    ("Zipkin, GELF and stdout hang: p99 ≤ 1.10 × all well", "stuck", bar_stuck),
    ("Zipkin, GELF and stdout hang: memory flat (≤ 256 KiB)", "stuck", bar_value("stuck", "grown", 256 * cases.KIB, lambda v: f"{v / cases.KIB:.0f} KiB")),
    ("Zipkin, GELF and stdout hang: sent + dropped = produced", "stuck", bar_counted),
    ("/metrics of 1,000 series ≤ 5 ms", "scrape", bar_value("scrape", "ms", 5, lambda v: f"{v:.1f} ms")),
    ("/metrics ten times a second: p99 of requests ≤ 1.10 × without", "scrape", bar_value("scrape", "p99_ratio", 1.10, times)),
    ("one of four 10 × slower: p99 of peak-ewma ≤ 0.5 × round-robin", "skewed", bar_skewed),
]


def judge(bench, chosen):
    """[(bar, "met" | "missed" | "failed" | "skipped" | "not measurable here", figure)] for the chosen cases."""
    rows = []
    for text, case, function in BARS:
        if case not in chosen:
            continue
        verdict = function(bench)
        if verdict is None:
            why = bench.failed.get(case, {}).get("outrider")
            rows.append([text, "failed" if why else "skipped", why or "nothing to compare with"])
        elif isinstance(verdict[0], str):
            rows.append([text, *verdict])
        else:
            rows.append([text, "met" if verdict[0] else "missed", verdict[1]])
    return rows


# --- what is written ------------------------------------------------------------------------------------------------------

def write_json(bench, machine_facts, versions, bars):
    path = os.path.join(tools.OUT, "results.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"machine": machine_facts, "versions": versions, "rounds": bench.rounds, "quick": bench.quick,
                   "notes": bench.notes, "failed": bench.failed, "results": bench.results,
                   "bars": [dict(zip(("bar", "verdict", "figure"), b)) for b in bars]}, f, indent=1)
        f.write("\n")
    return os.path.relpath(path, tools.ROOT)


def markdown(bench, facts, versions, bars, chosen, command):
    m = facts
    parts = [f"Taken with `{command}`: {bench.rounds} rounds, medians.",
             f"Machine: {m['cpu']}{' (virtual)' if m['virtual'] else ''}, {m['cores']} cores, {m['memory_mib']} MiB, "
             f"Linux {m['kernel']}, {m['system']}; load average at the start {m['load_at_start']}.",
             "Compared: " + "; ".join(f"{n}: {v}" for n, v in versions.items()) + ".",
             "### Bars", table(["bar", "verdict", "figure"], bars) if bars else "None judged."]
    for case in chosen:
        if case in bench.results or case in bench.failed:
            parts += [f"### {case_title(bench, case)}", case_table(bench, case)]
            parts += [f"{name} failed: {why}" for name, why in bench.failed.get(case, {}).items()]
    return "\n\n".join(parts)


def write_docs(text):
    path = os.path.join(tools.ROOT, "docs", "performance.md")
    with open(path, encoding="utf-8") as f:
        page = f.read()
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"docs/performance.md lacks the lines {BEGIN} and {END}")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
