/* Options in effect and where each came from; what was refused; an option as lines of a stack file. */

import { h } from "./dom.js";
import { href, setParams } from "./route.js";
import { get, noWrites } from "./api.js";
import { kind, live, prefix, states } from "./live.js";
import { badge, choice, copy, dialog, empty, fits, mark, search, stateBadge, time } from "./parts.js";
import { clock, plural, span } from "./fmt.js";

export const variable = key => key.toUpperCase().replace(/[.-]/g, "_");

/* What YAML 1.1 or 1.2 takes for something else than text: numbers (1e3, 0x1f, .inf), truth values, nothing. */
const NO_TEXT = /^(?:[\d._-]+|[\d._]+e[\d+-]*|0[box][\da-f_]+|\.inf|\.nan|true|false|yes|no|on|off|null|y|n)$/i;

/* As a stack file reads it back as the same text; there a single $ would begin a variable. */
export function yaml(value) {
	return /^[A-Za-z0-9./][\w./@-]*$/.test(value) && !NO_TEXT.test(value) ? value : JSON.stringify(value).replaceAll("$", "$$$$");
}

export function stackLines(options) {
	return "    environment:\n" + options.map(o => `      ${variable(o.key)}: ${yaml(o.value)}`).join("\n") + "\n";
}

/* May be broken behind its dots. */
const dotted = key => key.split(".").flatMap((part, i, all) => i + 1 < all.length ? [part + ".", h("wbr")] : [part]);
const secret = o => /^\*+$/.test(o.value);

/* The reader may type another value before it is copied: a change on its way into the stack file. */
function asYaml(o) {
	let value = o.value;
	return dialog(close => {
		const preview = () => stackLines([{ key: o.key, value }]), pre = h("pre", { class: "mono break", id: "yaml", style: { "white-space": "pre-wrap", background: "var(--raised)", padding: "10px", "border-radius": "8px" } }, preview());
		return [h("h2", { class: "break" }, o.key), h("p", { class: "soft" }, o.scope === "process" ? "An option of the agent: into the stack file of the agent." : "Into the stack file of the service.",
			o.reloadable ? " In a source of outrider.config it is live at once." : " It counts from the next start."),
		h("label", { class: "field", style: { "margin-top": "10px", width: "100%" } }, "Value", h("input", { type: "text", value, style: { flex: "1" }, "data-first": true, spellcheck: "false", oninput: event => {
			value = event.currentTarget.value;
			document.getElementById("yaml").textContent = preview();
		} })), h("p", { class: "note" }, `Default: ${o.default === "" ? "none" : o.default}`), pre, h("div", { class: "row" }, h("button", { class: "btn", onclick: () => close(null) }, "Close"), h("button", { class: "btn main", onclick: () => {
			copy(preview(), "Lines of the stack file");
			close(true);
		} }, "Copy"))];
	});
}

function refused(c) {
	const r = c.rejected;
	return r && h("section", { class: "card", id: "refused" }, h("header", null, mark("bad"), h("h2", null, "The last change was refused"), h("span", { class: "right" }, time(r.at), r.in_row > 1 ? `${r.in_row} times in a row` : "")), h("p", { class: "pad" }, "The last good values stay in effect. Put right what stands here, and the next change is taken."),
		h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" }, h("table", { class: "cards" }, h("thead", null, h("tr", null, ["Option", "Value", "From", "Why"].map(t => h("th", { scope: "col" }, t)))), h("tbody", null, (r.problems || []).map((p, i) => h("tr", { key: i }, h("td", { class: "name", "data-h": "Option" }, p.key), h("td", { class: "mono break", "data-h": "Value" }, p.value),
			h("td", { class: "origin whole", "data-h": "From" }, p.origin), h("td", { class: "whole badtext", "data-h": "Why" }, p.why)))))));
}

function notes(list, title, text) {
	return list?.length > 0 && h("section", { class: "card" }, h("header", null, mark("warn"), h("h2", null, title)), h("p", { class: "pad note" }, text), h("ul", { class: "pad stack" }, list.map((p, i) => h("li", { key: i, class: "break" }, h("b", null, p.key), p.value !== undefined ? [" = ", h("code", null, p.value)] : null, h("div", { class: "note" }, p.origin, p.why ? ": " + p.why : "")))));
}

function sources(c) {
	const s = c.snapshot || {};
	return h("section", { class: "card" }, h("header", null, h("h2", null, "Sources"), h("span", { class: "right" }, `version ${s.version ?? "–"}`, s.since && h("span", { title: s.since }, `in effect for ${span(Date.now() - new Date(s.since))}`))), c.sources?.length ?
		h("ul", { class: "pad stack" }, c.sources.map(x => h("li", { key: x.source, class: "break" }, stateBadge(x.well ? "ok" : "trouble"), " ", h("span", { class: "mono" }, x.source), h("div", { class: "note" }, x.trouble || `${plural(x.properties, "property", "properties")}, changed ${clock(x.changed_at)}${x.cached ? ", from the cache" : ""}`)))) :
		empty("No source is asked", "All values are flags, environment, labels or defaults. outrider.config names a source whose changes are live."));
}

