/* What the agent tells while the page is open (ui/live, server-sent events), and what is remembered of it: the last ten minutes. */

import { current } from "./route.js";

const POINTS = 300, CHANGES = 400, HIDDEN_MS = 30000, MISSED = 3, SILENT = 15, SLOW_TIMES = 3, SLOW_MS = 20, RETRY_MS = [500, 1000, 2000, 4000, 8000];
const NAMES = ["rate", "errors", "p50_ms", "p95_ms", "p99_ms"];

/* series: by the address of the agent, two of which a node has during an update; circuits, edges: by seenBy().
 * own: hello of the agent that served the page, and its sidecars, whatever the scope is. hello, agents, changes: of the scope.
 * connection: "wait" (never heard), "live", "lost", "rest" (nobody looks). stale: it is live, but MISSED ticks did not come. pastless: who told
 * nothing of the last ten minutes, and why. */
export const live = {
	connection: "wait", hello: null, own: null, ownSidecars: [], agents: [], changes: [], series: new Map(), interval: 2000,
	since: Date.now(), time: 0, why: "", restarts: 0, restartedAt: 0, retryAt: 0, version: null, ticks: 0, circuits: new Map(), edges: new Map(), stale: false, heard: 0, pastless: [],
};

let source = null, timer = null, tries = 0, tell = () => {}, hiddenTimer = null, again = 0, up = null, startAt = 0;

/* "sidecar:NAME" is asked below sidecars/NAME/; everything else of the agent itself. */
export function prefix(scope) {
	return scope?.startsWith("sidecar:") ? "sidecars/" + encodeURIComponent(scope.slice(8)) + "/" : "";
}

function address(scope) {
	if (!scope)
		return "ui/live";
	return prefix(scope) + "ui/live?scope=" + (scope.startsWith("sidecar:") ? "sidecar" : encodeURIComponent(scope));
}

/* In the scope of a swarm other agents say it: what has not the type that it should have counts as not told. */
const NUMBERS = new Set(["rate", "errors", "p50_ms", "p95_ms", "p99_ms", "active", "retries", "healthy", "endpoints", "requests", "rejected", "error_percent", "cpu_percent", "memory_bytes", "connections", "loop_lag_ms", "uptime_ms",
	"config_age_ms", "config_errors", "number", "time_ms", "since_ms"]);
const LISTS = new Set(["sidecars", "edges", "circuits", "support", "changes"]), GROUPS = new Set(["in", "out", "cost", "process", "left_out", "state"]);

function clean(value, key) {
	if (Array.isArray(value))
		return LISTS.has(key) ? value.filter(v => v && typeof v === "object" && !Array.isArray(v)).map(v => clean(v, "state")) : null;
	if (value && typeof value === "object")
		return GROUPS.has(key) ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, LISTS.has(k) && !Array.isArray(v) && key !== "left_out" ? [] : clean(v, k)])) : null;
	if (NUMBERS.has(key))
		return typeof value === "number" && Number.isFinite(value) ? value : null;
	return typeof value === "string" ? value.slice(0, 600) : value;
}

/* An agent that does not answer keeps the name that it had. */
const names = new Map();

function named(agent) {
	if (agent.node && agent.address)
		names.set(agent.address, String(agent.node));
	return String(agent.node || names.get(agent.address) || agent.address || "this agent");
}

/* What this page alone saw: an agent that fell silent cannot tell it. */
function watchAgents(was, now, at) {
	for (const a of now) {
		const before = was.find(w => w.address === a.address && a.address);
		if (!before || before.ok === a.ok)
			continue;
		addChange({ number: -at, time_ms: at, node: a.node, kind: a.ok ? "sidecar-up" : "sidecar-down", service: null, upstream: null, subject: null, text: a.ok ? `the agent of ${a.node} answers again` : `the agent of ${a.node} does not answer: ${a.error}` });
	}
}

/* What a sidecar sees of an upstream, or of its circuit, is told apart by all of these: two instances of one service stand on one node, two
 * agents while the one takes over from the other, and of an upstream a route and a SOAP action have circuits of their own. */
export function seenBy(address, o) {
	const from = o.from ?? o.sidecar, to = o.to ?? o.upstream ?? o.name;
	return [address || "", o.instance || from, from, to, o.route || "", o.key || ""].join("\0");
}

/* A node; which of its agents, while it has two. */
export const placeOf = a => live.agents.filter(o => o.node === a.node).length > 1 && a.address ? `${a.node} (${a.address})` : a.node;

