/* The flight recorder: what failed, what was retried, what was slow; and of each why. */

import { h } from "./dom.js";
import { go, href, link } from "./route.js";
import { limitOf } from "./api.js";
import { kind } from "./live.js";
import { badge, choice, empty, fits, mark, picker, reason, reasonTable, search, stateBadge, time } from "./parts.js";
import { bytes, clock, count, ms, plural } from "./fmt.js";

const LIMIT = 200;
/* As control/phases.c has them. */
const PHASES = [["head_ms", "waiting for the rest of the head"], ["route_ms", "routing"], ["queue_ms", "waiting for a place"], ["retry_ms", "earlier attempts"], ["connect_ms", "connecting"], ["first_byte_ms", "waiting for the first byte"], ["transfer_ms", "transfer"]];

function query(p) {
	const all = [["limit", limitOf(LIMIT)], ["reason", p.reason], ["service", p.service], ["retried", p.show === "retried" ? "true" : null], ["slow", p.show === "slow" ? p.slow || "250ms" : null]];
	return "failures?" + all.filter(([, v]) => v).map(([k, v]) => k + "=" + encodeURIComponent(v)).join("&");
}

const rowsOf = parts => (parts || []).flatMap(p => (p.body?.failures || []).map(f => ({ ...f, node: p.node }))).sort((a, b) => b.time.localeCompare(a.time));

function counts(rows, name, ctx) {
	const n = new Map();
	for (const f of rows)
		if (f[name])
			n.set(f[name], (n.get(f[name]) || 0) + 1);
	const all = Array.from(n).sort((a, b) => b[1] - a[1]).slice(0, 8), table = ctx.own.reasons || {};
	return all.length > 0 && h("ul", { class: "lane", "aria-label": name === "retried_for" ? "Why they were retried" : "Reasons of those shown" }, all.map(([word, times]) => h("li", { key: word, class: "card peer" }, h("b", null, count(times) + "×"), reason(word),
		table[word] && h("p", { class: "sub" }, table[word].cause))));
}

function status(f) {
	/* A good status that never arrived whole is a failure all the same. */
	return f.status ? badge(f.status >= 500 ? "bad" : f.status >= 400 || f.reason ? "warn" : "ok", f.status) : badge("bad", "cut");
}

function list(ctx) {
	const rows = rowsOf(ctx.data?.list), q = ctx.params.q, shown = rows.filter(f => fits(q, f.service, f.upstream, f.path, f.reason, f.retried_for, f.endpoint, f.request_id, f.node, f.status)), show = ctx.params.show;
	const to = f => link("failures", f.request_id, { ...ctx.params });
	const none = { retried: ["No request was retried", "Each that needs more than one attempt is kept here, with the reason."], slow: ["Nothing was that slow", "Choose a shorter time."] }[show] || ["No failure is kept", "Requests that fail are listed here with the reason, newest first."];
	return [counts(shown, show === "retried" ? "retried_for" : "reason", ctx), h("section", { class: "card" }, shown.length ? h("div", { class: "scroll" }, h("table", { class: "cards" }, h("thead", null, h("tr", null, ["When", "Status", "Request", "By", "To", "Reason", "Attempts", "Took"].map((t, i) => h("th", { scope: "col", class: i > 5 ? "num" : null }, t)))),
		h("tbody", null, shown.map(f => h("tr", { key: f.node + f.request_id + f.time + f.listener, class: "pick", onclick: event => event.target.tagName !== "A" && go(to(f)) }, h("td", { "data-h": "When" }, time(f.time, true)), h("td", { "data-h": "Status" }, status(f)),
			h("td", { class: "whole" }, h("a", { class: "break", href: to(f), "data-row": true, title: f.request_id }, f.method, " ", f.path)), h("td", { "data-h": "By" }, f.service, h("span", { class: "sub" }, " " + (f.listener || "")), kind() === "swarm" && h("div", { class: "sub" }, f.node)),
			h("td", { "data-h": "To" }, f.upstream, f.endpoint && h("div", { class: "sub mono" }, f.endpoint)), h("td", { "data-h": "Reason" }, reason(f.reason), f.retried_for && h("div", null, h("span", { class: "sub" }, "retried: "), reason(f.retried_for)), !f.reason && !f.retried_for && h("span", { class: "sub" }, "the service's own")),
			h("td", { class: "num", "data-h": "Attempts" }, count(f.attempts)), h("td", { class: "num", "data-h": "Took" }, ms(f.duration_ms))))))) : ctx.data ? empty(q ? "Nothing fits" : none[0], q ? "Clear the filter to see all." : none[1]) : empty("Asking …", "")), reach(ctx)];
}