function picks(ctx) {
	if (kind() === "node")
		return [["", "The agent itself"], ...live.ownSidecars.map(s => [s.name, s.service + (s.slot ? "." + s.slot : "") + (s.stack ? " · " + s.stack : "")])];
	return kind() === "swarm" ? states().map(a => [a.node, a.node]) : [[ctx.params.of || "", ""]];
}

export default {
	name: "config", title: "Configuration", params: ["of"],
	get every() {
		return kind() === "swarm" ? 30000 : 3000; /* there it is that of all agents */
	},
	async load(ctx, signal) {
		const of = ctx.params.of;
		if (kind() === "swarm") {
			const parts = await ctx.each("config", signal);
			const one = parts.find(p => p.node === of && p.body) || parts.find(p => p.body);
			if (!one)
				throw new Error("No agent answers.");
			return { ...one.body, node: one.node, other: parts };
		}
		return get((kind() === "node" && of ? prefix("sidecar:" + of) : prefix(live.scope)) + "config", signal);
	},
	head(ctx) {
		const options = picks(ctx);
		return h("div", { class: "head" }, h("h1", null, "Configuration"), options.length > 1 && h("label", { class: "field" }, h("span", null, "of"), h("select", { "aria-label": "Whose configuration", value: ctx.params.of || ctx.data?.node || "",
			onchange: event => setParams({ of: event.currentTarget.value || null }, true) }, options.map(([v, t]) => h("option", { key: v, value: v }, t)))),
		h("div", { class: "right" }, h("button", { class: "btn", disabled: noWrites() !== null, title: noWrites() || "Read all sources again", onclick: () => ctx.change("refresh", "The sources are read again", null, "POST") }, "Read again"),
			choice("Which options", "show", "changed", ctx.params.show, [["changed", "Set"], ["all", "All"]], ctx.params, "config"), search(ctx.params, "q", "Option, value, origin")));
	},
	render(ctx) {
		const c = ctx.data;
		if (!c)
			return [this.head(ctx), empty("Asking …", "")];
		const q = ctx.params.q, all = c.options || [], set = all.filter(o => o.origin !== "default"), list = (ctx.params.show === "all" || q ? all : set).filter(o => fits(q, o.key, o.value, o.origin)), bad = new Set((c.rejected?.problems || []).map(p => p.key));
		return [this.head(ctx), refused(c), notes(c.problems, "Options that are left out", "This sidecar runs on the default for each of them."), notes(c.needs_restart, "Takes effect with the next start", "Changed in a source, but read only at start."),
			(c.other || []).filter(p => p.error).map(p => h("p", { class: "note", key: p.node }, mark("warn"), ` ${p.node} does not answer: ${p.error}`)),
			h("div", { class: "stack" }, h("section", { class: "card" }, h("header", null, h("h2", null, ctx.params.show === "all" || q ? "All options" : "Options that are set"), h("span", { class: "note" }, `${set.length} of ${all.length} are set`),
				h("span", { class: "right" }, h("button", { class: "btn small", disabled: !set.length, onclick: () => copy(stackLines(set.filter(o => !secret(o))), "All set options as stack YAML") }, "Copy all set as YAML"))),
			list.length ? h("div", { class: "scroll" }, h("table", { class: "cards" }, h("thead", null, h("tr", null, ["Option", "Value", "From", "Takes effect", ""].map(t => h("th", { scope: "col" }, t || h("span", { class: "sr" }, "Copy"))))), h("tbody", null, list.map(o =>
				h("tr", { key: o.key, class: o.origin !== "default" ? "changed" : null }, h("td", { class: "whole name", style: { "min-width": "230px" } }, dotted(o.key), bad.has(o.key) && [" ", badge("bad", "refused")]), h("td", { class: "mono break", "data-h": "Value" }, o.value === "" ? h("span", { class: "soft" }, "none") : o.value, o.origin !== "default" && o.default !== "" && o.default !== o.value && h("div", { class: "sub" }, "default ", o.default)),
					h("td", { class: "origin", "data-h": "From" }, o.origin), h("td", { "data-h": "Takes effect", class: "soft" }, o.reloadable ? "at once" : "at start"), h("td", { class: "num whole" }, h("button", { class: "btn small", disabled: secret(o), title: secret(o) ? "A secret is not told" : "As lines of a stack file", "aria-label": "As stack YAML: " + o.key, onclick: () => asYaml(o) }, "YAML"))))))) :
				empty(q ? "No option fits" : "Nothing is set", q ? "Clear the filter to see all." : "Every option has its default.")),
			h("div", { class: "stack" }, sources(c), h("p", { class: "note" }, "What each option means: ", h("code", null, "outrider help"), " and docs/options.md."), kind() === "node" && h("p", { class: "note" }, h("a", { href: href("sidecars", null, { scope: ctx.params.scope }) }, "All sidecars"), " of this node run with the agent's options and their own."))),
		];
	},
};
