/* Rate, errors, latency over ten minutes, with what changed on the same axis. */

import { h } from "./dom.js";
import { link, setParams } from "./route.js";
import { live, states } from "./live.js";
import { changeTone, choice, empty, icon, isOpen, mark, time, stateBadge } from "./parts.js";
import { lineChart, spark } from "./charts.js";
import { bytes, clock, count, ms, percent, rate, share, is } from "./fmt.js";

const WINDOW = 600;

/* One series of all agents: rates add up, of latencies the worst one is shown. */
function joined() {
	const all = Array.from(live.series.values()), at = new Map(), step = live.interval;
	const slot = t => Math.round(t / step);
	for (const s of all)
		s.t.forEach((t, i) => {
			const key = slot(t);
			if (i + 1 < s.t.length && slot(s.t[i + 1]) === key)
				return; /* the history's last point and the first tick */
			let row = at.get(key);
			if (!row)
				at.set(key, row = { t: t / 1000, in: {}, out: {} });
			for (const way of ["in", "out"])
				for (const name of ["rate", "errors", "p50_ms", "p95_ms", "p99_ms"]) {
					const v = s[way][name][i];
					if (is(v))
						row[way][name] = name.endsWith("ms") ? Math.max(row[way][name] ?? 0, v) : (row[way][name] ?? 0) + v;
				}
		});
	return Array.from(at.values()).sort((a, b) => a.t - b.t);
}

function sum(way) {
	const out = { rate: 0, errors: 0, active: 0, p50_ms: null, p95_ms: null, p99_ms: null };
	for (const a of states()) {
		const p = a.state[way] || {};
		for (const name of ["rate", "errors", "active"])
			out[name] += p[name] || 0;
		for (const name of ["p50_ms", "p95_ms", "p99_ms"])
			if (is(p[name]))
				out[name] = Math.max(out[name] ?? 0, p[name]);
	}
	return out;
}

const nice = (least, spare) => max => {
	const m = Math.max(max ?? 0, least) * (spare || 1.15), e = 10 ** Math.floor(Math.log10(m));
	return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map(f => f * e).find(v => v >= m) || m;
};

function figure(title, value, note, tone) {
	const [, number, unit] = /^([\d.<–-]+[kMG]?)(.*)$/.exec(value) || [null, value, ""];
	return h("div", { class: "card figure" }, h("dt", { title }, title), h("dd", { class: tone }, number, unit && h("small", null, unit.replace(/^\s/, " "))), h("dd", { class: "note", title: note }, note));
}

function figures() {
	const i = sum("in"), o = sum("out"), up = states(), process = up.map(a => a.state.process || {});
	const open = up.flatMap(a => a.state.circuits || []).filter(isOpen).length;
	const edges = up.flatMap(a => a.state.edges || []), sick = edges.filter(e => is(e.healthy) && e.healthy < e.endpoints).length;
	const cpu = process.reduce((n, p) => n + (p.cpu_percent || 0), 0), memory = process.reduce((n, p) => n + (p.memory_bytes || 0), 0);
	const failing = share(i.errors, i.rate), calls = share(o.errors, o.rate);
	return h("dl", { class: "figures" },
		figure("Requests in", rate(i.rate), count(i.active) + " under way"),
		figure("Failing", percent(failing), rate(i.errors) + " of requests in", failing >= 1 ? "badtext" : ""),
		figure("Latency p99", ms(i.p99_ms), "p50 " + ms(i.p50_ms) + ", p95 " + ms(i.p95_ms)),
		figure("Calls out", rate(o.rate), percent(calls) + " failing, p99 " + ms(o.p99_ms), ""),
		figure("Open circuits", count(open), sick ? `${sick} upstream${sick > 1 ? "s" : ""} with sick endpoints` : "all endpoints healthy", open ? "badtext" : ""),
		figure("Agent", percent(cpu), bytes(memory) + ", CPU of one core"));
}

