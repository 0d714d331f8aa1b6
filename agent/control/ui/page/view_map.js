/* Who calls whom. With a service picked: it, its callers and whom it calls. */

import { h } from "./dom.js";
import { link, href, setParams } from "./route.js";
import { live, seenBy, states } from "./live.js";
import { empty, fits, mark, search, stateBadge, toneOf } from "./parts.js";
import { GAP, NODE, PEER, below, layout, route } from "./map_layout.js";
import { count, cut, ms, percent, plural, rate, share, is } from "./fmt.js";

const EDGES = 140, LABELS = 26, PEERS = 24;

/* Edges of all agents by who calls whom, added up; one service calls from several instances, on several nodes. */
function graph() {
	const edges = new Map(), nodes = new Map();
	const node = name => nodes.get(name) || nodes.set(name, { name, in: null, stack: null, count: 0, down: 0, called: 0, errors: 0, p99: null }).get(name);
	for (const a of states()) {
		for (const s of a.state.sidecars || []) {
			const n = node(s.service);
			n.in ||= { rate: 0, errors: 0, p99: null };
			n.in.rate += s.in?.rate || 0;
			n.in.errors += s.in?.errors || 0;
			n.in.p99 = is(s.in?.p99_ms) ? Math.max(n.in.p99 ?? 0, s.in.p99_ms) : n.in.p99;
			n.stack = s.stack || n.stack;
			n.count++;
			n.down += s.handler === "down" ? 1 : 0;
		}
		for (const e of a.state.edges || []) {
			node(e.from);
			node(e.to);
			const key = e.from + "\0" + e.to, was = edges.get(key);
			const sum = was || { from: e.from, to: e.to, key, rate: 0, errors: 0, retries: 0, p50: null, p99: null, circuit: "closed", healthy: null, endpoints: null, slow: false, usual: null };
			for (const name of ["rate", "errors", "retries"])
				sum[name] += e[name] || 0;
			sum.p50 = is(e.p50_ms) ? Math.max(sum.p50 ?? 0, e.p50_ms) : sum.p50;
			sum.p99 = is(e.p99_ms) ? Math.max(sum.p99 ?? 0, e.p99_ms) : sum.p99;
			const row = live.edges.get(seenBy(a.address, e));
			sum.slow = sum.slow || row?.slow === true;
			sum.usual = row?.slow && is(row.usual) ? Math.max(sum.usual ?? 0, row.usual) : sum.usual;
			sum.circuit = toneOf(sum.circuit) === "bad" || toneOf(e.circuit) === "ok" ? sum.circuit : e.circuit;
			if (is(e.endpoints) && (sum.healthy === null || e.healthy < sum.healthy))
				Object.assign(sum, { healthy: e.healthy, endpoints: e.endpoints });
			edges.set(key, sum);
		}
	}
	for (const e of edges.values()) {
		const to = nodes.get(e.to);
		to.called += e.rate;
		to.errors += e.errors;
		to.p99 = is(e.p99) ? Math.max(to.p99 ?? 0, e.p99) : to.p99;
		e.tone = edgeTone(e);
	}
	return { nodes, edges: Array.from(edges.values()) };
}

function edgeTone(e) {
	const failing = share(e.errors, e.rate);
	if (failing >= 5 || toneOf(e.circuit) === "bad" || (e.endpoints > 0 && e.healthy === 0))
		return "bad";
	return failing >= .5 || toneOf(e.circuit) === "warn" || (is(e.healthy) && e.healthy < e.endpoints) || e.slow || e.retries > 0.05 * Math.max(e.rate, 1) ? "warn" : "ok";
}

function nodeTone(n) {
	const failing = n.in ? share(n.in.errors, n.in.rate) : share(n.errors, n.called);
	if (failing >= 5 || (n.down && n.down === n.count))
		return "bad";
	return failing >= .5 || n.down ? "warn" : n.in || n.called ? "ok" : "off";
}

