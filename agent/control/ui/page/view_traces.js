/* Traces that the flight recorder knows, and one of them as a waterfall. */

import { h } from "./dom.js";
import { go, href, link } from "./route.js";
import { limitOf } from "./api.js";
import { badge, choice, empty, fits, mark, picker, reason, search, time } from "./parts.js";
import { clock, count, ms, plural } from "./fmt.js";

const LIMIT = 100;

function query(p) {
	const all = [["limit", limitOf(LIMIT)], ["slow", p.slow], ["failed", p.show === "failed" ? "true" : null]].filter(([, v]) => v);
	return "traces?" + all.map(([k, v]) => k + "=" + encodeURIComponent(v)).join("&");
}

/* One row for each trace, from all agents: who knows the earliest part has its root. */
function join(parts) {
	const all = new Map();
	for (const part of parts || [])
		for (const t of part.body?.traces || []) {
			const was = all.get(t.trace_id);
			if (!was)
				all.set(t.trace_id, { ...t, nodes: [part.node] });
			else
				Object.assign(was, t.duration_ms > was.duration_ms ? { ...t } : {}, { failed: was.failed || t.failed, spans: was.spans + t.spans, nodes: [...was.nodes, part.node] });
		}
	return Array.from(all.values()).sort((a, b) => b.time.localeCompare(a.time));
}

function reach(parts) {
	const r = parts?.find(p => p.body?.reaches_back)?.body.reaches_back;
	return r && h("p", { class: "note" }, `Sampled traces are known since ${clock(r.others_since)}, failures and slow ones since ${clock(r.failures_and_slow_since)}; outrider.trace.sample and outrider.flight.size keep more.`);
}

function list(ctx) {
	const all = join(ctx.data?.list), q = ctx.params.q, shown = all.filter(t => fits(q, t.trace_id, t.service, t.path, t.method)), most = Math.max(1, ...shown.map(t => t.duration_ms));
	return [h("section", { class: "card" }, shown.length ? h("div", { class: "scroll" }, h("table", { class: "cards" }, h("thead", null, h("tr", null, ["Began", "Request", "Service", "Took", "", "Spans", "Trace"].map((t, i) => h("th", { scope: "col", class: i === 3 || i === 5 ? "num" : null }, t || h("span", { class: "sr" }, "Share of the longest"))))),
		h("tbody", null, shown.map(t => {
			const to = link("traces", t.trace_id, { ...ctx.params });
			return h("tr", { key: t.trace_id, class: "pick", onclick: event => event.target.tagName !== "A" && go(to) }, h("td", { "data-h": "Began" }, time(t.time, true)), h("td", { class: "whole" }, t.failed && badge("bad", "failed"), " ", h("span", { class: "strong" }, t.method), " ", h("span", { class: "break" }, t.path)),
				h("td", { "data-h": "Service" }, t.service), h("td", { class: "num", "data-h": "Took" }, ms(t.duration_ms)), h("td", { style: { "min-width": "90px" } }, h("span", { class: "bar" }, h("i", { style: { width: (t.duration_ms / most * 100).toFixed(1) + "%" } }))),
				h("td", { class: "num", "data-h": "Spans" }, count(t.spans)), h("td", { "data-h": "Trace" }, h("a", { class: "mono", href: to, "data-row": true, title: t.trace_id }, t.trace_id.slice(0, 12) + "…")));
		})))) : ctx.data ? empty(q ? "No trace fits" : "No trace is known here", q ? "A complete id is looked up with Enter." : "Raise outrider.trace.sample, or send a request with X-B3-Sampled: 1.") : empty("Asking …", ""), ), reach(ctx.data?.list)];
}

/* --- one trace ----------------------------------------------------------------------------------------------------------------- */

