/* Where the nodes of a graph of calls stand: callers left of those they call, in columns of bounded height, few crossings. Pure. */

export const NODE = { w: 168, h: 46 }, PEER = { w: 196, h: 46 }, GAP = { x: 76, labels: 108, y: 16 };
const WIDE = 6; /* columns of a large landscape */

/* Longest way from a root; an edge that closes a ring counts for nothing. */
function ranks(names, out) {
	const rank = new Map(), state = new Map(), order = [];
	const visit = root => {
		const stack = [[root, 0]];
		state.set(root, 1);
		while (stack.length) {
			const top = stack[stack.length - 1], next = out.get(top[0]) || [];
			if (top[1] < next.length) {
				const to = next[top[1]++];
				if (!state.has(to)) {
					state.set(to, 1);
					stack.push([to, 0]);
				}
			} else {
				state.set(top[0], 2);
				order.push(top[0]);
				stack.pop();
			}
		}
	};
	const called = new Set([].concat(...out.values()));
	for (const name of names)
		if (!called.has(name) && !state.has(name))
			visit(name);
	for (const name of names)
		if (!state.has(name))
			visit(name);
	order.reverse();
	const place = new Map(order.map((name, i) => [name, i]));
	for (const name of order) {
		rank.set(name, rank.get(name) || 0);
		for (const to of out.get(name) || [])
			if (place.get(to) > place.get(name))
				rank.set(to, Math.max(rank.get(to) || 0, rank.get(name) + 1));
	}
	return rank;
}

function sortByNeighbours(columns, near) {
	for (let turn = 0; turn < 6; turn++) {
		const at = new Map();
		columns.forEach(column => column.forEach((name, i) => at.set(name, i / Math.max(1, column.length - 1 || 1))));
		const list = turn % 2 ? columns.slice().reverse() : columns;
		for (const column of list) {
			const weight = new Map(column.map((name, i) => {
				const places = (near.get(name) || []).map(n => at.get(n)).filter(v => v !== undefined);
				return [name, places.length ? places.reduce((a, b) => a + b, 0) / places.length : i / column.length];
			}));
			column.sort((a, b) => weight.get(a) - weight.get(b) || a.localeCompare(b));
			column.forEach((name, i) => at.set(name, i / Math.max(1, column.length - 1 || 1)));
		}
	}
}

/* A call over several columns bends around what stands between: a place is kept for it in each. */
function withBends(names, edges, rank) {
	const all = names.slice(), links = [], bends = new Map();
	for (const e of edges) {
		const from = rank.get(e.from), to = rank.get(e.to);
		if (e.from === e.to)
			continue;
		if (to - from < 2) {
			links.push(e);
			continue;
		}
		let last = e.from;
		const via = [];
		for (let r = from + 1; r < to; r++) {
			const bend = "\0" + e.from + "\0" + e.to + "\0" + r;
			rank.set(bend, r);
			all.push(bend);
			via.push(bend);
			links.push({ from: last, to: bend });
			last = bend;
		}
		links.push({ from: last, to: e.to });
		bends.set(e.from + "\0" + e.to, via);
	}
	return { all, links, bends };
}

const isBend = name => name.startsWith("\0");

function place(columns, gap) {
	const tall = name => isBend(name) ? 12 : NODE.h, at = new Map(), heights = columns.map(c => c.reduce((n, name) => n + tall(name) + GAP.y, -GAP.y)), most = Math.max(NODE.h, ...heights);
	columns.forEach((column, c) => {
		const spare = column.length > 1 ? Math.min((most - heights[c]) / (column.length - 1), NODE.h) : 0;
		let y = 16 + (most - heights[c] - spare * (column.length - 1)) / 2;
		for (const name of column) {
			at.set(name, { x: 16 + c * (NODE.w + gap), y });
			y += tall(name) + GAP.y + spare;
		}
	});
	return { at, width: columns.length * (NODE.w + gap) - gap + 32, height: most + 60 };
}

/* names: of nodes; edges: [{from, to}]; fixed: {name: column} or null; gap: between columns. Gives {at: Map(name: {x, y}), bends, width, height}. */
export function layout(names, edges, fixed, gap = GAP.x) {
	const out = new Map(), near = new Map(), sorted = names.slice().sort();
	for (const e of edges)
		if (e.from !== e.to)
			out.set(e.from, [...(out.get(e.from) || []), e.to]);
	const rank = fixed ? new Map(Object.entries(fixed)) : ranks(sorted, out), layers = [];
	const few = names.length <= 40 && edges.length <= 80, { all, links, bends } = few ? withBends(sorted, edges, rank) : { all: sorted, links: edges, bends: new Map() };
	for (const e of links) {
		near.set(e.from, [...(near.get(e.from) || []), e.to]);
		near.set(e.to, [...(near.get(e.to) || []), e.from]);
	}
	for (const name of all)
		(layers[rank.get(name) || 0] ||= []).push(name);
	const full = layers.filter(Boolean);
	sortByNeighbours(full, near);
	if (few)
		return { ...place(full, gap), bends };
	/* Many in few columns of equal height, callers still left of those they call as far as it goes. */
	const row = full.flat(), size = Math.ceil(row.length / Math.min(WIDE, Math.ceil(row.length / 8))), columns = [];
	for (let i = 0; i < row.length; i += size)
		columns.push(row.slice(i, i + size));
	sortByNeighbours(columns, near);
	return { ...place(columns, gap), bends };
}

/* Systems that services lean on, in rows below the graph: {at: [{x, y}], width, height}. */
export function below(plan, n) {
	const step = PEER.w + GAP.y, wide = Math.max(plan.width, Math.min(n, 3) * step - GAP.y + 32), across = Math.max(1, Math.floor((wide - 32 + GAP.y) / step)), top = plan.height + 6;
	const at = Array.from({ length: n }, (_, i) => ({ x: 16 + (i % across) * step, y: top + Math.floor(i / across) * (PEER.h + 12) }));
	return { at, width: wide, height: n ? top + Math.ceil(n / across) * (PEER.h + 12) + 4 : plan.height, line: top - 26 };
}

/* A line from a to b: to the right through its bends, back in an arc below both. {path, x, y}: with the place of its label. */
export function route(a, b, via = []) {
	const x2 = b.x, y2 = b.y + NODE.h / 2;
	let x = a.x + NODE.w, y = a.y + NODE.h / 2;
	if (x2 > x) {
		let path = `M${x} ${y}`;
		const label = {};
		const to = (nx, ny) => {
			const bend = Math.max(36, (nx - x) * .45);
			path += `C${x + bend} ${y} ${nx - bend} ${ny} ${nx} ${ny}`;
			label.x ??= (x + nx) / 2;
			label.y ??= (y + ny) / 2;
			[x, y] = [nx, ny];
		};
		for (const v of via) {
			to(v.x, v.y + 6);
			path += `H${x = v.x + NODE.w}`;
		}
		to(x2, y2);
		return { path, ...label };
	}
	const low = Math.max(a.y, b.y) + NODE.h + GAP.y / 2 + 4;
	return { path: `M${x} ${y}C${x + 50} ${low} ${x + 10} ${low} ${(x + x2) / 2} ${low}S${x2 - 50} ${low} ${x2} ${y2}`, x: (x + x2) / 2, y: low };
}