/* With many, only what is busiest or in trouble is drawn; the rest shows when a service is picked. */
function choose(g, focus) {
	if (focus) {
		const edges = g.edges.filter(e => e.from === focus || e.to === focus), names = new Set([focus, ...edges.flatMap(e => [e.from, e.to])]), fixed = {};
		for (const name of names)
			fixed[name] = name === focus ? 1 : edges.some(e => e.from === name) ? 0 : 2;
		return { edges, names: Array.from(names), fixed, hidden: 0 };
	}
	const worth = e => ({ bad: 1e12, warn: 1e9, ok: 0 }[e.tone]) + e.rate;
	const edges = g.edges.slice().sort((a, b) => worth(b) - worth(a) || a.key.localeCompare(b.key)).slice(0, EDGES);
	return { edges, names: Array.from(g.nodes.keys()), fixed: null, hidden: g.edges.length - edges.length };
}

/* The same nodes and edges keep their places while only figures change. */
function placed(ctx, chosen) {
	const names = chosen.names.slice().sort();
	const key = JSON.stringify([chosen.edges.length <= LABELS, ...names]);
	if (ctx.own.key !== key || !ctx.own.plan)
		Object.assign(ctx.own, { key, plan: layout(names, chosen.edges, chosen.fixed, chosen.edges.length <= LABELS ? GAP.labels : GAP.x) });
	return ctx.own.plan;
}

/* The one that a search finds. */
function only(g, q) {
	const hit = q ? Array.from(g.nodes.keys()).filter(n => fits(q, n)) : [];
	return hit.length === 1 ? hit[0] : null;
}

function neighbours(g, of) {
	return of ? Object.assign(new Set([of, ...g.edges.filter(e => e.from === of || e.to === of).flatMap(e => [e.from, e.to])]), { of }) : null;
}

function box(ctx, n, at, near, picked, q) {
	const tone = nodeTone(n), figures = n.in ? n.in : { rate: n.called, errors: n.errors, p99: n.p99 }, failing = share(figures.errors, figures.rate);
	const line = rate(figures.rate) + (is(figures.p99) ? " · p99 " + ms(figures.p99) : "") + (failing >= .05 ? " · " + percent(failing) : "");
	const says = `${n.name}: ${line}${failing >= .05 ? " failing" : ""}${n.count ? ", " + plural(n.count, "instance") : ""}${n.down ? ", " + n.down + " with the handler down" : ""}`;
	const dim = near ? !near.has(n.name) : q && !fits(q, n.name, n.stack);
	const to = picked === n.name ? link("map", null, { q }) : link("map", n.name, { q });
	const open = () => location.hash = to;
	const over = name => () => {
		ctx.own.hover = name;
		ctx.redraw();
	};
	return h("g", { onmouseenter: over(n.name), onmouseleave: over(null), onfocus: over(n.name), onblur: over(null), key: n.name, class: "node" + (picked === n.name ? " on" : "") + (dim ? " dim" : ""), transform: `translate(${at.x.toFixed(1)} ${at.y.toFixed(1)})`, role: "link", tabindex: "0", "data-row": true, "data-node": n.name,
		"aria-label": says, onclick: open, onkeydown: event => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), open()) },
	h("title", null, says), h("rect", { class: "box", width: NODE.w, height: NODE.h, rx: 8 }),
	h("svg", { x: 10, y: 10, width: 11, height: 11, viewBox: "0 0 10 10", class: tone }, mark(tone).kids), h("text", { class: "t", x: 27, y: 19 }, cut(n.name, n.count > 1 ? 17 : 18)),
	n.count > 1 && h("text", { class: "s", x: NODE.w - 9, y: 19, "text-anchor": "end" }, "×" + n.count), h("text", { class: "s", x: 11, y: 36 }, cut(line, 27)));
}

/* As short as on a label: 2.1 ms, 24 ms, 1.3 s. */
const brief = n => n >= 1000 ? (n / 1000).toFixed(1) + " s" : (n >= 10 ? Math.round(n) : n.toFixed(1)) + " ms";

