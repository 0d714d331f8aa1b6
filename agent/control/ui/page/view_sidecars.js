/* All sidecars of this node, or of all: who they are, whether they are wired and their handler answers, what they cost. */

import { h } from "./dom.js";
import { href, link } from "./route.js";
import { live, kind, states } from "./live.js";
import { empty, fits, search, stateBadge, badge } from "./parts.js";
import { bytes, count, ms, percent, plural, rate, share } from "./fmt.js";

const SHOWN = 150;
const COLUMNS = [["service", "Service"], ["node", "Node"], ["state", "State"], ["handler", "Handler"], ["wired", "Wiring"], ["rate", "In", true], ["failing", "Failing", true], ["p99", "p99", true],
	["out", "Calls out", true], ["cpu", "CPU", true], ["memory", "Memory, about", true], ["connections", "Conns", true]];

function rows(q) {
	const all = [];
	for (const a of states())
		for (const s of a.state.sidecars || [])
			if (fits(q, s.service, s.name, s.stack, a.node, s.state, s.handler, s.version))
				all.push({ ...s, node: s.node || a.node, sort: { service: s.service, node: a.node, state: s.state, handler: s.handler, wired: String(s.wired), rate: s.in?.rate, failing: share(s.in?.errors, s.in?.rate),
					p99: s.in?.p99_ms, out: s.out?.rate, cpu: s.cost?.cpu_percent, memory: s.cost?.memory_bytes, connections: s.cost?.connections } });
	return all;
}

function order(all, by, down) {
	const worth = s => s.sort[by] ?? (typeof s.sort.rate === "number" ? -1 : "");
	return all.sort((a, b) => {
		const x = worth(a), y = worth(b), d = typeof x === "string" || typeof y === "string" ? String(x).localeCompare(String(y)) : x - y;
		return (down ? -d : d) || String(a.name).localeCompare(String(b.name));
	});
}

function row(s) {
	const own = kind() === "node" ? "sidecar:" + s.name : live.scope, cost = s.cost || {}, i = s.in || {}, o = s.out || {};
	const to = kind() === "swarm" ? link("sidecars", null, { q: s.service }) : href("overview", null, { scope: own });
	return h("tr", { key: s.node + "/" + s.name }, h("td", { class: "whole", style: { "min-width": "150px" } }, h("a", { class: "name", href: to, "data-row": true, title: "Look at this sidecar only" }, s.service || s.name),
		s.slot ? h("span", { class: "soft" }, "." + s.slot) : null, " ", s.stack && h("span", { class: "tag" }, s.stack), s.version && h("span", { class: "sub" }, " " + s.version),
		h("div", { class: "sub break" }, s.name !== s.service ? s.name : "", s.config_errors ? h("a", { class: "badtext", href: href("config", null, { scope: kind() === "swarm" ? live.scope : own }) }, ` ▲ ${plural(s.config_errors, "option")} refused`) : null)),
	kind() === "swarm" && h("td", { class: "at", "data-h": "Node" }, s.node), h("td", { "data-h": "State" }, stateBadge(s.state)), h("td", { "data-h": "Handler" }, stateBadge(s.handler || "none")),
	h("td", { "data-h": "Wiring", class: s.wired === true ? null : "whole" }, s.wired === true ? badge("ok", "wired") : s.wired ? [badge("warn", "not yet"), h("div", { class: "sub" }, s.wired)] : "–"),
	h("td", { class: "num", "data-h": "In" }, rate(i.rate)), h("td", { class: "num" + (i.errors ? " badtext" : ""), "data-h": "Failing" }, percent(share(i.errors, i.rate))),
	h("td", { class: "num", "data-h": "p99" }, ms(i.p99_ms)), h("td", { class: "num", "data-h": "Calls out" }, rate(o.rate)), h("td", { class: "num", "data-h": "CPU" }, percent(cost.cpu_percent)),
	h("td", { class: "num", "data-h": "Memory, about" }, bytes(cost.memory_bytes)), h("td", { class: "num", "data-h": "Connections" }, count(cost.connections)));
}

export default {
	name: "sidecars", title: "Sidecars", live: true,
	render(ctx) {
		const by = ctx.params.sort || "service", down = ctx.params.down === "1", all = order(rows(ctx.params.q), by, down), left = states().reduce((n, a) => n + (a.state.left_out?.sidecars || 0), 0);
		const most = Number(ctx.params.most) || SHOWN;
		return [h("div", { class: "head" }, h("h1", null, "Sidecars"), h("p", null, plural(all.length, "sidecar") + (left ? `, ${count(left)} quiet ones not told` : "")), h("div", { class: "right" }, search(ctx.params, "q", "Service, stack, node, state"))),
			h("section", { class: "card" }, all.length ? h("div", { class: "scroll" }, h("table", { class: "cards" }, h("thead", null, h("tr", null, COLUMNS.filter(([name]) => name !== "node" || kind() === "swarm").map(([name, text, num]) =>
				h("th", { class: num ? "num" : null, scope: "col", "aria-sort": by === name ? (down ? "descending" : "ascending") : null },
					h("a", { href: href("sidecars", null, { ...ctx.params, sort: name, down: (by === name ? !down : num) ? "1" : null }), class: by === name ? "strong" : "soft" }, text, by === name ? (down ? " ↓" : " ↑") : ""))))),
			h("tbody", null, all.slice(0, most).map(row)))) : ctx.params.q ? empty("No sidecar fits", "Clear the filter to see all.") :
				empty("No sidecars here yet", "A container gets one with OUTRIDER_PORT in its environment, or the label outrider.enable=true.", "outrider doctor"),
			all.length > most && h("p", { class: "more" }, `${all.length - most} more: `, h("a", { href: href("sidecars", null, { ...ctx.params, most: most + SHOWN }) }, "show them"), " or filter."))];
	},
};