/* --- what changed ------------------------------------------------------------------------------------------------------------- */

const keyOf = c => (c.node || "") + "/" + c.number + "/" + c.time_ms;

/* What several nodes tell alike; what is of one service alone is told apart by its name: the rule of ui/changes.c. */
const SHARED = new Set(["rollout", "registry"]), SAME_MS = 5000;
const alike = (a, b) => a.kind === b.kind && a.text === b.text && a.upstream === b.upstream && a.subject === b.subject && (SHARED.has(a.kind) || a.service === b.service);

function shown() {
	/* One thing that several nodes saw is one; a rollout and a registry are of all callers, all else of one service. */
	const all = [];
	for (const c of live.changes) {
		const twin = all.findLast(o => c.time_ms - o.time_ms < SAME_MS && alike(o, c) && !o.nodes.includes(c.node));
		if (twin)
			twin.nodes.push(c.node);
		else
			all.push({ ...c, nodes: [c.node], key: keyOf(c), tone: changeTone(c.kind, c.text) });
	}
	return all;
}

const worst = all => all.find(c => c.tone === "bad") || all.find(c => c.tone === "warn") || all[0];

/* Changes that lie closer than a mark is wide are one mark, with their count. */
function grouped(changes, from, to) {
	const groups = [], wide = document.documentElement.clientWidth < 760 ? 9 : 4.8;
	for (const c of changes) {
		const x = (c.time_ms / 1000 - from) / (to - from) * 100, last = groups[groups.length - 1];
		if (x < 0 || x > 100)
			continue;
		if (last && x - last.x < wide)
			last.all.push(c);
		else
			groups.push({ x, all: [c] });
	}
	return groups;
}

function strip(groups, picked) {
	return h("div", { class: "strip", role: "group", "aria-label": "Changes on the time axis" }, groups.map(g => {
		const one = worst(g.all), on = g.all.some(c => c.key === picked);
		const text = g.all.map(c => clock(c.time_ms) + " " + c.text).join("\n");
		return h("button", { key: g.all[0].key, class: one.tone, style: { left: g.x.toFixed(2) + "%" }, "aria-pressed": on ? "true" : "false", title: text, "aria-label": text,
			onclick: () => setParams({ change: on ? null : one.key }) }, icon(one.kind), g.all.length > 1 && h("b", null, g.all.length));
	}));
}

function subject(c) {
	const parts = [];
	if (c.service)
		parts.push(c.service);
	if (c.upstream)
		parts.push("→ " + c.upstream);
	if (c.subject && c.subject !== c.service)
		parts.push(c.subject);
	if (c.node && live.agents.length > 1)
		parts.push(c.nodes.length > 2 ? `on ${c.nodes.length} nodes` : "on " + c.nodes.join(", "));
	return parts.join(" ");
}

function whereTo(c) {
	if (c.kind === "ejected" || c.kind === "readmitted" || c.kind === "drain")
		return link("upstreams", c.upstream, {});
	if (c.kind === "circuit")
		return link("circuits", null, { q: c.upstream });
	if (c.kind.startsWith("config"))
		return link("config", null, {});
	return c.kind === "registry" ? link("map", null, {}) : link("sidecars", null, { q: c.service });
}

/* A circuit that tries again and again, and what is told twice, is one line with the time since when. Newest first. */
function folded(changes) {
	const lines = [];
	for (const c of changes.slice().reverse()) {
		const last = lines.find(o => c.kind === "circuit" && o.kind === c.kind && o.service === c.service && o.upstream === c.upstream && o.node === c.node && o.first - c.time_ms < 60000);
		if (last) {
			last.times++;
			last.first = c.time_ms;
			last.keys.push(c.key);
		} else {
			lines.push({ ...c, times: 1, first: c.time_ms, keys: [c.key] });
		}
		if (lines.length === 120)
			break;
	}
	return lines;
}