/* [calls and latency, share that failed or nothing]: one line or two. */
function labelOf(e) {
	const failing = share(e.errors, e.rate);
	return [[e.rate >= 10 && e.rate < 1000 ? Math.round(e.rate) + "/s" : rate(e.rate), is(e.p99) && brief(e.p99)].filter(Boolean).join(" · "), failing >= .05 && percent(failing) + " fail"].filter(Boolean);
}

/* Labels that would lie on each other stand below each other. */
function apart(edges) {
	const placed = [];
	for (const e of edges.slice().sort((a, b) => a.y - b.y)) {
		const text = labelOf(e), label = { ...e, text, width: Math.max(...text.map(t => t.length)) * 6.1 + 12, height: 4 + 14 * text.length };
		for (let turn = 0; turn < 12; turn++) {
			const hit = placed.find(p => Math.abs(p.x - label.x) < (p.width + label.width) / 2 + 2 && Math.abs(p.y - label.y) < (p.height + label.height) / 2 + 1);
			if (!hit)
				break;
			label.y = hit.y + (hit.height + label.height) / 2 + 1;
		}
		placed.push(label);
	}
	return placed;
}

function lines(chosen, plan, near) {
	const most = Math.max(...chosen.edges.map(e => e.rate), 1), labels = chosen.edges.length <= LABELS;
	const edges = chosen.edges.filter(e => plan.at.has(e.from) && plan.at.has(e.to) && e.from !== e.to).map(e => ({ ...e, ...route(plan.at.get(e.from), plan.at.get(e.to), (plan.bends.get(e.key) || []).map(b => plan.at.get(b))) }));
	return [h("g", { key: "edges" }, edges.map(e => h("path", { key: e.key, "data-edge": e.from + " " + e.to, class: "edge" + (e.tone === "ok" ? "" : " " + e.tone) + (near && e.from !== near.of && e.to !== near.of ? " dim" : ""), d: e.path, "marker-end": `url(#tip-${e.tone})`,
		"stroke-width": (1.2 + 3 * Math.sqrt(e.rate / most)).toFixed(2), "stroke-opacity": near || chosen.edges.length <= 60 ? 1 : e.tone === "ok" ? .45 : .8 },
	h("title", null, `${e.from} → ${e.to}: ${rate(e.rate)}, ${percent(share(e.errors, e.rate))} failing, p99 ${ms(e.p99)}${e.slow ? `, usually ${ms(e.usual)}` : ""}, retries ${rate(e.retries)}, circuit ${e.circuit}${is(e.healthy) ? `, ${e.healthy} of ${e.endpoints} endpoints` : ""}`)))),
	labels && h("g", { key: "labels" }, apart(edges).map(e => {
		const { text, width, height } = e;
		return h("g", { key: e.key, class: "label " + e.tone + (near && e.from !== near.of && e.to !== near.of ? " dim" : ""), transform: `translate(${e.x.toFixed(1)} ${e.y.toFixed(1)})`, "aria-hidden": "true" }, h("rect", { x: -width / 2, y: -height / 2, width, height, rx: 5 }), text.map((t, i) => h("text", { "text-anchor": "middle", y: 4 + (i - (text.length - 1) / 2) * 14 }, t)));
	}))];
}

const tips = () => h("defs", null, [["ok", "line-strong"], ["warn", "warn"], ["bad", "bad"]].map(([tone, colour]) => h("marker", { key: tone, id: "tip-" + tone, viewBox: "0 0 8 8", refX: 7.5, refY: 4, markerWidth: 9, markerHeight: 9,
	markerUnits: "userSpaceOnUse", orient: "auto" }, h("path", { d: "M0 .5L8 4 0 7.500z", fill: `var(--${colour})` }))));