/* Children below their parents, in the order in which they began. */
function tree(spans) {
	/* CLIENT and SERVER of one call share an id where the caller's sidecar and the called one both told it. */
	const byId = new Map(), kids = new Map(), rows = [];
	for (const s of spans)
		byId.set(s.id, [...(byId.get(s.id) || []), s]);
	const under = s => {
		const twins = byId.get(s.id);
		if (twins.length > 1 && s.kind === "SERVER" && twins.some(t => t !== s && t.kind === "CLIENT"))
			return twins.find(t => t.kind === "CLIENT");
		const up = s.parentId && byId.get(s.parentId);
		return up ? up.find(t => t.kind === "SERVER") || up[0] : null;
	};
	for (const s of spans) {
		const up = under(s);
		kids.set(up, [...(kids.get(up) || []), s]);
	}
	const walk = (s, depth) => {
		rows.push({ ...s, depth });
		for (const kid of (kids.get(s) || []).sort((a, b) => a.timestamp - b.timestamp))
			if (depth < 40)
				walk(kid, depth + 1);
	};
	for (const root of (kids.get(null) || []).sort((a, b) => a.timestamp - b.timestamp))
		walk(root, 0);
	return rows;
}

const isFailed = s => s.tags?.error !== undefined || Number(s.tags?.["http.status_code"]) >= 500;

function label(s) {
	const t = s.tags || {}, status = t["http.status_code"], word = t["outrider.reason"] || t.error;
	return [status && h("span", null, status), word && word !== "true" && word !== status ? [" ", word] : null];
}

function waterfall(ctx) {
	const spans = ctx.data.spans || [];
	if (!spans.length)
		return h("section", { class: "card" }, empty("This trace is not known here", "Another agent may know it (scope swarm), or it was pushed out. Only sampled traces, failures, retried and slow requests are kept."));
	const rows = tree(spans), from = Math.min(...spans.map(s => s.timestamp)), to = Math.max(...spans.map(s => s.timestamp + (s.duration || 1))), whole = Math.max(to - from, 1);
	const picked = rows.find(s => s.id + s.kind === ctx.params.span) || null, failed = rows.filter(isFailed).length;
	return [h("section", { class: "card" }, h("header", null, h("h2", { class: "mono break" }, ctx.arg), failed > 0 && badge("bad", plural(failed, "span") + " failed"), h("span", { class: "right" }, time(from / 1000, true), h("b", null, ms(whole / 1000)), plural(rows.length, "span"), h("a", { href: link("failures", ctx.arg, {}) }, "Why"))),
		h("div", { class: "water" }, h("div", { class: "what axis soft" }, "Service and call"), h("div", { class: "axis" }, h("div", { class: "lane", style: { width: "calc(100% - 28px)", height: "26px" } }, [0, .25, .5, .75, 1].map(f => h("span", { style: { left: f * 100 + "%" } }, ms(whole * f / 1000))))),
			rows.map(s => {
				const left = (s.timestamp - from) / whole * 100, width = Math.max((s.duration || 1) / whole * 100, .2), key = s.id + s.kind, remote = s.kind === "CLIENT" ? s.remoteEndpoint?.serviceName : null;
				const inside = width > 22 && !isFailed(s), beside = left + width < 72;
				return [h("div", { class: "what", key: key + "w", style: { "padding-left": 14 + s.depth * 14 + "px" } }, h("span", { class: "tag" }, s.kind === "CLIENT" ? "calls" : "serves"), h("span", { title: `${s.localEndpoint?.serviceName} ${s.name} ${s.tags?.["http.path"] || ""}` },
					h("a", { class: "strong", "data-row": true, href: link("traces", ctx.arg, { ...ctx.params, span: picked?.id + picked?.kind === key ? null : key }) }, s.localEndpoint?.serviceName || "?"), remote ? " → " + remote : "", " ", h("span", { class: "soft" }, s.tags?.["http.path"] || s.name))),
				h("div", { key: key + "b" }, h("div", { class: "lane", style: { width: "calc(100% - 28px)", height: "36px" } }, h("span", { class: "span" + (s.kind === "CLIENT" ? " client" : "") + (isFailed(s) ? " failed" : ""), style: { left: left.toFixed(2) + "%", width: width.toFixed(2) + "%" } }),
					h("span", { class: "span-text" + (inside ? " in" : ""), style: inside ? { left: left.toFixed(2) + "%" } : beside ? { left: (left + width).toFixed(2) + "%" } : { right: (100 - left).toFixed(2) + "%" } }, ms((s.duration || 0) / 1000), " ", label(s))))];
			})), h("div", { class: "pad legend" }, h("span", null, h("i", { style: { background: "var(--c1)" } }), "serves a request"), h("span", null, h("i", { style: { background: "var(--c2)" } }), "calls another service; each attempt is one"), h("span", null, mark("bad"), " failed"))),
	picked && h("section", { class: "card" }, h("header", null, h("h2", null, picked.localEndpoint?.serviceName, picked.kind === "CLIENT" ? " calls " + (picked.remoteEndpoint?.serviceName || "") : " serves"), h("span", { class: "right mono" }, picked.id)),
		h("dl", { class: "kv pad" }, Object.entries({ peer: picked.remoteEndpoint?.ipv4 || picked.remoteEndpoint?.ipv6 ? `${picked.remoteEndpoint.ipv4 || picked.remoteEndpoint.ipv6}:${picked.remoteEndpoint.port || ""}` : null, began: "+" + ms((picked.timestamp - from) / 1000), took: ms((picked.duration || 0) / 1000), ...picked.tags })
			.filter(([, v]) => v).map(([k, v]) => [h("dt", { key: k }, k), h("dd", null, k === "outrider.reason" ? reason(v) : v)])))];
}

