/* Pieces that several views use: icons, badges, empty states, messages, dialogs. */

import { h, render } from "./dom.js";
import { href, link, setParams } from "./route.js";
import { clock, iso } from "./fmt.js";
import { reasonTable } from "./api.js";

const ICONS = { /* 16 × 16, strokes */
	overview: "M2 13V9M6.500 13V4M11 13V7M2 15h12", map: "M3 4a1.500 1.500 0 1 0 .01 0M13 3a1.500 1.500 0 1 0 .01 0M12 13a1.500 1.500 0 1 0 .01 0M4.500 5.500l6.500 7M5 5l6.500-.8",
	upstreams: "M2 4h5M2 8h9M2 12h5M12 2.500v11M9.500 11l2.500 2.500 2.500-2.500", circuits: "M1 8h4l5-4M10.500 8H15M5 8a1 1 0 1 0 .01 0",
	traces: "M2 3h7M5 7h7M7 11h4M12 11h2", failures: "M8 2l6.500 11.500h-13zM8 6.500v3M8 11.500v.2", log: "M3 3h10M3 6.500h10M3 10h7M3 13.500h5",
	config: "M2 5h8M13 5h1M2 11h2M7 11h7M11.500 3.500a1.500 1.500 0 1 0 .01 0M5.500 9.500a1.500 1.500 0 1 0 .01 0", sidecars: "M2 3h5v5H2zM9 8h5v5H9zM7 5.500h3.500V8",
	sun: "M8 5a3 3 0 1 0 .01 0M8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1", moon: "M13.500 9.500A6 6 0 0 1 6.500 2.500a6 6 0 1 0 7 7z",
	save: "M8 2v8M4.500 7L8 10.500 11.500 7M2.500 13.500h11", help: "M5.800 6a2.200 2.200 0 1 1 3.200 2c-.7.400-1 .8-1 1.700M8 12v.3",
	rollout: "M8 2l5 5H9.500v7h-3V7H3z", "config-refused": "M3 3l10 10M13 3L3 13", ejected: "M3 8h10M8 1.500a6.500 6.500 0 1 0 .01 0", readmitted: "M3 8.500l3.500 3.500L13 4.500",
	circuit: "M1 8h4l5-4M10.500 8H15", "sidecar-up": "M8 3v10M3 8h10", "sidecar-down": "M3 8h10", handler: "M3 4h10v8H3zM5.500 8h5", registry: "M3 4h10M3 8h10M3 12h10", drain: "M3 2.500h10L9.500 8v5.500l-3-1.500V8z",
	restart: "M13 8a5 5 0 1 1-1.500-3.600M12 1.500v3H9",
};

export function icon(name) {
	return h("svg", { viewBox: "0 0 16 16", fill: "none", stroke: "currentColor", "stroke-width": "1.6", "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" },
		h("path", { d: ICONS[name] || ICONS.overview }));
}

/* A state by colour and by shape: disc, triangle, cross, ring. */
export function mark(tone) {
	const shape = { ok: ["circle", { cx: 5, cy: 5, r: 4, fill: "currentColor" }], warn: ["path", { d: "M5 .8L9.600 9.200H.4z", fill: "currentColor" }],
		bad: ["path", { d: "M1.500 1.500l7 7m0-7l-7 7", stroke: "currentColor", "stroke-width": 2.4, "stroke-linecap": "round" }],
		off: ["circle", { cx: 5, cy: 5, r: 3.5, fill: "none", stroke: "currentColor", "stroke-width": 1.8 }] }[tone];
	return h("svg", { class: "mark " + tone, viewBox: "0 0 10 10", "aria-hidden": "true" }, h(...(shape || ["circle", {}])));
}

export const badge = (tone, text, title) => h("span", { class: "badge " + tone, title }, mark(tone), text);

const TONES = {
	up: "ok", ready: "ok", serving: "ok", closed: "ok", ok: "ok", healthy: "ok", wired: "ok", "forced-closed": "warn", none: "off", off: "off", unknown: "off",
	draining: "warn", drained: "warn", "half-open": "warn", probing: "warn", starting: "warn", ending: "off", warming: "warn", "lame-duck": "warn", trouble: "bad", "forced-open": "bad",
	open: "bad", down: "bad", ejected: "bad", failed: "bad", gone: "off", warn: "warn", fail: "bad", held: "warn", registered: "ok", auto: "off",
};

export const toneOf = state => TONES[String(state)] || (/down|eject|fail|refus|unhealthy/.test(state) ? "bad" : /drain|warm|prob|wait|half|start/.test(state) ? "warn" : "off");
export const isOpen = circuit => toneOf(circuit.state) === "bad"; /* half-open is none: calls go through */
export const stateBadge = (state, title) => badge(toneOf(state), state ?? "unknown", title);

export function changeTone(kind, text) {
	if (kind === "ejected" || kind === "config-refused" || kind === "sidecar-down")
		return "bad";
	if (kind === "circuit")
		return /clos/.test(text || "") ? "ok" : /half/.test(text || "") ? "warn" : "bad";
	if (kind === "readmitted" || kind === "sidecar-up")
		return "ok";
	if (kind === "handler" || kind === "registry")
		return /down|lost|trouble|not|gone|fail/.test(text || "") ? "bad" : "ok";
	return kind === "drain" ? "warn" : "off";
}

