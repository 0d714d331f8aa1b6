/* Lines over time: uPlot where the agent has it, and small pictures of our own. */

import { h } from "./dom.js";

const charts = new Set();

export function colour(name) {
	return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

export const available = () => typeof window.uPlot === "function";

/* When the theme changes, the canvases are drawn anew. */
export function repaint() {
	for (const chart of charts)
		chart.make(true);
}

function axes(format) {
	const font = "11px " + getComputedStyle(document.body).fontFamily;
	const both = { stroke: colour("soft"), font, grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false } };
	return [
		{ ...both, size: 24, gap: 4, space: 70, values: [[60, "{HH}:{mm}", null, null, null, null, null, null, 0], [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 0]] },
		{ ...both, size: 52, gap: 6, space: 28, values: (_u, splits) => splits.map(v => format(v)) },
	];
}

/* The changes as lines through the chart, the picked one strong. */
function drawMarks(u, chart) {
	const ctx = u.ctx;
	ctx.save();
	ctx.lineWidth = devicePixelRatio;
	for (const mark of chart.spec.marks || []) {
		const x = u.valToPos(mark.t, "x", true);
		if (x < u.bbox.left || x > u.bbox.left + u.bbox.width)
			continue;
		ctx.strokeStyle = colour(mark.on ? "accent" : mark.tone === "bad" ? "bad" : "line-strong");
		ctx.setLineDash(mark.on ? [] : [3 * devicePixelRatio, 3 * devicePixelRatio]);
		ctx.beginPath();
		ctx.moveTo(x, u.bbox.top);
		ctx.lineTo(x, u.bbox.top + u.bbox.height);
		ctx.stroke();
	}
	ctx.restore();
}

class Chart {
	constructor(el, spec) {
		this.el = el;
		this.spec = spec;
		charts.add(this);
		this.seen = new ResizeObserver(() => this.size());
		this.seen.observe(el);
		this.make();
	}

	make() {
		this.plot?.destroy();
		const { spec, el } = this, chart = this;
		this.plot = new window.uPlot({
			width: Math.max(el.clientWidth, 120), height: el.clientHeight,
			padding: [8, 14, 0, 0],
			legend: { show: false },
			cursor: { sync: { key: "overview" }, drag: { x: false, y: false }, points: { size: 6 }, y: false },
			scales: { x: { time: true, range: () => chart.spec.range }, y: { range: (_u, _min, max) => [0, chart.spec.top(max)] } },
			axes: axes(spec.format),
			series: [{}, ...spec.lines.map(line => ({ stroke: colour(line.colour), width: 1.75, dash: line.dash, points: { show: false },
				fill: line.fill ? colour(line.colour) + "22" : undefined, spanGaps: false }))],
			hooks: { draw: [u => drawMarks(u, this)], setCursor: [u => this.spec.cursor?.(u.cursor.idx ?? null)] },
		}, spec.data, el);
	}

	size() {
		const width = this.el.clientWidth, height = this.el.clientHeight;
		if (width && (width !== this.plot.width || height !== this.plot.height))
			this.plot.setSize({ width, height });
	}

	set(spec) {
		this.spec = spec;
		this.plot.setData(spec.data);
	}

	leave() {
		this.seen.disconnect();
		this.plot.destroy();
		charts.delete(this);
	}
}

/* spec: {label, data: [seconds, line…], lines: [{colour, dash, fill}], format, range: [from, to], top(max), marks, cursor(index)} */
export function lineChart(spec) {
	if (!available())
		return h("div", { class: "chart empty" }, h("p", null, "This agent was built without charts (npm was out of reach)."));
	return h("div", {
		class: "chart", role: "img", "aria-label": spec.label, opaque: true,
		hook: el => {
			if (el._chart)
				el._chart.set(spec);
			else
				el._chart = new Chart(el, spec);
		},
		gone: el => el._chart?.leave(),
	});
}

/* A line without axes of `values`, 0 at the bottom; null leaves a gap. */
export function spark(values, label, most) {
	const top = Math.max(most || 0, ...values.filter(v => v !== null), 1e-9), n = Math.max(values.length - 1, 1);
	let line = "", area = "", pen = false, last = 0;
	values.forEach((v, i) => {
		if (v === null || v === undefined) {
			pen = false;
			return;
		}
		const x = (i / n * 100).toFixed(2), y = (27 - v / top * 25).toFixed(2);
		line += (pen ? "L" : "M") + x + " " + y;
		area += (area ? "L" : "M" + x + " 28L") + x + " " + y;
		pen = true;
		last = x;
	});
	return h("svg", { class: "spark", viewBox: "0 0 100 28", preserveAspectRatio: "none", role: "img", "aria-label": label },
		area && h("path", { class: "area", d: area + "L" + last + " 28Z" }), h("path", { d: line || "M0 27" }));
}

/* Bars of what a window held at each tick: good, failed, refused. */
export function bars(row, slots = 60) {
	const top = Math.max(1, ...row.map(p => p.requests + p.rejected)), out = [];
	row.forEach((p, i) => {
		const x = slots - row.length + i, good = Math.max(0, p.requests - p.errors);
		let y = 64;
		for (const [n, tone] of [[good, "c2"], [p.errors, "bad"], [p.rejected, "warn"]]) {
			const height = n / top * 60;
			if (height <= 0)
				continue;
			y -= height;
			out.push(h("rect", { x: (x * 4).toFixed(1), y: y.toFixed(1), width: "3", height: Math.max(height, .8).toFixed(1), fill: `var(--${tone})` }));
		}
	});
	return h("svg", { viewBox: `0 0 ${slots * 4} 66`, preserveAspectRatio: "none", "aria-hidden": "true" },
		h("line", { x1: 0, x2: slots * 4, y1: 65, y2: 65, stroke: "var(--line)" }), out);
}
