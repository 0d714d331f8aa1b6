/* The last records of agent, access and application log, and those that come, filtered by the agent. */

import { h } from "./dom.js";
import { link } from "./route.js";
import { has, limitOf } from "./api.js";
import { kind, live, prefix } from "./live.js";
import { choice, empty, mark, picker, search, time } from "./parts.js";
import { plural } from "./fmt.js";

const KEPT = 500, SHOWN = 300, LAST = 200, AGAIN_MS = 5000;
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

const keyOf = r => [r.time, r.kind, r.level, r.service, r.subsystem, r.request_id, String(r.message ?? r.path ?? "").slice(0, 2000)].join("\0");

/* Of what was kept that which is not there yet; two records that are alike to the letter are two. */
function merge(ctx, parts) {
	const o = ctx.own, had = new Map(), news = [];
	for (const r of o.lines)
		had.set(keyOf(r), (had.get(keyOf(r)) || 0) + 1);
	for (const p of parts)
		for (const r of listOf(p.body)) {
			const key = keyOf(r), n = had.get(key) || 0;
			if (n > 0)
				had.set(key, n - 1);
			else
				news.push({ node: p.node, ...r, n: ++o.n });
		}
	o.lines = o.lines.concat(news).sort((a, b) => String(a.time).localeCompare(String(b.time))).slice(-KEPT);
	o.waiting += o.held ? news.length : 0;
}

/* What came while nobody followed: before the stream stood, while the tab was hidden, while the agent was away. */
function catchUp(ctx) {
	const asked = ctx.own.asked;
	return ctx.each("log/recent" + lastOf(ctx.params)).then(parts => {
		if (ctx.own.asked === asked && !ctx.own.left)
			merge(ctx, parts);
		ctx.redraw();
	}, () => {});
}

/* An event stream does not say why it was refused: ask as a page, and let go at once. */
async function whyRefused(url) {
	const stop = new AbortController(), reply = await fetch(url, { headers: { Accept: "application/json" }, signal: stop.signal }), body = reply.ok ? null : await reply.json().catch(() => null);
	stop.abort();
	return reply.ok ? "" : (body?.cause || body?.error || "status " + reply.status) + (body?.remedy ? " " + body.remedy : "");
}

/* It was refused: what is kept is asked for meanwhile, so that the log goes on all the same, later. */
async function refused(ctx, source, url) {
	const why = await whyRefused(url).catch(() => "");
	if (ctx.own.source !== source)
		return;
	Object.assign(ctx.own, { tail: why ? "refused" : "lost", why, timer: setTimeout(() => {
		catchUp(ctx);
		follow(ctx);
	}, AGAIN_MS) });
	ctx.redraw();
}

/* Done when it stands or is refused. EventSource itself connects again when the agent was away. */
function follow(ctx) {
	close(ctx);
	const url = prefix(live.scope) + "log/tail" + query(ctx.params), source = ctx.own.source = new EventSource(url);
	let stood = false;
	ctx.own.tail = ctx.own.tail === "refused" ? "refused" : "wait";
	return new Promise(done => {
		source.onopen = () => {
			if (stood || ctx.own.tail === "refused")
				catchUp(ctx);
			stood = true;
			ctx.own.tail = "live";
			ctx.redraw();
			done();
		};
		source.onmessage = event => {
			try {
				add(ctx, JSON.parse(event.data));
			} catch { /* not a record */ }
		};
		source.onerror = () => {
			if (source.readyState === EventSource.CLOSED && ctx.own.source === source)
				refused(ctx, source, url);
			else
				ctx.own.tail = "lost";
			ctx.redraw();
			done();
		};
	});
}

/* A tab that nobody sees takes no place. */
function onVisibility(ctx) {
	if (!document.hidden || !ctx.own.source)
		return; /* seen again: the frame loads the view, which follows */
	close(ctx);
	ctx.own.tail = "rest";
}

