/* The circuit of each upstream as a moving picture, and its switch. */

import { h } from "./dom.js";
import { href, link } from "./route.js";
import { live, kind, nameCallers, placeOf, seenBy, states } from "./live.js";
import { noWrites } from "./api.js";
import { choice, confirm, empty, fits, isOpen, search, stateBadge, toneOf } from "./parts.js";
import { bars } from "./charts.js";
import { clock, count, is, ms, percent, plural, span } from "./fmt.js";

const SHOWN = 36;

function merge(ctx) {
	const all = new Map();
	for (const a of states())
		for (const c of a.state.circuits || []) {
			const id = seenBy(a.address, c);
			all.set(id, { ...c, id, action: c.key, node: placeOf(a), address: a.address });
		}
	for (const part of ctx.data || [])
		for (const c of part.body?.circuits || []) {
			const found = all.get(seenBy(part.address, c));
			if (found)
				found.page = c;
		}
	return nameCallers(Array.from(all.values()));
}

const forcedOf = c => c.forced && c.forced !== "auto" ? c.forced : null;
const worth = c => (isOpen(c) ? 2e9 : toneOf(c.state) === "warn" || forcedOf(c) ? 1e9 : 0) + c.requests;

async function force(ctx, c, to) {
	const name = c.to + (c.route ? "@" + c.route : ""), path = `circuits/${/^[\w.@-]+$/.test(name) ? name : encodeURIComponent(name)}/`;
	const where = kind() === "node" ? "of all sidecars of this node" : "of this sidecar";
	if (to === "open" && !await confirm(`Open the circuit of ${name}?`, `Calls ${where} to ${name} are refused at once with circuit-open, until it is closed or set to auto.`, "Open it", true))
		return;
	if (to === "close" && !await confirm(`Hold the circuit of ${name} closed?`, `Calls ${where} to ${name} go through however many fail, until it is set to auto.`, "Hold it closed"))
		return;
	ctx.change(path + to, { open: `The circuit of ${name} is open`, close: `The circuit of ${name} is held closed`, auto: `The circuit of ${name} decides by itself` }[to],
		to === "auto" ? null : { text: "Back to auto", fn: () => ctx.change(path + "auto", `The circuit of ${name} decides by itself`) });
}

function picture(c, most) {
	const row = live.circuits.get(c.id) || [], tone = isOpen(c) ? "bad" : c.error_percent >= 5 || toneOf(c.state) === "warn" ? "warn" : c.requests ? "ok" : "off", r = c.requests ? 18 + 13 * Math.sqrt(c.requests / most) : 17;
	return h("div", { class: "moving", role: "img", "aria-label": `Window: ${count(c.requests)} calls, ${percent(c.error_percent)} failed, ${count(c.rejected)} refused` },
		h("svg", { viewBox: "0 0 66 66", "aria-hidden": "true" }, h("circle", { class: "pulse", cx: 33, cy: 33, r: r.toFixed(1), fill: `var(--${tone}-soft)`, stroke: `var(--${tone})`, "stroke-width": 2, "stroke-dasharray": tone === "bad" ? "5 3" : null }),
			h("text", { x: 33, y: 37, "text-anchor": "middle", "font-size": 12, "font-weight": 650, fill: `var(--${tone === "off" ? "soft" : tone})` }, c.requests ? percent(c.error_percent) : "–")),
		bars(row));
}