/* Sources of configuration, registries, exporters, sinks, the engine: of all agents, one that is in trouble for any of them first. */
function systems() {
	const seen = new Map();
	for (const a of states())
		for (const s of a.state.support || []) {
			const key = s.kind + " " + s.name, was = seen.get(key), bad = s.state !== "ok";
			if (!was)
				seen.set(key, { ...s, key, bad, nodes: 1, node: a.node });
			else
				Object.assign(was, bad && !was.bad ? { ...s, bad, node: a.node } : {}, { nodes: was.nodes + 1 });
		}
	return Array.from(seen.values()).sort((a, b) => b.bad - a.bad || a.key.localeCompare(b.key));
}

const saysOf = s => (s.bad ? (s.why || "in trouble") + (live.agents.length > 1 ? `, says ${s.node}` : "") + ". " : "") + (s.detail || (s.bad ? "" : "answers"));

function peer(ctx, s, at) {
	const on = ctx.params.system === s.key, tone = s.bad ? "bad" : "ok", says = `${s.kind} ${s.name}, ${s.bad ? "in trouble" : "well"}: ${saysOf(s)}`;
	const open = () => setParams({ system: on ? null : s.key }, true);
	return h("g", { key: s.key, class: "node system" + (on ? " on" : ""), transform: `translate(${at.x} ${at.y})`, role: "button", "aria-pressed": on ? "true" : "false", tabindex: "0", "data-row": true, "data-peer": s.key, "aria-label": says, onclick: open, onkeydown: event => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), open()) },
		h("title", null, says), h("rect", { class: "box " + tone, width: PEER.w, height: PEER.h, rx: 8 }), h("svg", { x: 10, y: 10, width: 11, height: 11, viewBox: "0 0 10 10", class: tone }, mark(tone).kids),
		h("text", { class: "t", x: 27, y: 19 }, cut(s.kind, 16)), h("text", { class: "s " + tone, x: PEER.w - 10, y: 19, "text-anchor": "end" }, s.bad ? "trouble" : "well"), h("text", { class: "s", x: 11, y: 36 }, cut(s.name, 29)));
}

/* The picked one, and those in trouble, in words. */
function support(ctx, all) {
	const picked = all.filter(s => s.key === ctx.params.system), shown = picked.length ? picked : all.filter(s => s.bad);
	if (!all.length)
		return h("p", { class: "note" }, "No support system is used: options outrider.config, outrider.registry, outrider.trace and outrider.log name them.");
	return shown.length > 0 && h("section", { class: "card", id: "systems" }, h("header", null, h("h2", null, picked.length ? "Support system" : "Support systems in trouble"), h("span", { class: "right note" }, shown.some(s => s.bad) ? "traffic goes on with the last good state" : "")),
		h("div", { class: "pad" }, h("ul", { class: "lane" }, shown.map(s => h("li", { class: "peer", key: s.key }, mark(s.bad ? "bad" : "ok"), h("span", { class: "break" }, h("b", null, s.kind), " ", h("span", { class: "mono" }, s.name)),
			h("span", { class: "sub" }, saysOf(s), live.agents.length > 1 ? ` Used by ${plural(s.nodes, "agent")}.` : ""))))));
}

function detail(g, focus) {
	const rows = g.edges.filter(e => e.from === focus || e.to === focus).sort((a, b) => b.rate - a.rate);
	return h("section", { class: "card" }, h("header", null, h("h2", { class: "break" }, focus), h("span", { class: "right" }, h("a", { href: link("upstreams", focus, {}) }, "Its endpoints"), h("a", { href: link("failures", null, { q: focus }) }, "Its failures"), h("a", { href: link("sidecars", null, { q: focus }) }, "Its sidecars"))),
		h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" }, h("table", { class: "cards" }, h("thead", null, h("tr", null, ["Caller", "Called", "Rate", "Failing", "p50", "p99", "Retries", "Circuit", "Endpoints"].map((t, i) => h("th", { scope: "col", class: i > 1 && i !== 7 ? "num" : null }, t)))),
			h("tbody", null, rows.map(e => h("tr", { key: e.key }, h("td", { "data-h": "Caller", class: "name" }, e.from), h("td", { "data-h": "Called", class: "name" }, e.to), h("td", { class: "num", "data-h": "Rate" }, rate(e.rate)),
				h("td", { class: "num" + (e.errors ? " badtext" : ""), "data-h": "Failing" }, percent(share(e.errors, e.rate))), h("td", { class: "num", "data-h": "p50" }, ms(e.p50)), h("td", { class: "num", "data-h": "p99" }, ms(e.p99)), h("td", { class: "num", "data-h": "Retries" }, rate(e.retries)),
				h("td", { "data-h": "Circuit" }, stateBadge(e.circuit)), h("td", { class: "num", "data-h": "Endpoints" }, is(e.healthy) ? `${count(e.healthy)} of ${count(e.endpoints)}` : "–")))))));
}

