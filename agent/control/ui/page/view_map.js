/* Who calls whom. With a service picked: it, its callers and whom it calls. */

import { h } from "./dom.js";
import { link, href } from "./route.js";
import { live, states } from "./live.js";
import { empty, fits, mark, search, stateBadge, toneOf } from "./parts.js";
import { NODE, layout, route } from "./map_layout.js";
import { count, cut, ms, percent, plural, rate, share, is } from "./fmt.js";

const EDGES = 140, LABELS = 26;

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
			const sum = was || { from: e.from, to: e.to, key, rate: 0, errors: 0, retries: 0, p50: null, p99: null, circuit: "closed", healthy: null, endpoints: null };
			for (const name of ["rate", "errors", "retries"])
				sum[name] += e[name] || 0;
			sum.p50 = is(e.p50_ms) ? Math.max(sum.p50 ?? 0, e.p50_ms) : sum.p50;
			sum.p99 = is(e.p99_ms) ? Math.max(sum.p99 ?? 0, e.p99_ms) : sum.p99;
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
	return failing >= .5 || toneOf(e.circuit) === "warn" || (is(e.healthy) && e.healthy < e.endpoints) || e.retries > 0.05 * Math.max(e.rate, 1) ? "warn" : "ok";
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
	const key = JSON.stringify(names);
	if (ctx.own.key !== key || !ctx.own.plan)
		Object.assign(ctx.own, { key, plan: layout(names, chosen.edges, chosen.fixed) });
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

/* Labels that would lie on each other stand below each other. */
function apart(edges) {
	const placed = [];
	for (const e of edges.slice().sort((a, b) => a.y - b.y)) {
		const failing = share(e.errors, e.rate), text = (e.rate >= 10 && e.rate < 1000 ? Math.round(e.rate) + "/s" : rate(e.rate)) + (failing >= .05 ? " " + percent(failing) : ""), label = { ...e, text, width: text.length * 6.3 + 12 };
		for (let turn = 0; turn < 12; turn++) {
			const hit = placed.find(p => Math.abs(p.x - label.x) < (p.width + label.width) / 2 + 2 && Math.abs(p.y - label.y) < 19);
			if (!hit)
				break;
			label.y = hit.y + 19;
		}
		placed.push(label);
	}
	return placed;
}

function lines(chosen, plan, near) {
	const most = Math.max(...chosen.edges.map(e => e.rate), 1), labels = chosen.edges.length <= LABELS;
	const edges = chosen.edges.filter(e => plan.at.has(e.from) && plan.at.has(e.to) && e.from !== e.to).map(e => ({ ...e, ...route(plan.at.get(e.from), plan.at.get(e.to), (plan.bends.get(e.key) || []).map(b => plan.at.get(b))) }));
	return [h("g", { key: "edges" }, edges.map(e => h("path", { key: e.key, class: "edge" + (e.tone === "ok" ? "" : " " + e.tone) + (near && e.from !== near.of && e.to !== near.of ? " dim" : ""), d: e.path, "marker-end": `url(#tip-${e.tone})`,
		"stroke-width": (1.2 + 3 * Math.sqrt(e.rate / most)).toFixed(2), "stroke-opacity": near || chosen.edges.length <= 60 ? 1 : e.tone === "ok" ? .45 : .8 },
	h("title", null, `${e.from} → ${e.to}: ${rate(e.rate)}, ${percent(share(e.errors, e.rate))} failing, p99 ${ms(e.p99)}, retries ${rate(e.retries)}, circuit ${e.circuit}${is(e.healthy) ? `, ${e.healthy} of ${e.endpoints} endpoints` : ""}`)))),
	labels && h("g", { key: "labels" }, apart(edges).map(e => {
		const { text, width } = e;
		return h("g", { key: e.key, class: "label " + e.tone + (near && e.from !== near.of && e.to !== near.of ? " dim" : ""), transform: `translate(${e.x.toFixed(1)} ${e.y.toFixed(1)})`, "aria-hidden": "true" }, h("rect", { x: -width / 2, y: -9, width, height: 18, rx: 5 }), h("text", { "text-anchor": "middle", y: 4 }, text));
	}))];
}

