/* The frame: which view is shown, in which scope, and when it is drawn anew. */

import { h, render } from "./dom.js";
import { current, href, link, setParams } from "./route.js";
import { begin, live, setScope, kind, states } from "./live.js";
import { askToken, dialog, icon, isOpen, mark, toast, trouble } from "./parts.js";
import { clock, span } from "./fmt.js";
import { repaint } from "./charts.js";
import { put, each, get } from "./api.js";
import { save } from "./save.js";
import overview from "./view_overview.js";
import map from "./view_map.js";
import upstreams from "./view_upstreams.js";
import circuits from "./view_circuits.js";
import traces from "./view_traces.js";
import failures from "./view_failures.js";
import log from "./view_log.js";
import config from "./view_config.js";
import sidecars from "./view_sidecars.js";
import reasons from "./view_reasons.js";

/* A view: {name, title, live: drawn at each tick, every: ms between loads, load(ctx): data, render(ctx), enter(ctx), leave(ctx)} */
const VIEWS = [overview, map, upstreams, circuits, traces, failures, log, config, sidecars];
const all = Object.fromEntries([...VIEWS, reasons].map(v => [v.name, v]));

let view = null, ctx = null, loading = null, loadTimer = null, drawn = 0, pending = false;

/* --- what a view gets ------------------------------------------------------------------------------------------------------ */

function makeContext(route) {
	return { route, params: route.params, arg: route.arg, live, kind: kind(), data: null, error: null, own: {}, each, get, redraw, reload: () => load(true),
		change: async (path, done, undo, method) => {
			try {
				await put(path, askToken, method);
				toast(done, undo);
				load(true);
			} catch (error) {
				toast(error.message + (error.remedy ? " " + error.remedy : ""));
			}
		} };
}

async function load(now) {
	clearTimeout(loadTimer);
	if (!view?.load || (loading && !now))
		return;
	loading?.abort();
	const mine = loading = new AbortController(), asked = ctx;
	try {
		const data = await view.load(asked, mine.signal);
		if (mine === loading && asked === ctx)
			Object.assign(ctx, { data, error: null });
	} catch (error) {
		if (error.name === "AbortError")
			return;
		if (mine === loading && asked === ctx)
			ctx.error = error;
	}
	if (mine !== loading)
		return;
	loading = null;
	redraw();
	if (view.every && !document.hidden)
		loadTimer = setTimeout(load, ctx.error ? 2000 : view.every);
}

function onRoute() {
	const route = current(), next = all[route.view] || overview;
	setScope(route.params.scope || null);
	const same = view === next && ctx && ctx.arg === route.arg && (ctx.params.scope || null) === (route.params.scope || null);
	if (same) {
		Object.assign(ctx, { route, params: route.params });
		if (view.params?.some(p => ctx.loaded?.[p] !== route.params[p])) {
			ctx.loaded = { ...route.params };
			load(true);
		}
		redraw();
		return;
	}
	const moved = view !== next;
	view?.leave?.(ctx);
	loading?.abort();
	loading = null;
	const was = view === next && (ctx?.params.scope || null) === (route.params.scope || null) && view.keep ? ctx : null;
	view = next;
	ctx = makeContext(route);
	ctx.loaded = { ...route.params };
	if (was)
		Object.assign(ctx, { data: was.data, own: was.own });
	view.enter?.(ctx);
	document.title = view.title + " · Outrider";
	draw();
	load(true);
	if (moved && drawn)
		document.querySelector("main").focus({ preventScroll: true });
	if (moved)
		scrollTo(0, 0);
	const tab = document.querySelector(".nav [aria-current]"), bar = tab?.closest(".nav");
	if (bar && bar.scrollWidth > bar.clientWidth)
		bar.scrollLeft = tab.offsetLeft - 60;
	drawn++;
}

/* --- drawing --------------------------------------------------------------------------------------------------------------- */

function redraw() {
	if (pending)
		return;
	pending = true;
	requestAnimationFrame(() => {
		pending = false;
		draw();
	});
}

function badCount(v) {
	if (v === circuits)
		return states().flatMap(a => a.state.circuits || []).filter(isOpen).length;
	if (v === sidecars)
		return states().flatMap(a => a.state.sidecars || []).filter(s => s.handler === "down" || s.config_errors).length;
	return 0;
}

function nav() {
	return h("nav", { class: "nav", "aria-label": "Views" }, h("ul", null, VIEWS.map((v, i) => {
		const bad = badCount(v);
		return h("li", { key: v.name }, h("a", { href: link(v.name, null, {}), "aria-current": v === view ? "page" : null, title: `${v.title} (${i + 1})` }, icon(v.name), v.title,
			bad > 0 ? h("span", { class: "n", title: bad + (v === circuits ? " open" : " in trouble") }, "▲ " + bad) : h("kbd", { "aria-hidden": "true" }, i + 1)));
	})));
}