export default {
	name: "map", title: "Map", live: true, keep: true,
	render(ctx) {
		const g = graph(), focus = ctx.arg && g.nodes.has(ctx.arg) ? ctx.arg : null, chosen = choose(g, focus), q = focus ? null : ctx.params.q;
		const left = states().reduce((n, a) => n + (a.state.left_out?.edges || 0), 0) + chosen.hidden;
		const all = systems();
		let graphic = empty("No call was seen yet", "Services and their calls appear here with the first request through the agent.");
		if (g.nodes.size) {
			const plan = placed(ctx, chosen), near = neighbours(g, focus ? null : ctx.own.hover || only(g, q));
			const lean = below(plan, Math.min(all.length, PEERS));
			graphic = h("div", { class: "map", role: "group", "aria-label": "Map of services", tabindex: 0 }, h("svg", { viewBox: `0 0 ${lean.width} ${lean.height}`, style: { width: "100%", "max-width": lean.width + "px", "min-width": Math.round(lean.width * .68) + "px" } }, tips(), lines(chosen, plan, near),
				h("g", { key: "nodes" }, chosen.names.filter(n => plan.at.has(n)).map(n => box(ctx, g.nodes.get(n), plan.at.get(n), near, focus, q))),
				all.length > 0 && h("g", { key: "systems" }, h("path", { class: "rule", d: `M16 ${lean.line}H${lean.width - 16}` }), h("text", { class: "s", x: 16, y: lean.line + 17 }, "what agents lean on" + (all.length > PEERS ? `; ${all.length - PEERS} more that are well` : "")), lean.at.map((at, i) => peer(ctx, all[i], at)))));
		}
		const sick = g.edges.filter(e => e.tone === "bad").length;
		return [h("div", { class: "head" }, h("h1", null, "Map"), h("p", null, plural(g.nodes.size, "service"), ", ", plural(g.edges.length, "call"), sick > 0 ? h("span", { class: "badtext" }, `, ${sick} in trouble`) : ""),
			focus && h("a", { class: "btn small", href: link("map", null, {}) }, "← all services"), h("div", { class: "right" }, search(ctx.params, "q", "Find a service"),
				ctx.params.q && g.nodes.size > 0 && h("a", { class: "btn", href: href("map", Array.from(g.nodes.keys()).find(n => fits(ctx.params.q, n)), { scope: ctx.params.scope }) }, "Focus"))),
		ctx.arg && !focus && h("p", { class: "note" }, `“${ctx.arg}” is not among the services that are known now.`),
		h("section", { class: "card" }, graphic, h("div", { class: "pad legend" }, h("span", null, mark("ok"), " well"), h("span", null, mark("warn"), " some fail, an endpoint is out, or far slower than usual"), h("span", null, mark("bad"), " 5% or more fail, or the circuit is open"),
			h("span", null, "thicker: more calls"), chosen.edges.length <= LABELS && h("span", null, "on a line: calls a second · p99"), left > 0 && h("span", null, `${count(left)} quiet calls are not drawn: pick a service to see its own`))),
		focus && detail(g, focus), support(ctx, all)];
	},
};
