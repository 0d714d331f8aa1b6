/* The closed list of reasons: what each word means and which knob to turn. */

import { h } from "./dom.js";
import { link } from "./route.js";
import { empty, fits, reasonTable, search } from "./parts.js";

export default {
	name: "reasons", title: "Reasons", load: () => reasonTable(),
	render(ctx) {
		const all = Object.values(ctx.data || {}), of = ctx.data?.[ctx.arg], list = all.filter(r => fits(ctx.params.q, r.word, r.cause, r.remedy, r.stage, r.blame));
		return [h("div", { class: "head" }, h("h1", null, "Reasons"), h("p", null, "Every answer that the agent makes itself carries one of these words."), h("div", { class: "right" }, search(ctx.params, "q", "Word or sentence"))),
			ctx.arg && of && h("section", { class: "card pad" }, h("h2", { class: "mono" }, of.word), h("dl", { class: "kv", style: { "margin-top": "8px" } }, h("dt", null, "Status"), h("dd", null, of.status || "none: the connection is cut"),
				h("dt", null, "Stage"), h("dd", null, of.stage), h("dt", null, "Blame"), h("dd", null, of.blame), h("dt", null, "Cause"), h("dd", null, of.cause), h("dt", null, "Remedy"), h("dd", null, of.remedy)),
			h("p", { style: { "margin-top": "10px" } }, h("a", { href: link("failures", null, { reason: of.word }) }, "Failures with this reason"))),
			ctx.arg && ctx.data && !of && h("section", { class: "card" }, empty("The agent does not explain “" + ctx.arg + "”", "docs/reasons.md lists all words.")),
			all.length > 0 && h("section", { class: "card" }, h("table", { class: "cards" }, h("thead", null, h("tr", null, ["Word", "Status", "Stage", "Blame", "Cause", "Remedy"].map(t => h("th", { scope: "col" }, t)))),
				h("tbody", null, list.map(r => h("tr", { key: r.word, "aria-selected": r.word === ctx.arg ? "true" : null }, h("td", { class: "whole" }, h("a", { class: "reason nowrap", href: link("reasons", r.word), "data-row": true }, r.word)), h("td", { "data-h": "Status" }, r.status || "–"),
					h("td", { "data-h": "Stage" }, r.stage), h("td", { "data-h": "Blame" }, r.blame), h("td", { class: "whole" }, r.cause), h("td", { class: "whole soft" }, r.remedy))))))];
	},
};