function said(ctx) {
	const o = ctx.own, words = { live: ["ok", "following"], lost: ["bad", "no contact, connecting again"], rest: ["off", "paused"], refused: ["warn", `every ${AGAIN_MS / 1000} s: ${o.why}`] };
	const [tone, text] = o.held ? ["warn", "held"] : kind() === "swarm" ? ["off", "every 3 s"] : words[o.tail] || ["off", "connecting"];
	return h("span", { class: "field", role: "status", "data-tail": o.tail }, mark(tone), text);
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
		Object.assign(ctx.own, { lines: [], was: null, asked: null, n: 0, held: false, waiting: 0, tail: "wait", hide: () => onVisibility(ctx) });
		document.addEventListener("visibilitychange", ctx.own.hide);
	},
	leave(ctx) {
		if (!ctx)
			return;
		close(ctx);
		ctx.own.left = true;
		document.removeEventListener("visibilitychange", ctx.own.hide);
	},
	async load(ctx, signal) {
		/* A filter is typed letter by letter: ask when the typing rests. */
		await new Promise(resolve => setTimeout(resolve, ctx.data ? 250 : 0));
		if (signal.aborted)
			throw Object.assign(new Error("aborted"), { name: "AbortError" });
		if (!await has("/log/recent"))
			throw Object.assign(new Error("none"), { status: 404 });
		const o = ctx.own, asked = query(ctx.params);
		if (o.asked !== asked) {
			close(ctx);
			Object.assign(o, { asked, was: o.was || o.lines, lines: [], waiting: 0 });
		}
		if (kind() !== "swarm" && !o.source && !o.left) /* first the stream, so that nothing falls between */
			await Promise.race([follow(ctx), new Promise(resolve => setTimeout(resolve, 1500))]);
		const parts = await ctx.each("log/recent" + lastOf(ctx.params), signal);
		if (o.asked === asked) {
			merge(ctx, parts);
			o.was = null;
		}
		return parts;
	},
	head: ctx => h("div", { class: "head" }, h("h1", null, "Log"), h("p", null, ctx.own.lines?.length ? plural(ctx.own.lines.length, "record") + " kept here" : "", ctx.own.held && ctx.own.waiting ? `, ${ctx.own.waiting} new` : ""),
		said(ctx),
		h("div", { class: "right" }, h("button", { class: "btn", "aria-pressed": ctx.own.held ? "true" : "false", onclick: () => {
			Object.assign(ctx.own, { held: !ctx.own.held, waiting: 0, view: ctx.own.lines.slice() });
			ctx.redraw();
		} }, ctx.own.held ? "Go on" : "Hold"), choice("Which log", "show", "", ctx.params.show || "", [["", "All"], ["agent", "Agent"], ["access", "Access"], ["app", "Services"]], ctx.params, "log"),
		picker("Level", "level", ctx.params, [["", "any level"], ["error", "errors"], ["warn", "warnings and above"], ["info", "info and above"], ["debug", "debug"]]), search(ctx.params, "q", "Text in the record"))),
	render(ctx) {
		if (ctx.error?.status === 404)
			return [h("div", { class: "head" }, h("h1", null, "Log")), h("section", { class: "card" }, empty("This agent keeps no log to look at", "Its records go where outrider.log says; it has no page /log/recent.", "docker service logs outrider_agent"))];
		const lines = (ctx.own.held ? ctx.own.view : ctx.own.was || ctx.own.lines).slice(-SHOWN).reverse();
		return [this.head(ctx), (ctx.data || []).filter(p => p.error).map(p => h("p", { class: "note", key: p.node }, mark("warn"), ` ${p.node}: ${p.error}`)), h("section", { class: "card log", "aria-label": "Records, newest first" }, lines.length ? lines.map(line) :
			h("div", { style: { "font-family": "system-ui, sans-serif" } }, Object.keys(ctx.params).some(k => ["q", "level", "show", "service"].includes(k)) ? empty("No record fits", "New ones that fit appear here as they come.") : empty("Nothing was logged lately", "Records appear here as they come.")))];
	},
};