/* Gives each row the name of its caller: of the instance where another one of that service has such a row, too. */
export function nameCallers(rows) {
	const slots = new Map(states().flatMap(a => (a.state.sidecars || []).map(s => [a.address + "\0" + s.name, s.slot]))), several = new Map();
	const alike = r => [r.address, r.from, r.to, r.route || "", r.action || ""].join("\0");
	for (const r of rows)
		several.set(alike(r), (several.get(alike(r)) || 0) + 1);
	for (const r of rows) {
		const slot = slots.get(r.address + "\0" + r.instance);
		r.caller = several.get(alike(r)) < 2 ? r.from : slot ? r.from + "." + slot : r.instance || r.from;
	}
	return rows;
}

function blank() {
	return { t: [], in: Object.fromEntries(NAMES.map(n => [n, []])), out: Object.fromEntries(NAMES.map(n => [n, []])) };
}

function onHistory(data) {
	const steps = (data.agents || []).map(a => typeof a.interval_ms === "number" && a.interval_ms > 0 ? a.interval_ms : data.interval_ms || 2000);
	live.interval = Math.max(...steps, data.interval_ms || 2000);
	live.series.clear();
	live.pastless = (data.agents || []).filter(a => a.error).map(a => ({ node: named(a), error: String(a.error) }));
	for (const [k, agent] of (data.agents || []).entries()) {
		if (agent.error)
			continue;
		const s = blank(), n = Math.max(agent.in?.rate?.length || 0, agent.out?.rate?.length || 0);
		for (let i = 0; i < n; i++)
			s.t.push(data.until_ms - (n - 1 - i) * steps[k]);
		for (const way of ["in", "out"])
			for (const name of NAMES)
				s[way][name] = Array.from({ length: n }, (_, i) => agent[way]?.[name]?.[i] ?? null);
		named(agent);
		live.series.set(String(agent.address || ""), s);
	}
	live.changes = [];
	for (const change of [...(data.changes || []), ...(data.agents || []).flatMap(a => a.changes || [])])
		addChange(change);
}

function addChange(told) {
	const change = told && typeof told === "object" ? clean(told, "state") : {};
	if (change.time_ms === null || change.time_ms === undefined || typeof change.kind !== "string")
		return;
	const same = c => c.number === change.number && c.node === change.node && c.time_ms === change.time_ms && c.text === change.text;
	if (live.changes.some(same))
		return;
	let at = live.changes.length;
	while (at > 0 && live.changes[at - 1].time_ms > change.time_ms)
		at--;
	live.changes.splice(at, 0, change);
	live.changes.splice(0, live.changes.length - CHANGES);
}

function addPoint(address, at, state) {
	let s = live.series.get(address);
	if (!s)
		live.series.set(address, s = blank());
	if (s.t.length && at <= s.t[s.t.length - 1])
		return;
	s.t.push(at);
	for (const way of ["in", "out"])
		for (const name of NAMES)
			s[way][name].push(state?.[way]?.[name] ?? null);
	if (s.t.length > POINTS) {
		s.t.shift();
		for (const way of ["in", "out"])
			for (const name of NAMES)
				s[way][name].shift();
	}
}

/* The window of each circuit over the last ticks: a picture that moves. */
function addCircuits(address, circuits) {
	for (const c of circuits || []) {
		const key = seenBy(address, c);
		let row = live.circuits.get(key);
		if (!row)
			live.circuits.set(key, row = []);
		row.push({ requests: c.requests || 0, errors: c.errors || 0, rejected: c.rejected || 0, state: c.state });
		if (row.length > 60)
			row.shift();
		row.tick = live.ticks;
	}
}

/* What is usual of each call follows its p99 by 1 % a tick, at first faster: minutes count, not moments. It is slow when for two ticks it is
 * SLOW_TIMES that, and SLOW_MS more. */
function addEdges(address, edges) {
	for (const e of edges || []) {
		const key = seenBy(address, e), row = live.edges.get(key) || { usual: e.p99_ms, high: 0, n: 0 }, step = ++row.n < 30 ? 1.1 : 1.01;
		if (e.p99_ms === null || e.p99_ms === undefined)
			continue;
		row.high = e.p99_ms > SLOW_TIMES * row.usual && e.p99_ms > row.usual + SLOW_MS ? row.high + 1 : 0;
		row.slow = row.high > 1;
		row.usual *= e.p99_ms > row.usual ? step : 1 / step;
		row.tick = live.ticks;
		live.edges.set(key, row);
	}
}