function reach(ctx) {
	const r = ctx.data?.list?.find(p => p.body?.reaches_back)?.body.reaches_back;
	return r && h("p", { class: "note" }, `Nothing was pushed out since ${clock(r.failures_and_slow_since)}. The recorder holds ${bytes(r.bytes)} (outrider.flight.size).`);
}

/* --- why one of them ------------------------------------------------------------------------------------------------------------ */

function phases(x) {
	const all = x.phases?.all_ms || 1, parts = PHASES.map(([key, text], i) => ({ text, i, ms: x.phases?.[key] || 0 })).filter(p => p.ms > 0);
	return h("div", null, h("div", { class: "phases", role: "img", "aria-label": parts.map(p => p.text + " " + ms(p.ms)).join(", ") }, parts.map(p => h("i", { key: p.i, class: "ph" + p.i, style: { width: (p.ms / all * 100).toFixed(2) + "%" }, title: p.text + " " + ms(p.ms) }))),
		h("p", { class: "legend" }, parts.map(p => h("span", { key: p.i }, h("i", { class: "ph" + p.i }), p.text, " ", h("b", null, ms(p.ms))))));
}

function attempts(x) {
	return (x.attempts || []).length > 0 && h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" }, h("table", { class: "cards" }, h("thead", null, h("tr", null, ["Attempt", "Endpoint", "Connection", "Began", "Took", "Status", "Reason"].map((t, i) => h("th", { scope: "col", class: i === 3 || i === 4 ? "num" : null }, t)))),
		h("tbody", null, x.attempts.map(t => h("tr", { key: t.attempt }, h("td", { "data-h": "Attempt" }, t.attempt), h("td", { class: "mono", "data-h": "Endpoint" }, t.endpoint), h("td", { "data-h": "Connection" }, t.connection), h("td", { class: "num", "data-h": "Began" }, "+" + ms(t.began_ms)), h("td", { class: "num", "data-h": "Took" }, ms(t.took_ms)),
			h("td", { "data-h": "Status" }, t.status ? badge(t.status >= 500 ? "bad" : "ok", t.status) : "–"), h("td", { "data-h": "Reason" }, t.reason ? reason(t.reason) : h("span", { class: "sub" }, t.status < 500 ? "good" : "the service's own")))))));
}

function exchange(x, i) {
	const bad = x.reason || x.status >= 500 || !x.status, kv = [["Listener", x.listener], ["Service", x.service], ["Upstream", x.upstream], ["Route", x.route], ["Client", x.client && x.client.replace(/:0$/, "")], ["User agent", x.user_agent], ["Host", x.host], ["Bytes", bytes(x.bytes_in) + " in, " + bytes(x.bytes_out) + " out"], ["Request id", x.request_id]];
	return h("section", { class: "card", key: i }, h("header", null, mark(bad ? "bad" : (x.attempts || []).length > 1 ? "warn" : "ok"), h("h2", { class: "break" }, `${x.method} ${x.path}`), h("span", { class: "right" }, x.node && h("span", null, x.node), time(x.time, true), x.trace_id && h("a", { href: link("traces", x.trace_id, {}) }, "Trace"))),
		h("div", { class: "pad stack" }, h("div", { class: "verdict " + (bad ? "bad" : (x.attempts || []).length > 1 ? "warn" : "ok") }, h("p", { class: "strong" }, x.outcome), x.reason && h("p", null, reason(x.reason), x.blame ? ` · blame: ${x.blame}` : "", x.stage ? ` · stage: ${x.stage}` : ""), x.cause && h("p", null, x.cause), x.remedy && h("p", null, h("span", { class: "strong" }, "What to do: "), x.remedy),
			x.retries && h("p", { class: "soft" }, x.retries), x.slow && h("p", { class: "soft" }, x.slow),
			x.circuit_now && h("p", { class: "soft" }, h("a", { href: link("circuits", null, {}) }, "The circuit now"), ": ", x.circuit_now)), phases(x)), attempts(x),
		h("div", { class: "pad two" }, h("dl", { class: "kv" }, kv.filter(([, v]) => v).map(([k, v]) => [h("dt", { key: k }, k), h("dd", { class: k === "Request id" ? "mono" : null }, v)])),
			(x.candidates_now || []).length > 0 && h("div", null, h("h3", null, "Endpoints of ", x.upstream, " now"), h("ul", { style: { "margin-top": "4px" } }, x.candidates_now.map(c => h("li", { key: c.endpoint, style: { padding: "2px 0" } }, h("span", { class: "mono" }, c.endpoint), " ", stateBadge(c.state), " ", h("span", { class: "sub soft" }, c.why || "")))))));
}

