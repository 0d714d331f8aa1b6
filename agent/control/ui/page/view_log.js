/* The last records of agent, access and application log, and those that come, filtered by the agent. */

import { h } from "./dom.js";
import { link } from "./route.js";
import { has, limitOf } from "./api.js";
import { kind, live, prefix } from "./live.js";
import { choice, empty, mark, picker, search, time } from "./parts.js";
import { plural } from "./fmt.js";

const KEPT = 500, SHOWN = 300, LAST = 200;
const SAID = new Set(["time", "level", "kind", "type", "subsystem", "service", "task", "node", "trace_id", "request_id", "message", "stack", "slot"]);

function query(p) {
	const all = [["service", p.service], ["level", p.level], ["q", p.q], ["kind", p.show]].filter(([, v]) => v);
	return all.length ? "?" + all.map(([k, v]) => k + "=" + encodeURIComponent(v)).join("&") : "";
}

/* Of many agents fewer each. */
const lastOf = p => kind() === "swarm" ? (query(p) || "?") + (query(p) ? "&" : "") + "limit=" + limitOf(LAST) : query(p);
const listOf = body => Array.isArray(body) ? body : body?.records || body?.log || [];

function close(ctx) {
	ctx?.own.source?.close();
	clearTimeout(ctx?.own.timer);
	if (ctx)
		ctx.own.source = null;
}

/* New lines wait while the reader holds the log. */
function add(ctx, record) {
	ctx.own.lines.push({ ...record, n: ++ctx.own.n });
	if (ctx.own.lines.length > KEPT)
		ctx.own.lines.splice(0, ctx.own.lines.length - KEPT);
	if (!ctx.own.held)
		ctx.redraw();
	else
		ctx.own.waiting++;
}

function follow(ctx) {
	close(ctx);
	if (kind() === "swarm" || ctx.own.gone)
		return;
	const source = ctx.own.source = new EventSource(prefix(live.scope) + "log/tail" + query(ctx.params));
	ctx.own.tail = "wait";
	source.onopen = () => {
		ctx.own.tail = "live";
		ctx.redraw();
	};
	source.onmessage = event => {
		try {
			add(ctx, JSON.parse(event.data));
		} catch { /* not a record */ }
	};
	source.onerror = () => {
		ctx.own.tail = "lost";
		if (source.readyState === EventSource.CLOSED && ctx.own.source === source)
			ctx.own.timer = setTimeout(() => ctx.reload(), 3000);
		ctx.redraw();
	};
}

function line(r) {
	const access = r.kind === "access" || r.type === "access", rest = Object.entries(r).filter(([k, v]) => !SAID.has(k) && k !== "n" && v !== null && v !== "" && typeof v !== "object");
	const text = r.message || (access ? [r.method, (r.host || "") + (r.path || ""), r.status, r.reason].filter(Boolean).join(" ") : ""), level = r.level || (access ? "access" : "info");
	const seen = access && !r.message ? new Set(["method", "host", "path", "status", "reason"]) : new Set();
	return h("div", { class: "line " + level, key: r.n }, time(r.time, true), h("span", { class: "lv" }, level), h("span", { title: [r.task, r.node].filter(Boolean).join(" on ") }, r.service || r.subsystem || r.node || "agent"),
		h("span", { class: "ms" }, text, " ", h("span", { class: "rest" }, rest.filter(([k]) => !seen.has(k)).map(([k, v]) => `${k}=${v} `)),
			r.request_id && h("a", { href: link("failures", r.request_id, {}) }, "why"), r.trace_id && [" ", h("a", { href: link("traces", r.trace_id, {}) }, "trace")]));
}

export default {
	name: "log", title: "Log", params: ["service", "level", "q", "show"],
	get every() {
		return kind() === "swarm" ? 3000 : 0;
	},
	takes: error => error.status === 404,
	enter(ctx) {
		Object.assign(ctx.own, { lines: [], n: 0, held: false, waiting: 0, tail: "wait" });
	},
	leave: close,
	async load(ctx, signal) {
		/* A filter is typed letter by letter: ask when the typing rests. */
		await new Promise(resolve => setTimeout(resolve, ctx.data ? 250 : 0));
		if (signal.aborted)
			throw Object.assign(new Error("aborted"), { name: "AbortError" });
		if (!await has("/log/recent"))
			throw Object.assign(new Error("none"), { status: 404 });
		const parts = await ctx.each("log/recent" + lastOf(ctx.params), signal);
		ctx.own.lines = parts.flatMap(p => listOf(p.body).map(r => ({ node: p.node, ...r }))).sort((a, b) => String(a.time).localeCompare(String(b.time))).slice(-KEPT).map((r, i) => ({ ...r, n: i }));
		ctx.own.n = ctx.own.lines.length;
		ctx.own.waiting = 0;
		follow(ctx);
		return parts;
	},
	head: ctx => h("div", { class: "head" }, h("h1", null, "Log"), h("p", null, ctx.own.lines?.length ? plural(ctx.own.lines.length, "record") + " kept here" : "", ctx.own.held && ctx.own.waiting ? `, ${ctx.own.waiting} new` : ""),
		h("span", { class: "field" }, mark(ctx.own.held ? "warn" : ctx.own.tail === "live" ? "ok" : "off"), ctx.own.held ? "held" : kind() === "swarm" ? "every 3 s" : ctx.own.tail === "live" ? "following" : "connecting"),
		h("div", { class: "right" }, h("button", { class: "btn", "aria-pressed": ctx.own.held ? "true" : "false", onclick: () => {
			Object.assign(ctx.own, { held: !ctx.own.held, waiting: 0, view: ctx.own.lines.slice() });
			ctx.redraw();
		} }, ctx.own.held ? "Go on" : "Hold"), choice("Which log", "show", "", ctx.params.show || "", [["", "All"], ["agent", "Agent"], ["access", "Access"], ["app", "Services"]], ctx.params, "log"),
		picker("Level", "level", ctx.params, [["", "any level"], ["error", "errors"], ["warn", "warnings and above"], ["info", "info and above"], ["debug", "debug"]]), search(ctx.params, "q", "Text in the record"))),
	render(ctx) {
		if (ctx.error?.status === 404)
			return [h("div", { class: "head" }, h("h1", null, "Log")), h("section", { class: "card" }, empty("This agent keeps no log to look at", "Its records go where outrider.log says; it has no page /log/recent.", "docker service logs outrider_agent"))];
		const lines = (ctx.own.held ? ctx.own.view : ctx.own.lines).slice(-SHOWN).reverse();
		return [this.head(ctx), (ctx.data || []).filter(p => p.error).map(p => h("p", { class: "note", key: p.node }, mark("warn"), ` ${p.node}: ${p.error}`)), h("section", { class: "card log", "aria-label": "Records, newest first" }, lines.length ? lines.map(line) :
			h("div", { style: { "font-family": "system-ui, sans-serif" } }, Object.keys(ctx.params).some(k => ["q", "level", "show", "service"].includes(k)) ? empty("No record fits", "New ones that fit appear here as they come.") : empty("Nothing was logged lately", "Records appear here as they come.")))];
	},
};