const tips = () => h("defs", null, [["ok", "line-strong"], ["warn", "warn"], ["bad", "bad"]].map(([tone, colour]) => h("marker", { key: tone, id: "tip-" + tone, viewBox: "0 0 8 8", refX: 7.5, refY: 4, markerWidth: 9, markerHeight: 9,
	markerUnits: "userSpaceOnUse", orient: "auto" }, h("path", { d: "M0 .5L8 4 0 7.500z", fill: `var(--${colour})` }))));

function support() {
	const seen = new Map();
	for (const a of states())
		for (const s of a.state.support || []) {
			const key = s.kind + "\0" + s.name, was = seen.get(key);
			if (!was || (was.state === "ok" && s.state !== "ok"))
				seen.set(key, { ...s, nodes: (was?.nodes || 0) + 1, node: a.node });
			else
				was.nodes++;
		}
	const all = Array.from(seen.values());
	return h("section", { class: "card" }, h("header", null, h("h2", null, "Support systems"), h("span", { class: "right note" }, all.some(s => s.state !== "ok") ? "traffic goes on with the last good state" : "")),
		all.length ? h("div", { class: "pad" }, h("ul", { class: "lane" }, all.map(s => h("li", { class: "peer", key: s.kind + s.name }, mark(s.state === "ok" ? "ok" : "bad"), h("span", { class: "break" }, h("b", null, s.kind), " ", h("span", { class: "mono" }, s.name)),
			h("span", { class: "sub" }, s.state === "ok" ? "" : (s.why || "in trouble") + (live.agents.length > 1 ? `, says ${s.node}` : "") + ". ", s.detail || (s.state === "ok" ? "answers" : "")))))) :
			empty("None is used", "Options outrider.config, outrider.registry, outrider.trace and outrider.log name them."));
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
		let graphic = empty("No call was seen yet", "Services and their calls appear here with the first request through the agent.");
		if (g.nodes.size) {
			const plan = placed(ctx, chosen), near = neighbours(g, focus ? null : ctx.own.hover || only(g, q));
			graphic = h("div", { class: "map", role: "group", "aria-label": "Map of services", tabindex: 0 }, h("svg", { viewBox: `0 0 ${plan.width} ${plan.height}`, style: { width: "100%", "max-width": plan.width + "px", "min-width": Math.round(plan.width * .68) + "px" } }, tips(), lines(chosen, plan, near),
				h("g", null, chosen.names.filter(n => plan.at.has(n)).map(n => box(ctx, g.nodes.get(n), plan.at.get(n), near, focus, q)))));
		}
		const sick = g.edges.filter(e => e.tone === "bad").length;
		return [h("div", { class: "head" }, h("h1", null, "Map"), h("p", null, plural(g.nodes.size, "service"), ", ", plural(g.edges.length, "call"), sick > 0 ? h("span", { class: "badtext" }, `, ${sick} in trouble`) : ""),
			focus && h("a", { class: "btn small", href: link("map", null, {}) }, "← all services"), h("div", { class: "right" }, search(ctx.params, "q", "Find a service"),
				ctx.params.q && g.nodes.size > 0 && h("a", { class: "btn", href: href("map", Array.from(g.nodes.keys()).find(n => fits(ctx.params.q, n)), { scope: ctx.params.scope }) }, "Focus"))),
		ctx.arg && !focus && h("p", { class: "note" }, `“${ctx.arg}” is not among the services that are known now.`),
		h("section", { class: "card" }, graphic, h("div", { class: "pad legend" }, h("span", null, mark("ok"), " well"), h("span", null, mark("warn"), " some fail, or an endpoint is out"), h("span", null, mark("bad"), " 5% or more fail, or the circuit is open"),
			h("span", null, "thicker: more calls"), left > 0 && h("span", null, `${count(left)} quiet calls are not drawn: pick a service to see its own`))),
		focus && detail(g, focus), support()];
	},
};