function why(ctx) {
	const found = (ctx.data.why || []).flatMap(p => (p.body?.exchanges || []).map(x => ({ ...x, node: kind() === "swarm" ? p.node : null }))).sort((a, b) => String(a.time).localeCompare(String(b.time)));
	if (!found.length)
		return h("section", { class: "card" }, empty("Nothing with this id is kept here", "Failures, retried and slow requests, sampled traces and what the access log draws are kept. Another agent may know it.", `outrider why ${ctx.arg} --swarm`));
	return [found.length > 1 && h("p", { class: "note" }, `${plural(found.length, "exchange")} have this id, in the order in which they began.`), found.map(exchange)];
}

export default {
	name: "failures", title: "Failures", params: ["show", "slow", "reason", "service"],
	get every() {
		return 3000;
	},
	async load(ctx, signal) {
		ctx.own.reasons = ctx.own.reasons || await reasonTable();
		if (!ctx.arg)
			return { list: await ctx.each(query(ctx.params), signal) };
		const none = error => {
			if (error.status === 404)
				return [];
			throw error;
		};
		return { why: await ctx.each("why/" + encodeURIComponent(ctx.arg), signal).catch(none) };
	},
	head: ctx => h("div", { class: "head" }, h("h1", null, ctx.arg ? "Why" : "Failures"), ctx.arg ? [h("span", { class: "mono soft break" }, ctx.arg), h("a", { class: "btn small", href: link("failures", null, { ...ctx.params }) }, "← all failures")] : null,
		h("div", { class: "right" }, !ctx.arg && [ctx.params.reason && h("a", { class: "btn small", href: href("failures", null, { ...ctx.params, reason: null }), title: "All reasons" }, ctx.params.reason, " ✕"),
			choice("Which", "show", "failed", ctx.params.show, [["failed", "Failed"], ["retried", "Retried"], ["slow", "Slow"]], ctx.params, "failures"),
			ctx.params.show === "slow" && picker("Slower than", "slow", ctx.params, [["", "≥ 250 ms"], ["10ms", "≥ 10 ms"], ["50ms", "≥ 50 ms"], ["1s", "≥ 1 s"], ["5s", "≥ 5 s"]])],
		h("form", { role: "search", onsubmit: event => event.preventDefault(), onkeydown: event => {
			const id = event.target.value?.trim();
			if (event.key === "Enter" && /^[\w-]{12,128}$/.test(id || ""))
				go(href("failures", id, { scope: ctx.params.scope }));
		} }, search(ctx.params, "q", "Service, path, reason, or an id and Enter")))),
	render(ctx) {
		return [this.head(ctx), (ctx.data?.list || ctx.data?.why || []).filter(p => p.error && p.status !== 404).map(p => h("p", { class: "note", key: p.node }, mark("warn"), ` ${p.node} does not answer: ${p.error}`)), ctx.arg ? (ctx.data?.why ? why(ctx) : empty("Asking …", "")) : list(ctx)];
	},
};
