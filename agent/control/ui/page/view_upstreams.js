/* The endpoints of each upstream: where they are, how they do, since when and why; drained by hand. */

import { h } from "./dom.js";
import { href, link } from "./route.js";
import { live, kind, nameCallers, placeOf, seenBy, states } from "./live.js";
import { noWrites } from "./api.js";
import { badge, choice, confirm, empty, fits, mark, reason, search, stateBadge, time, toneOf } from "./parts.js";
import { clock, count, is, ms, percent, plural, rate, share, span } from "./fmt.js";

const ALL_OPEN = 6, ASK_ALL = 40, SHOWN = 60;

/* An upstream as one sidecar sees it, from the page (endpoints) and from the ticks (rates), by agent, caller and name. */
function merge(ctx) {
	const all = new Map();
	const row = (a, o, from, to) => {
		const key = seenBy(a.address, o);
		return all.get(key) || all.set(key, { key, node: placeOf(a), address: a.address || "", from, to, instance: o.instance, edge: null, page: null }).get(key);
	};
	for (const a of states())
		for (const e of a.state.edges || [])
			row(a, e, e.from, e.to).edge = e;
	for (const part of ctx.data || [])
		for (const u of part.body?.upstreams || []) {
			if (u.kind === "handler" || (u.kind !== "service" && !u.requests))
				continue;
			row(part, u, u.sidecar, u.name).page = u;
		}
	return nameCallers(Array.from(all.values()));
}

function health(r) {
	const known = r.page?.endpoints.length ? r.page.endpoints : null;
	if (known)
		return { up: known.filter(e => toneOf(e.state) === "ok").length, of: r.page.endpoints_total };
	return { up: r.edge?.healthy ?? null, of: r.edge?.endpoints ?? null };
}

function tone(r) {
	const { up, of } = health(r);
	return of === null || of === 0 ? "off" : up === 0 ? "bad" : up < of ? "warn" : "ok";
}

const failing = r => r.edge ? share(r.edge.errors, r.edge.rate) : r.page ? share(r.page.failures, r.page.requests) : 0;
const worth = r => ({ bad: 3e9, warn: 2e9 }[tone(r)] || 0) + (failing(r) >= 1 ? 1e9 : 0) + (r.edge?.rate || 0);

/* Attempts a second since the page was asked last. */
function remember(ctx, parts) {
	const was = ctx.own.attempts || new Map(), now = new Map(), at = performance.now();
	ctx.own.rates = ctx.own.rates || new Map();
	for (const part of parts)
		for (const u of part.body?.upstreams || [])
			for (const e of u.endpoints) {
				const key = seenBy(part.address, u) + "\0" + e.address, before = was.get(key);
				now.set(key, { n: e.attempts, at });
				if (before && e.attempts >= before.n && at > before.at)
					ctx.own.rates.set(key, (e.attempts - before.n) / (at - before.at) * 1000);
			}
	ctx.own.attempts = now;
}

const WORDS = { v: null, service: null, node: null };

function versions(e) {
	const found = [];
	if (e.meta?.version)
		found.push(["version", e.meta.version]);
	for (const [name, value] of Object.entries(e.agent || {}))
		if (!(name in WORDS))
			found.push([name, value]);
	if (e.zone)
		found.push(["zone", e.zone]);
	return found.map(([name, value]) => h("span", { class: "tag", key: name, title: name }, value));
}

const safe = text => /^[\w.@:[\]-]+$/.test(text) ? text : encodeURIComponent(text);

function drain(ctx, r, e) {
	const why = noWrites(), held = e.state === "drained", at = `upstreams/${safe(r.to)}/endpoints/${safe(e.address)}?state=`;
	const undo = { text: "Undo", fn: () => ctx.change(at + (held ? "drained" : "up"), held ? `${e.address} is drained again` : `${e.address} takes requests again`) };
	const act = async () => {
		if (!held && !await confirm(`Drain ${e.address}?`, `Requests to ${r.to} go to its other endpoints, what is under way is finished. ${kind() === "node" ? "For all sidecars of this node" : "For this sidecar"}, until it is put back or the agent starts anew.`, "Drain it"))
			return;
		ctx.change(at + (held ? "up" : "drained"), held ? `${e.address} takes requests again` : `${e.address} is drained`, undo);
	};
	return h("button", { class: "btn small", disabled: why !== null, title: why || (held ? "Let it take requests again" : "Send it no more requests"), "aria-label": (held ? "Put back " : "Drain ") + e.address, onclick: act }, held ? "Put back" : "Drain");
}