function who() {
	const of = live.hello || live.own;
	if (!of)
		return h("div", { class: "who" }, "…");
	const where = of.service && kind() === "sidecar" ? [h("b", null, of.service), " on ", of.node || "this machine"] : [h("b", null, of.node || of.service || "this machine")];
	if (kind() === "swarm")
		where.splice(0, where.length, h("b", null, live.agents.length + " agents"), " by ", of.node);
	return h("div", { class: "who", title: "outrider " + of.command + " " + of.version }, where, " · ", of.command, " ", of.version);
}

/* Sidecar, node, swarm: as far as the agent has them. */
function scopes() {
	const own = live.own || live.hello, has = own?.scopes || [], at = kind(), params = ctx.params;
	const names = live.ownSidecars, chosen = live.scope?.startsWith("sidecar:") ? live.scope.slice(8) : "";
	const to = scope => href(ctx.route.view, null, { scope: scope === own?.scope ? null : scope, dir: params.dir });
	const some = has.includes("node") && (names.length > 0 || chosen);
	if (has.length < 2 && !some)
		return null;
	const one = chosen || names[0]?.name;
	return h("div", { class: "scope field" }, h("div", { class: "seg", role: "group", "aria-label": "Scope" },
		some && h("a", { href: to("sidecar:" + one), "aria-current": at === "sidecar" ? "true" : null, title: "One sidecar" }, "Sidecar"),
		has.filter(s => s !== "sidecar" || !some).map(s => h("a", { key: s, href: to(s), "aria-current": at === s ? "true" : null }, s === "sidecar" ? "This agent" : s[0].toUpperCase() + s.slice(1)))),
	at === "sidecar" && some && h("select", { "aria-label": "Which sidecar", value: chosen, onchange: event => setParams({ scope: "sidecar:" + event.currentTarget.value }, true) },
		!names.some(s => s.name === chosen) && h("option", { value: chosen, key: "chosen" }, chosen),
		names.map(s => h("option", { value: s.name, key: s.name }, s.service + (s.slot ? "." + s.slot : "") + (s.stack ? " · " + s.stack : "")))));
}

function connection() {
	const is = live.connection === "live" && live.stale ? "stale" : live.connection;
	const words = { wait: ["off", "connecting"], live: ["ok", "live"], stale: ["warn", "no news"], lost: ["bad", "no contact"], rest: ["off", "paused"] }[is];
	return h("span", { class: "conn", role: "status", "data-connection": is }, mark(words[0]), words[1], live.connection === "live" && live.time ?
		h("span", { class: "sr" }, "") : null);
}

function banners() {
	const list = [];
	if (live.connection === "lost")
		list.push(h("div", { class: "banner bad", role: "alert", key: "lost" }, mark("bad"), live.why ? "The agent refuses: " + live.why :
			`The agent does not answer since ${clock(live.since)}.`, " ", live.time ? `What is shown is from ${clock(live.time)}. ` : "", "The page connects again by itself."));
	if (live.connection === "live" && live.stale)
		list.push(h("div", { class: "banner", role: "alert", key: "stale" }, mark("warn"), `The agent is connected, but told nothing since ${clock(live.heard)}: what is shown is of then.`));
	if (live.restartedAt && Date.now() - live.restartedAt < 120000)
		list.push(h("div", { class: "banner", role: "status", key: "restart" }, icon("restart"), `The agent was restarted at ${clock(live.restartedAt)}; counters began anew.`));
	if (live.updated)
		list.push(h("div", { class: "banner", key: "updated" }, mark("warn"), "The agent was updated. ", h("a", { href: "", onclick: () => location.reload() }, "Reload the page")));
	const faulty = [...new Set(live.agents.flatMap(a => (a.ok && a.state?.circuits || []).filter(c => c.faults).map(c => c.to)))];
	if (faulty.length)
		list.push(h("div", { class: "banner", role: "status", key: "faults", "data-faults": faulty.length }, mark("warn"), h("span", { class: "break" },
			"Faults are thrown on purpose at calls of " + faulty.slice(0, 8).join(", ") + (faulty.length > 8 ? ` and ${faulty.length - 8} more` : "") + " (outrider.faults): ", h("a", { href: href("circuits", null, {}) }, "which"))));
	const dead = live.agents.filter(a => !a.ok);
	if (dead.length)
		list.push(h("div", { class: "banner", role: "status", key: "dead", "data-dead": dead.length }, mark("warn"), h("span", { class: "break" },
			(dead.length === 1 ? "1 node does not answer: " : dead.length + " nodes do not answer: ") + dead.slice(0, 8).map(a => a.node + (a.error ? ` (${a.node === a.address ? "" : a.address + ": "}${a.error})` : "")).join(", ") +
			(dead.length > 8 ? ` and ${dead.length - 8} more` : ""))));
	return list;
}

function body() {
	if (!live.ticks && !ctx.data && view.live && (live.connection === "wait" || live.connection === "live"))
		return h("div", { class: "card" }, h("div", { class: "empty" }, h("b", null, "Connecting to the agent"), h("p", null, "The first figures come within " + span(live.interval) + ".")));
	if (ctx.error && !view.takes?.(ctx.error) && (!ctx.data || ctx.error.status))
		return [view.head?.(ctx), trouble(ctx.error)];
	try {
		return view.render(ctx);
	} catch (error) {
		console.error(error);
		return trouble({ message: "This view could not be drawn: " + error.message, remedy: "Please report it; the other views go on." });
	}
}