function list(changes, picked) {
	if (!changes.length)
		return empty("Nothing changed lately", "Rollouts, configuration, ejections and circuits are listed here as they happen.");
	return h("ol", { class: "changes tall", tabindex: 0, "aria-label": "What changed" }, folded(changes).map(c => h("li", { key: c.key, class: c.keys.includes(picked) ? "on" : null },
		h("span", { class: c.tone }, icon(c.kind)), h("a", { class: "text", href: whereTo(c), "data-row": true }, c.text), time(c.time_ms), h("span", { class: "sub" }, subject(c), c.times > 1 ? ` · ${c.times} changes since ${clock(c.first)}` : ""))));
}

/* --- charts -------------------------------------------------------------------------------------------------------------------- */

const key = (colour, name, value, style) => h("span", { class: "key " + (style || ""), style: { color: `var(--${colour})` } }, h("i"), h("span", { class: "soft" }, name), h("b", null, value));

function charts(ctx, changes, from, to) {
	const rows = joined(), way = ctx.params.dir === "out" ? "out" : "in", last = rows[rows.length - 1] || { in: {}, out: {} };
	const at = rows[ctx.own.cursor] || last, pointed = rows[ctx.own.cursor];
	const t = rows.map(r => r.t), line = (w, name) => rows.map(r => r[w][name] ?? null);
	const groups = grouped(changes, from, to), shared = { range: [from, to], cursor: index => {
		if (ctx.own.cursor !== index) {
			ctx.own.cursor = index;
			ctx.redraw();
		}
	}, marks: groups.map(g => ({ t: worst(g.all).time_ms / 1000, tone: worst(g.all).tone })).concat(changes.filter(c => c.key === ctx.params.change).map(c => ({ t: c.time_ms / 1000, on: true }))) };
	const failing = w => rows.map(r => is(r[w].rate) && is(r[w].errors) ? share(r[w].errors, r[w].rate) : null);
	const said = r => w => is(r[w].rate) ? percent(share(r[w].errors, r[w].rate)) : "–";
	const when = h("span", { class: "note nowrap" }, pointed ? "at " + clock(pointed.t * 1000) : "now");
	return [
		h("section", { class: "card", key: "rate" }, h("header", null, h("h2", null, "Requests"), when, h("span", { class: "right" }, key("c1", "in", rate(at.in.rate)), key("c2", "calls out", rate(at.out.rate), "dash"))),
			h("div", null, strip(groups, ctx.params.change), lineChart({ label: "Requests a second over the last ten minutes, in and out", data: [t, line("in", "rate"), line("out", "rate")],
				lines: [{ colour: "c1", fill: true }, { colour: "c2", dash: [5, 3] }], format: v => (v >= 10000 ? count(v) : v) + "/s", top: nice(1), ...shared }))),
		h("section", { class: "card", key: "errors" }, h("header", null, h("h2", null, "Failing"), h("span", { class: "note" }, "share of requests"), h("span", { class: "right" }, key("bad", "in", said(at)("in")), key("c2", "calls out", said(at)("out"), "dash"))),
			lineChart({ label: "Share of failing requests over the last ten minutes", data: [t, failing("in"), failing("out")], lines: [{ colour: "bad", fill: true }, { colour: "c2", dash: [5, 3] }],
				format: v => v + "%", top: max => Math.min(100, nice(1)(max)), ...shared })),
		h("section", { class: "card", key: "latency" }, h("header", null, h("h2", null, "Latency"), choice("Direction", "dir", "in", way, [["in", "Requests in"], ["out", "Calls out"]], ctx.params, "overview"),
			live.agents.length > 1 && h("span", { class: "note" }, "of the slowest node"),
			h("span", { class: "right" }, key("p50", "p50", ms(at[way].p50_ms), "dot"), key("p95", "p95", ms(at[way].p95_ms)), key("p99", "p99", ms(at[way].p99_ms), "dash"))),
		lineChart({ label: "Percentiles of latency over the last ten minutes", data: [t, line(way, "p50_ms"), line(way, "p95_ms"), line(way, "p99_ms")],
			lines: [{ colour: "p50", dash: [2, 3] }, { colour: "p95" }, { colour: "p99", dash: [6, 3] }], format: v => v >= 1000 ? v / 1000 + " s" : v + " ms", top: nice(1), ...shared })),
	];
}