function endpoint(ctx, r, e, most) {
	const speed = ctx.own.rates?.get(r.key + "\0" + e.address), node = e.node || e.agent?.node;
	const part = most > 0 && is(speed) ? speed / most * 100 : 0;
	return h("tr", { key: e.address }, h("td", { class: "mono whole", "data-h": "Endpoint" }, e.address), h("td", { "data-h": "Node", class: "at" }, node || "–"), h("td", { "data-h": "State" }, stateBadge(e.state)),
		h("td", { class: "whole at", "data-h": "Since and why" }, e.since || e.why ? [e.since && h("span", { class: "nowrap", title: e.since }, span(Date.now() - new Date(e.since)) + " "), h("span", { class: "sub" }, e.why || ""),
			e.until && toneOf(e.state) === "bad" && h("span", { class: "sub" }, " until " + clock(e.until))] : h("span", { class: "sub" }, "since it is known"),
		e.check && e.check !== "passes" && h("div", { class: "sub warntext" }, "check: " + e.check)),
		h("td", { class: "num", "data-h": "Load" }, is(speed) ? rate(speed) : "–", h("span", { class: "bar", style: { "margin-top": "3px" } }, h("i", { style: { width: part.toFixed(0) + "%" } }))),
		h("td", { class: "num", "data-h": "Under way" }, count(e.active)), h("td", { class: "num", "data-h": "Latency" }, ms(e.latency_ms)),
		h("td", { class: "num", "data-h": "Failed", title: `${count(e.failures)} of ${count(e.attempts)} attempts` }, h("span", { class: e.failures ? "badtext" : null }, count(e.failures))),
		h("td", { "data-h": "Last error" }, e.last_error ? [/^status /.test(e.last_error) ? e.last_error : reason(e.last_error), h("div", { class: "sub" }, time(e.last_error_at))] : "–"), h("td", { "data-h": "Version" }, versions(e).length ? versions(e) : "–"),
		h("td", { class: "num whole" }, drain(ctx, r, e)));
}

function table(ctx, r) {
	if (!r.page)
		return h("p", { class: "pad note" }, ctx.error ? ctx.error.message : "Asking for the endpoints …");
	if (!r.page.endpoints.length)
		return empty(r.page.kind === "service" ? "No endpoint is known" : "Addresses are asked as they come", r.page.kind === "service" ?
			`Requests wait for endpoint-wait and then fail with no-endpoint. Name a registry (outrider.registry), or the addresses: outrider.upstream.${r.to}.endpoints.` : "Calls to hosts that are no known service.");
	const most = Math.max(...r.page.endpoints.map(e => ctx.own.rates?.get(r.key + "\0" + e.address) || 0));
	const shown = r.page.endpoints.slice(0, 200), rest = r.page.endpoints_total - shown.length;
	return [h("div", { class: "scroll" }, h("table", { class: "cards" }, h("thead", null, h("tr", null, ["Endpoint", "Node", "State", "Since and why", "Load", "Under way", "Latency", "Failed", "Last error", "Version", ""].map((t, i) =>
		h("th", { scope: "col", class: (i >= 4 && i <= 7) || i === 10 ? "num" : null }, t || h("span", { class: "sr" }, "By hand"))))), h("tbody", null, shown.map(e => endpoint(ctx, r, e, most))))),
	rest > 0 && h("p", { class: "more" }, `${count(rest)} more endpoints: outrider get /upstreams?service=${r.to}`)];
}

/* A table is made anew only when the agent told something new: ticks between come for free. */
function tableOnce(ctx, r) {
	const all = ctx.own.tables = ctx.own.tables || new Map(), was = all.get(r.key), key = [noWrites(), ctx.error?.message, ctx.params.scope].join("\0");
	if (was && r.page && was.page === r.page && was.key === key)
		return was.node;
	const node = h("div", null, table(ctx, r));
	all.set(r.key, { page: r.page, key, node });
	return node;
}