function card(ctx, c, most) {
	const no = noWrites(), page = c.page || {}, latency = page.latency_ms || {}, forced = forcedOf(c), button = (to, text, off) => h("button", { class: "btn small", disabled: no !== null || off, title: no || "", "aria-label": `${text}: ${c.to} called by ${c.caller}`, onclick: () => force(ctx, c, to) }, text);
	const fact = (name, value) => h("div", null, h("dt", null, name), h("dd", null, value));
	return h("section", { class: "card circuit" + (isOpen(c) ? " open" : ""), key: c.id, "data-circuit": c.to }, h("header", null, h("div", { style: { "min-width": "0", flex: "1" } }, h("h2", { class: "break" }, h("a", { href: link("upstreams", c.to, {}), "data-row": true }, c.to), c.route ? h("span", { class: "soft" }, " @ " + c.route) : null, c.action ? h("span", { class: "soft", title: "SOAP action" }, " " + c.action) : null),
		h("p", { class: "note break", title: c.instance }, "called by " + c.caller, live.agents.length > 1 ? " on " + c.node : "")), stateBadge(forced ? "forced-" + forced : c.state)),
	c.faults && h("p", { class: "why warntext", "data-faults": c.to }, "Faults on purpose: " + c.faults + "."),
	picture(c, most),
	h("dl", { class: "facts" }, fact("Calls", count(c.requests)), fact("Failed", h("span", { class: c.errors ? "badtext" : null }, count(c.errors))), fact("Refused", count(c.rejected)), fact("p99", ms(latency.p99))),
	h("p", { class: "why" }, (c.why || (c.state === "closed" ? "Calls go through" : "")).replace(/\.?$/, "."), is(c.since_ms) && c.since_ms > 0 ? ` ${isOpen(c) ? "Open" : "So"} for ${span(c.since_ms > 1e11 ? live.time - c.since_ms : c.since_ms)}.` : "", page.until && isOpen(c) && !forced ? (new Date(page.until) > Date.now() ? ` Next try at ${clock(page.until)}.` : " The next call tries it.") : "",
		page.queued ? ` ${count(page.queued)} wait for a place.` : ""),
	h("footer", null, button("open", "Open", forced === "open"), button("close", "Hold closed", forced === "closed"), button("auto", "Auto", !forced), h("span", { class: "note", style: { "margin-left": "auto" } }, forced ? "by hand" : "decides by itself")));
}

export default {
	name: "circuits", title: "Circuits", live: true, every: 4000,
	async load(ctx, signal) {
		const n = states().reduce((m, a) => m + (a.state.circuits || []).length, 0);
		return n > SHOWN ? [] : ctx.each("circuits", signal);
	},
	render(ctx) {
		const all = merge(ctx), q = ctx.params.q, show = ctx.params.show, most = Number(ctx.params.most) || SHOWN;
		const asked = [q, show, kind()].join("\0"), opened = all.filter(isOpen).map(c => c.id).sort().join("\n");
		/* The order stays while the figures move; a circuit that opens goes first. */
		if (ctx.own.asked !== asked || ctx.own.opened !== opened || !ctx.own.order?.length)
			Object.assign(ctx.own, { asked, opened, order: all.slice().sort((a, b) => worth(b) - worth(a) || a.id.localeCompare(b.id)).map(c => c.id) });
		const place = new Map(ctx.own.order.map((id, i) => [id, i]));
		const list = all.filter(c => fits(q, c.to, c.from, c.instance, c.node, c.route, c.action) && (show !== "open" || c.state !== "closed" || forcedOf(c))).sort((a, b) => (place.get(a.id) ?? 1e9) - (place.get(b.id) ?? 1e9));
		const busiest = Math.max(1, ...all.map(c => c.requests || 0)), open = all.filter(isOpen).length;
		return [h("div", { class: "head" }, h("h1", null, "Circuits"), h("p", null, plural(all.length, "circuit"), open ? h("span", { class: "badtext" }, `, ${open} open`) : ", none open"),
			h("div", { class: "right" }, choice("Which", "show", "all", show, [["all", "All"], ["open", "Open or by hand"]], ctx.params, "circuits"), search(ctx.params, "q", "Upstream, caller"))),
		noWrites() && kind() === "swarm" && h("p", { class: "note" }, noWrites()),
		h("p", { class: "legend note" }, h("span", null, h("i", { style: { background: "var(--c2)" } }), "good"), h("span", null, h("i", { style: { background: "var(--bad)" } }), "failed"), h("span", null, h("i", { style: { background: "var(--warn)" } }), "refused"),
			h("span", null, "each bar: the window at one tick, newest at the right; circle: its size, and the share that failed")),
		list.length ? h("div", { class: "circuits" }, list.slice(0, most).map(c => card(ctx, c, busiest))) : h("section", { class: "card" }, all.length ? empty("No circuit fits", show === "open" ? "All are closed and decide by themselves." : "Clear the filter to see all.") :
			empty("No circuit yet", "Each upstream has one as soon as it is known; outrider.upstream.<service>.breaker.… are its knobs.")),
		list.length > most && h("p", { class: "more" }, `${count(list.length - most)} more: `, h("a", { href: href("circuits", null, { ...ctx.params, most: most + SHOWN }) }, "show them"), " or filter.")];
	},
};
