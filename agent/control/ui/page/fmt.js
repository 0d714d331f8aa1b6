/* Numbers, times and names as they are shown: always with a unit, always as wide as needed and no wider. */

const NONE = "–";

function digits(n) {
	const a = Math.abs(n);
	if (a >= 1e9)
		return (n / 1e9).toFixed(a < 1e10 ? 1 : 0) + "G";
	if (a >= 1e6)
		return (n / 1e6).toFixed(a < 1e7 ? 1 : 0) + "M";
	if (a >= 1e4)
		return (n / 1e3).toFixed(a < 1e5 ? 1 : 0) + "k";
	if (a >= 100 || a === 0)
		return n.toFixed(0);
	if (a >= 0.095)
		return n.toFixed(1);
	return n.toFixed(2);
}

export const is = n => typeof n === "number" && Number.isFinite(n);
export const count = n => is(n) ? (Math.abs(n) < 10000 ? String(Math.round(n)) : digits(n)) : NONE;
export const rate = n => is(n) ? digits(n) + "/s" : NONE;

export function ms(n) {
	if (!is(n))
		return NONE;
	if (n >= 60000)
		return span(n);
	if (n >= 1000)
		return (n / 1000).toFixed(n < 10000 ? 2 : 1) + " s";
	return n.toFixed(n >= 100 ? 0 : n >= 10 ? 1 : n > 0 ? 2 : 0) + " ms";
}

export function percent(n) {
	if (!is(n))
		return NONE;
	return (n === 0 || n >= 10 ? n.toFixed(0) : n < 0.1 ? "<0.1" : n.toFixed(1)) + "%";
}

export const share = (part, of) => is(part) && is(of) && of > 0 ? part / of * 100 : 0;

export function bytes(n) {
	if (!is(n))
		return NONE;
	const units = ["B", "KiB", "MiB", "GiB", "TiB"];
	let i = 0;
	for (; n >= 1024 && i < units.length - 1; i++)
		n /= 1024;
	return (i === 0 || n >= 100 ? n.toFixed(0) : n.toFixed(1)) + " " + units[i];
}

/* A time that passed, of at most two parts: 12 s, 3 min 5 s, 2 h 10 min. */
export function span(n) {
	if (!is(n))
		return NONE;
	const s = Math.max(0, Math.round(n / 1000));
	if (s < 60)
		return s + " s";
	if (s < 600)
		return Math.floor(s / 60) + " min" + (s % 60 ? " " + s % 60 + " s" : "");
	if (s < 3600)
		return Math.floor(s / 60) + " min";
	if (s < 86400)
		return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
	return Math.floor(s / 86400) + " d " + Math.floor(s % 86400 / 3600) + " h";
}

const two = n => String(n).padStart(2, "0");

/* Of the day, in the reader's zone; another day's with its date. */
export function clock(at, fraction) {
	const d = new Date(at);
	if (!at || Number.isNaN(d.getTime()))
		return NONE;
	const time = two(d.getHours()) + ":" + two(d.getMinutes()) + ":" + two(d.getSeconds()) +
		(fraction ? "." + String(d.getMilliseconds()).padStart(3, "0") : "");
	const today = new Date();
	return d.toDateString() === today.toDateString() ? time : two(d.getMonth() + 1) + "-" + two(d.getDate()) + " " + time;
}

export function iso(at) {
	const d = new Date(at);
	return !at || Number.isNaN(d.getTime()) ? "" : d.toISOString();
}

export function cut(text, most) {
	const all = Array.from(String(text ?? ""));
	return all.length > most ? all.slice(0, most - 1).join("") + "…" : all.join("");
}

export const plural = (n, one, many) => count(n) + " " + (n === 1 ? one : many || one + "s");