export default {
	name: "traces", title: "Traces", params: ["slow", "show"],
	get every() {
		return 4000;
	},
	async load(ctx, signal) {
		if (!ctx.arg)
			return { list: await ctx.each(query(ctx.params), signal) };
		if (ctx.data?.spans?.length && ctx.kind !== "swarm")
			return ctx.data; /* what is over does not change */
		const parts = await ctx.each("traces/" + encodeURIComponent(ctx.arg), signal).catch(error => {
			if (error.status === 404)
				return [];
			throw error;
		});
		return { spans: parts.flatMap(p => Array.isArray(p.body) ? p.body : []), parts };
	},
	head: ctx => h("div", { class: "head" }, h("h1", null, ctx.arg ? "Trace" : "Traces"), ctx.arg ? h("a", { class: "btn small", href: link("traces", null, { ...ctx.params, span: null }) }, "← all traces") : null,
		h("div", { class: "right" }, !ctx.arg && [choice("Which", "show", "all", ctx.params.show, [["all", "All"], ["failed", "Failed"]], ctx.params, "traces"),
			picker("Slower than", "slow", ctx.params, [["", "any time"], ["10ms", "≥ 10 ms"], ["50ms", "≥ 50 ms"], ["250ms", "≥ 250 ms"], ["1s", "≥ 1 s"], ["5s", "≥ 5 s"]])],
		h("form", { role: "search", onsubmit: event => event.preventDefault(), onkeydown: event => {
			const id = event.target.value?.trim();
			if (event.key === "Enter" && /^[\w-]{6,128}$/.test(id || "")) {
				event.preventDefault();
				go(href("traces", id, { scope: ctx.params.scope }));
			}
		} }, search(ctx.params, "q", "Path, service, or an id and Enter")))),
	render(ctx) {
		return [this.head(ctx), (ctx.data?.list || []).filter(p => p.error).map(p => h("p", { class: "note", key: p.node }, mark("warn"), ` ${p.node} does not answer: ${p.error}`)), ctx.arg ? (ctx.data?.spans ? waterfall(ctx) : empty("Asking …", "")) : list(ctx)];
	},
};