function onTick(data) {
	const was = live.agents;
	live.heard = Date.now();
	live.stale = false;
	live.agents = (data.agents || []).map(a => ({ node: named(a), address: String(a.address || ""), ok: a.ok === true, error: a.error ? String(a.error).replace(`${a.address}: `, "") : "", state: a.state ? clean(a.state, "state") : null }));
	live.time = data.time_ms;
	watchAgents(was, live.agents, data.time_ms);
	live.ticks++;
	for (const agent of live.agents) {
		addPoint(agent.address, data.time_ms, agent.ok ? agent.state : null);
		addCircuits(agent.address, agent.ok ? agent.state?.circuits : null);
		addEdges(agent.address, agent.ok ? agent.state?.edges : null);
		agent.state?.changes?.forEach(addChange);
	}
	for (const [rows, ticks] of [[live.circuits, 30], [live.edges, POINTS]])
		for (const [key, row] of rows)
			if (row.tick < live.ticks - ticks)
				rows.delete(key);
	if (!prefix(live.scope) && live.hello?.scope !== "swarm" && live.agents[0]?.ok)
		live.ownSidecars = live.agents[0].state.sidecars || [];
	const age = live.agents.length === 1 ? live.agents[0].state?.process?.uptime_ms : null;
	if (age !== null && age !== undefined) {
		const began = data.time_ms - age;
		/* Only a new connection can be to another process; its first tick may be of an older sample. */
		if (again > 0)
			again--;
		if (again === 1 && startAt && began > startAt + 250) {
			live.restarts++;
			live.restartedAt = began;
		}
		if (again < 2)
			startAt = began;
	}
}

function onHello(data) {
	live.hello = data;
	live.connection = "live";
	live.heard = Date.now();
	live.stale = false;
	live.why = "";
	tries = 0;
	if (!prefix(live.scope))
		live.own = data;
	if (live.version && data.version !== live.version)
		live.updated = true;
	live.version = data.version;
	if (up !== live.scope)
		startAt = 0;
	again = 3;
	up = live.scope;
}

function handle(name, fn) {
	source.addEventListener(name, event => {
		let data;
		try {
			data = JSON.parse(event.data);
		} catch {
			return;
		}
		fn(data);
		tell(name);
	});
}

function lost() {
	source?.close();
	source = null;
	if (live.connection !== "lost")
		live.since = Date.now();
	live.connection = "lost";
	const wait = RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)];
	live.retryAt = Date.now() + wait;
	clearTimeout(timer);
	timer = setTimeout(open, wait);
	/* An event stream does not say why it was refused: ask as a page. */
	fetch(address(live.scope).replace("ui/live", "ui/state"), { headers: { Accept: "application/json" } }).then(async reply => {
		const body = reply.ok ? null : await reply.json().catch(() => null);
		live.why = reply.ok ? "" : body?.cause || body?.error || "status " + reply.status;
		tell("lost");
	}).catch(() => {
		live.why = "";
		tell("lost");
	});
	tell("lost");
}

function open() {
	clearTimeout(timer);
	source?.close();
	source = new EventSource(address(live.scope));
	handle("hello", onHello);
	handle("history", onHistory);
	handle("tick", onTick);
	handle("change", addChange);
	source.onerror = lost;
}

/* The stream stands, but nothing comes: what is shown is old, which the page says; in the end it connects anew. */
function watchTicks() {
	if (live.connection !== "live" || document.hidden)
		return;
	const missed = Math.floor((Date.now() - live.heard) / (live.hello?.interval_ms || 2000));
	if (missed > SILENT) {
		live.stale = false;
		lost();
	} else if (missed > MISSED && !live.stale) {
		live.stale = true;
		tell("stale");
	}
}

/* A page that nobody sees costs the agent nothing; the history fills the gap when it is looked at again. */
function onVisibility() {
	clearTimeout(hiddenTimer);
	if (document.hidden) {
		hiddenTimer = setTimeout(() => {
			clearTimeout(timer);
			source?.close();
			source = null;
			live.connection = "rest";
			tell("rest");
		}, HIDDEN_MS);
	} else if (!source && live.connection === "rest") {
		open();
	}
}

export function begin(listener) {
	tell = listener;
	live.scope = current().params.scope || null;
	addEventListener("visibilitychange", onVisibility);
	setInterval(watchTicks, 500);
	addEventListener("pagehide", () => source?.close());
	addEventListener("pageshow", event => {
		if (event.persisted)
			open();
	});
	if (prefix(live.scope))
		fetch("ui/state", { headers: { Accept: "application/json" } }).then(reply => reply.json()).then(state => {
			live.own = live.own || state.hello || null;
			live.ownSidecars = state.sidecars || [];
			tell("own");
		}).catch(() => {});
	open();
}

export function setScope(scope) {
	if (scope === live.scope)
		return;
	Object.assign(live, { scope, agents: [], changes: [], hello: null, connection: "wait", why: "", since: Date.now(), ticks: 0, stale: false, pastless: [] });
	live.series.clear();
	live.circuits.clear();
	live.edges.clear();
	tries = 0;
	open();
}

/* The scope that is shown: sidecar, node or swarm. */
export function kind() {
	const s = live.scope || live.hello?.scope || "node";
	return s.startsWith("sidecar:") ? "sidecar" : s;
}

export const states = () => live.agents.filter(a => a.ok && a.state);