function draw() {
	if (!view)
		return;
	const dark = document.documentElement.dataset.theme === "dark";
	render(document.getElementById("app"),
		h("header", { class: "top", key: "top" }, h("a", { class: "skip", href: "#main", onclick: event => {
			event.preventDefault();
			document.querySelector("main").focus();
		} }, "Skip to the view"),
		h("a", { class: "brand", href: link("overview", null, {}), title: "Overview", "aria-label": "Outrider, overview" }, logo(), "Outrider"), who(), h("span", { class: "spacer" }), scopes(), connection(),
		h("span", { class: "right field" },
			h("button", { class: "btn icon", title: "Save this view as one file (e)", "aria-label": "Save this view as one file", onclick: () => save(view.title) }, icon("save")),
			h("button", { class: "btn icon", title: "Light or dark (t)", "aria-label": dark ? "Light theme" : "Dark theme", onclick: toggleTheme }, icon(dark ? "sun" : "moon")),
			h("button", { class: "btn icon", title: "Keys (?)", "aria-label": "Keys", onclick: help }, icon("help")))),
		h("div", { key: "banners", role: "presentation", style: { "grid-column": "1 / -1" } }, banners()), nav(),
		h("main", { id: "main", tabindex: "-1", key: "main", "aria-label": view.title, "data-view": view.name }, h("div", { class: "stack", key: view.name + "/" + (ctx.arg && !view.keep ? ctx.arg : "") + "/" + live.scope }, body())));
}

const logo = () => h("svg", { viewBox: "0 0 32 32", "aria-hidden": "true" }, h("rect", { width: 32, height: 32, rx: 8, fill: "var(--accent)" }),
	h("g", { fill: "none", stroke: "var(--on-accent)", "stroke-width": 2.6, "stroke-linecap": "round", "stroke-linejoin": "round" }, h("circle", { cx: 11, cy: 16, r: 4.5 }), h("path", { d: "M17.500 16h8m-3.500-4 4 4-4 4" })));

/* --- theme and keys -------------------------------------------------------------------------------------------------------- */

const KEY = "outrider-theme", prefers = matchMedia("(prefers-color-scheme: dark)");

function stored() {
	try {
		return localStorage.getItem(KEY);
	} catch {
		return null;
	}
}

function applyTheme() {
	const theme = stored() || (prefers.matches ? "dark" : "light");
	if (document.documentElement.dataset.theme === theme)
		return;
	document.documentElement.dataset.theme = theme;
	repaint();
	redraw();
}

function toggleTheme() {
	const to = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
	try {
		localStorage.setItem(KEY, to);
	} catch { /* storage is off: until the page is left */ }
	document.documentElement.dataset.theme = to;
	repaint();
	redraw();
}

function help() {
	const rows = [["1 – 9", "views, in the order of the menu"], ["/", "filter or search"], ["j  k", "next, previous row; Enter opens it"], ["s", "next scope"], ["t", "light or dark"],
		["e", "save this view as one HTML file"], ["r", "ask again now"], ["Esc", "back out of a selection"], ["?", "this list"]];
	return dialog(close => [h("h2", null, "Keys"), h("dl", null, rows.map(([key, what]) => [h("dt", { key }, h("kbd", null, key)), h("dd", null, what)])),
		h("p", { class: "note" }, "The address of the page holds view, scope, filter and selection: send it as a link."),
		h("div", { class: "row" }, h("button", { class: "btn main", "data-first": true, onclick: () => close(null) }, "Close"))]);
}

function nextRow(step) {
	const rows = Array.from(document.querySelectorAll("main [data-row]"));
	if (!rows.length)
		return;
	const at = rows.indexOf(document.activeElement);
	rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))].focus();
}

const keys = {
	"/": () => document.querySelector("main [data-filter]")?.focus(), j: () => nextRow(1), k: () => nextRow(-1), t: toggleTheme, e: () => save(view.title), r: () => load(true), "?": help,
	s: () => {
		const links = Array.from(document.querySelectorAll(".scope .seg a"));
		links[(links.findIndex(a => a.getAttribute("aria-current")) + 1) % links.length]?.click();
	},
	Escape: () => ctx.arg && (location.hash = link(view.name, null, { ...ctx.params })),
};

addEventListener("keydown", event => {
	if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName))
		return;
	if (/^[1-9]$/.test(event.key)) {
		location.hash = link(VIEWS[event.key - 1].name, null, {});
	} else if (keys[event.key]) {
		event.preventDefault();
		keys[event.key]();
	}
});

applyTheme();
prefers.addEventListener("change", applyTheme);
addEventListener("hashchange", onRoute);
addEventListener("visibilitychange", () => !document.hidden && load(true));
begin(event => {
	if (ctx && ctx.kind !== kind()) { /* the agent told its usual scope */
		ctx.kind = kind();
		load(true);
	}
	if (event === "hello" && ctx?.error)
		load(true);
	if (event !== "history" || view.live)
		redraw();
});
onRoute();