function nodes() {
	if (live.agents.length < 2)
		return null;
	const pastless = live.pastless.filter(p => live.agents.some(a => a.ok && a.node === p.node));
	return h("section", { class: "card" }, h("header", null, h("h2", null, "Nodes"), h("span", { class: "right" }, live.agents.length + " agents")),
		pastless.length > 0 && h("p", { class: "pad note", "data-pastless": pastless.length }, mark("warn"), ` Charts have the last ten minutes without ${pastless.slice(0, 5).map(p => `${p.node} (${p.error})`).join(", ")}${pastless.length > 5 ? ` and ${pastless.length - 5} more` : ""}; what comes now is in them.`), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" }, h("table", { class: "cards" },
		h("thead", null, h("tr", null, ["Node", "State", "In", "Failing", "p99", "Last ten minutes", "CPU", "Memory", "Sidecars"].map((t, i) => h("th", { class: i > 1 && i !== 5 ? "num" : null, scope: "col" }, t)))),
		h("tbody", null, live.agents.map(a => {
			const s = a.state || {}, i = s.in || {}, p = s.process || {}, series = live.series.get(a.address);
			return h("tr", { key: a.node + a.address }, h("td", { class: "whole" }, h("span", { class: "name" }, a.node || "?"), " ", a.address && h("a", { class: "note mono", href: `http://${a.address}/`, rel: "noreferrer", title: "Its own page, where this browser reaches it" }, a.address)),
				h("td", { "data-h": "State" }, a.ok ? stateBadge("ok") : h("span", null, stateBadge("down"), " ", h("span", { class: "note" }, a.error))),
				[["In", rate(i.rate)], ["Failing", percent(share(i.errors, i.rate))], ["p99", ms(i.p99_ms)]].map(([n, v]) => h("td", { class: "num", "data-h": n }, a.ok ? v : "–")),
				h("td", { style: { "min-width": "140px" } }, series && spark(series.in.rate, "Requests a second of " + a.node)),
				[["CPU", percent(p.cpu_percent)], ["Memory", bytes(p.memory_bytes)], ["Sidecars", count(s.sidecars?.length)]].map(([n, v]) => h("td", { class: "num", "data-h": n }, a.ok ? v : "–")));
		})))));
}

function trouble() {
	const bad = states().flatMap(a => (a.state.support || []).filter(s => s.state !== "ok").map(s => ({ ...s, node: a.node })));
	return bad.length > 0 && h("section", { class: "card pad" }, h("h2", null, "Support systems in trouble"), h("ul", null, bad.slice(0, 8).map(s => h("li", { class: "break", style: { "padding-top": "6px" } },
		mark("bad"), " ", h("span", { class: "strong" }, s.name), " ", s.why || s.detail, live.agents.length > 1 ? " (" + s.node + ")" : ""))));
}

export default {
	name: "overview", title: "Overview", live: true,
	leave: ctx => ctx && (ctx.own.cursor = null),
	render(ctx) {
		const to = (live.time || Date.now()) / 1000, from = to - WINDOW, changes = shown();
		return [h("h1", { class: "sr" }, "Overview"), figures(), h("div", { class: "split" },
			h("div", { class: "stack" }, charts(ctx, changes.filter(c => c.time_ms / 1000 >= from), from, to), nodes()),
			h("div", { class: "stack" }, trouble(), h("section", { class: "card" }, h("header", null, h("h2", null, "What changed"), h("span", { class: "right note" }, live.changes.length ? "newest first" : "")),
				list(changes, ctx.params.change))))];
	},
};