export function empty(title, text, command) {
	return h("div", { class: "empty" }, h("b", null, title), text && h("p", null, text), command && h("code", null, command));
}

/* What a failed question looks like. */
export function trouble(error) {
	return h("div", { class: "card" }, h("div", { class: "empty" }, mark("bad"), h("b", null, error.message), error.remedy && h("p", null, error.remedy)));
}

export function time(at, fraction) {
	return h("time", { datetime: iso(at), title: iso(at), class: "nowrap" }, clock(at, fraction));
}

export function reason(word) {
	return word ? h("a", { class: "reason", href: link("reasons", word), title: "What this word means" }, word) : null;
}

/* A field that filters; what is typed stands in the address as `name`. */
export function search(params, name, label) {
	return h("input", { type: "search", value: params[name] || "", placeholder: label, "aria-label": label, "data-filter": true, autocomplete: "off", spellcheck: "false",
		oninput: event => setParams({ [name]: event.currentTarget.value.trim() || null }),
		onkeydown: event => {
			if (event.key === "Escape") {
				event.currentTarget.value = "";
				setParams({ [name]: null });
				event.currentTarget.blur();
			}
		} });
}

/* Some choices of which one is taken, as links that keep the rest of the address. */
export function choice(label, name, usual, taken, options, params, view, arg) {
	return h("div", { class: "seg", role: "group", "aria-label": label }, options.map(([value, text]) =>
		h("a", { href: href(view, arg, { ...params, [name]: value === usual ? null : value }), "aria-current": (taken || usual) === value ? "true" : null }, text)));
}

export function picker(label, name, params, options) {
	return h("label", { class: "field" }, h("span", { class: "sr" }, label),
		h("select", { "aria-label": label, value: params[name] || "", onchange: event => setParams({ [name]: event.currentTarget.value || null }, true) },
			options.map(([value, text]) => h("option", { value, key: value }, text))));
}

export const fits = (q, ...texts) => !q || texts.some(t => t && String(t).toLowerCase().includes(q.toLowerCase()));

/* --- messages and dialogs ---------------------------------------------------------------------------------------------------- */

const toasts = [];

function showToasts() {
	let box = document.querySelector(".toasts");
	if (!box) {
		box = document.createElement("div");
		box.className = "toasts";
		box.setAttribute("role", "status");
		document.body.append(box);
	}
	render(box, toasts.map(t => h("div", { class: "toast", key: t.id }, h("span", null, t.text), t.action && h("button", { onclick: () => {
		drop(t);
		t.action.fn();
	} }, t.action.text))));
}

function drop(t) {
	const at = toasts.indexOf(t);
	if (at >= 0)
		toasts.splice(at, 1);
	showToasts();
}

let ids = 0;

export function toast(text, action) {
	const t = { id: ++ids, text, action };
	toasts.push(t);
	toasts.splice(0, toasts.length - 4);
	showToasts();
	setTimeout(() => drop(t), action ? 9000 : 5000);
}

/* Resolves with what `build(close)` calls close with; null when the dialog is left. */
export function dialog(build) {
	return new Promise(resolve => {
		const el = document.createElement("dialog");
		let answer = null;
		const close = value => {
			answer = value;
			el.close();
		};
		el.addEventListener("close", () => {
			el.remove();
			resolve(answer);
		});
		el.addEventListener("click", event => event.target === el && close(null));
		document.body.append(el);
		render(el, build(close));
		const heading = el.querySelector("h2");
		heading.id = "dialog-title";
		el.setAttribute("aria-labelledby", "dialog-title");
		el.showModal();
		el.querySelector("[data-first]")?.focus();
	});
}

export function confirm(title, text, button, danger) {
	return dialog(close => [h("h2", null, title), h("p", { class: "soft" }, text), h("div", { class: "row" },
		h("button", { class: "btn", onclick: () => close(null) }, "Cancel"),
		h("button", { class: "btn " + (danger ? "danger" : "main"), "data-first": true, onclick: () => close(true) }, button))]);
}

export function askToken(wrong) {
	let value = "";
	return dialog(close => [h("h2", null, wrong ? "That token was refused" : "The agent asks for its token"),
		h("p", { class: "soft" }, "outrider.admin.token of this agent. The page keeps it until it is closed, and nowhere else."),
		h("div", { class: "pad" }, h("input", { type: "password", "aria-label": "Token", "data-first": true, autocomplete: "off", oninput: event => value = event.currentTarget.value,
			onkeydown: event => {
				if (event.key === "Enter") {
					event.preventDefault(); /* else the button that gets the focus back is pressed by the same key */
					close(value);
				}
			} })),
		h("div", { class: "row" }, h("button", { class: "btn", onclick: () => close(null) }, "Cancel"), h("button", { class: "btn main", onclick: () => close(value) }, "Use it"))]);
}

export async function copy(text, what) {
	try {
		await navigator.clipboard.writeText(text);
	} catch { /* plain http: the old way */
		const area = document.createElement("textarea");
		area.value = text;
		document.body.append(area);
		area.select();
		document.execCommand("copy");
		area.remove();
	}
	toast(what + " copied");
}

export { reasonTable };