function card(ctx, r, open) {
	const { up, of } = health(r), edge = r.edge || {}, page = r.page || {}, to = href("upstreams", open && ctx.arg === r.to ? null : r.to, ctx.params);
	return h("section", { class: "card", key: r.key }, h("header", null, mark(failing(r) >= 5 || toneOf(edge.circuit || "closed") === "bad" ? "bad" : failing(r) >= 1 && tone(r) === "ok" ? "warn" : tone(r)), h("h2", { class: "break" }, h("a", { href: to, "data-row": true, "aria-expanded": open ? "true" : "false" }, r.to)),
		h("span", { class: "soft break", title: r.instance }, "called by ", r.caller, live.agents.length > 1 ? " on " + r.node : ""),
		of !== null && of > 0 && badge(tone(r), `${count(up)} of ${count(of)} up`), edge.circuit && edge.circuit !== "closed" && badge(toneOf(edge.circuit), "circuit " + edge.circuit),
		page.mode && page.mode !== "on" && badge("warn", "mode " + page.mode),
		h("span", { class: "right" }, r.edge && h("span", null, rate(edge.rate)), r.edge && h("span", { class: failing(r) >= .5 ? "badtext" : null }, percent(failing(r)) + " failing"), r.edge && h("span", null, "p99 " + ms(edge.p99_ms)),
			edge.retries > 0 && h("a", { href: link("failures", null, { show: "retried", q: r.to }) }, rate(edge.retries) + " retried"), page.balance && h("span", { class: "tag", title: "Balancing" }, page.balance), page.source && h("span", { class: "tag", title: "Who knows the endpoints" }, page.source))),
	open && tableOnce(ctx, r));
}

export default {
	name: "upstreams", title: "Upstreams", live: true, keep: true, every: 2000,
	async load(ctx, signal) {
		const edges = states().reduce((n, a) => n + (a.state.edges || []).length, 0);
		if (!ctx.arg && edges > ASK_ALL)
			return [];
		const parts = await ctx.each(ctx.arg ? "upstreams?service=" + encodeURIComponent(ctx.arg) : "upstreams", signal);
		remember(ctx, parts);
		return parts;
	},
	render(ctx) {
		const all = merge(ctx).sort((a, b) => worth(b) - worth(a) || a.key.localeCompare(b.key)), q = ctx.params.q, show = ctx.params.show;
		/* While the reader looks, rows keep their order; it is made anew when another question is asked. */
		const asked = [q, show, ctx.arg, kind()].join("\0");
		if (ctx.own.asked !== asked || !ctx.own.order?.length)
			Object.assign(ctx.own, { asked, order: all.map(r => r.key) });
		const place = new Map(ctx.own.order.map((key, i) => [key, i]));
		all.sort((a, b) => (place.get(a.key) ?? 1e9) - (place.get(b.key) ?? 1e9));
		const list = all.filter(r => (!ctx.arg || r.to === ctx.arg) && fits(q, r.to, r.from, r.instance, r.node, ...(r.page?.endpoints || []).map(e => e.address)) && (show !== "sick" || tone(r) === "bad" || tone(r) === "warn" || failing(r) >= 1));
		const left = ctx.arg ? 0 : states().reduce((n, a) => n + (a.state.left_out?.edges || 0), 0), most = Number(ctx.params.most) || SHOWN, sick = all.filter(r => tone(r) === "bad" || tone(r) === "warn").length;
		return [h("div", { class: "head" }, h("h1", null, "Upstreams"), h("p", null, plural(all.length, "upstream"), left > 0 ? `, ${count(left)} quiet ones not told` : "", sick > 0 ? h("span", { class: "badtext" }, `, ${sick} with endpoints out`) : ""),
			ctx.arg && h("a", { class: "btn small", href: href("upstreams", null, ctx.params) }, "← all upstreams"),
			h("div", { class: "right" }, choice("Which", "show", "all", show, [["all", "All"], ["sick", "In trouble"]], ctx.params, "upstreams", ctx.arg), search(ctx.params, "q", "Service, caller, address"))),
		noWrites() && kind() === "swarm" && h("p", { class: "note" }, noWrites()),
		(ctx.data || []).filter(p => p.error).map(p => h("p", { class: "note", key: p.node }, mark("warn"), ` ${p.node} does not answer: ${p.error}`)),
		h("div", { class: "tight" }, list.slice(0, most).map(r => card(ctx, r, ctx.arg === r.to || all.length <= ALL_OPEN || (all.length <= ASK_ALL && tone(r) !== "ok" && r.page)))),
		!list.length && h("section", { class: "card" }, all.length ? empty("No upstream fits", show === "sick" ? "All endpoints are up." : "Clear the filter to see all.") :
			empty("No upstream is known", "A service names whom it calls in OUTRIDER_UPSTREAMS, or calls through the proxy at 127.0.0.1:4140.", "OUTRIDER_UPSTREAMS: quotes-service@127.0.4.1:8080")),
		list.length > most && h("p", { class: "more" }, `${count(list.length - most)} more: `, h("a", { href: href("upstreams", ctx.arg, { ...ctx.params, most: most + SHOWN }) }, "show them"), " or filter.")];
	},
};
