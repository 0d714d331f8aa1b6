/* Landscapes that exist only as the JSON of the admin port: `shop` with something going wrong in it, and `fleet` of any size. Every figure
 * is a function of time and of a name, so that two looks at one moment are equal. */

export const HOSTILE = "<script>alert(1)</script>";
export const INTERVAL = 2000;
const POINTS = 300;

/* A number of [0, 1) from a text and a counter. */
export function dice(text, n = 0) {
	let v = 2166136261 ^ n;
	for (let i = 0; i < text.length; i++)
		v = Math.imul(v ^ text.charCodeAt(i), 16777619);
	v = Math.imul(v ^ (v >>> 15), 2246822507);
	v = Math.imul(v ^ (v >>> 13), 3266489909);
	return ((v ^ (v >>> 16)) >>> 0) / 4294967296;
}

const SHOP = { /* caller: [called, calls a second, p50] */
	edge: [["web", 84, 9], ["accountservice", 31, 6]],
	web: [["accountservice", 52, 5], ["catalog", 96, 3], ["orders", 14, 12], ["imageservice", 64, 2]],
	accountservice: [["quotes-service", 83, 2.2], ["imageservice", 83, 1.8]],
	orders: [["payments", 12, 40], ["accountservice", 14, 5], ["stock", 15, 7]],
	catalog: [["stock", 22, 6], ["recommendations", 40, 18]],
	payments: [["ledger", 12, 11]],
	recommendations: [["catalog", 6, 3]],
	mailer: [["accountservice", 1, 6]],
};
const COPIES = { "quotes-service": 3, web: 2, catalog: 2, accountservice: 2 };

function endpointsOf(to, n) {
	const base = 1 + Math.floor(dice(to) * 200);
	return Array.from({ length: n }, (_, i) => ({ address: `10.0.${base}.${i + 5}:4143`, node: `n${i % 3 + 1}` }));
}

/* kind: shop or fleet; {services, upstreams, endpoints}: of a fleet; hostile: a service that names itself like a script. */
export class World {
	constructor(options = {}) {
		this.options = { kind: "shop", services: 50, upstreams: 20, endpoints: 10, hostile: false, nodes: ["n1"], ...options };
		this.began = Date.now() - 3600000;
		this.drained = new Set();
		this.forced = new Map();
		this.opened = new Set(); /* "INSTANCE CALLED": circuits of that instance alone that are open */
		this.actions = new Map(); /* called: SOAP actions with circuits of their own; the last one is open */
		this.calls = this.options.kind === "shop" ? this.shop() : this.fleet();
		if (this.options.hostile)
			this.calls.push({ from: HOSTILE, to: "quotes-service", rate: 3, p50: 4, n: 3 }, { from: "web", to: HOSTILE, rate: 2, p50: 5, n: 1 });
		this.services = [...new Set(this.calls.flatMap(c => [c.from, c.to]))];
	}

	shop() {
		return Object.entries(SHOP).flatMap(([from, to]) => to.map(([name, rate, p50]) => ({ from, to: name, rate, p50, n: COPIES[name] || 1 })));
	}

	fleet() {
		const { services: s, upstreams: u, endpoints: e } = this.options, name = i => "service-" + String(i).padStart(2, "0"), calls = [];
		for (let i = 0; i < s; i++)
			for (let k = 1; k <= u; k++)
				calls.push({ from: name(i), to: name((i + k * (1 + i % 3)) % s), rate: 1 + 40 * dice(name(i), k), p50: 1 + 20 * dice(name(i), k + 100), n: e });
		return calls;
	}

	copiesOf(name) {
		return this.options.kind === "fleet" ? 1 : COPIES[name] || 1;
	}

	nameOf(service, copy) {
		return this.copiesOf(service) > 1 ? `shop_${service}.${copy}.x${Math.floor(dice(service, copy) * 1e9).toString(36)}` : service;
	}

	/* The same calls as each instance of the callers sees them. */
	seen() {
		return this.calls.flatMap(c => Array.from({ length: this.copiesOf(c.from) }, (_, i) => ({ ...c, rate: c.rate / this.copiesOf(c.from), copy: i + 1, instance: this.nameOf(c.from, i + 1) })));
	}

	/* How a call is at a time: payments fails in waves, one of quotes-service is out. */
	point(c, at) {
		const wave = 1 + .18 * Math.sin(at / 47000 + dice(c.to) * 6) + .12 * (dice(c.from + c.to, Math.floor(at / INTERVAL)) - .5), rate = c.rate * wave, bad = this.failing(c.to, at);
		const p50 = c.p50 * (1 + .2 * dice(c.to, Math.floor(at / 8000))), p99 = p50 * (3 + 3 * dice(c.to + "p", Math.floor(at / 6000))) + (bad ? 180 : 0);
		return { rate, errors: rate * bad, p50_ms: p50, p95_ms: p50 + (p99 - p50) * .45, p99_ms: p99, active: Math.ceil(rate * p50 / 1000) };
	}

	failing(to, at) {
		if (to !== "payments" && to !== "ledger")
			return to === "recommendations" ? .012 : 0;
		return (Date.now() - at) < 150000 ? .46 : 0;
	}

	sum(calls, at) {
		const out = { rate: 0, errors: 0, p50_ms: null, p95_ms: null, p99_ms: null, active: 0 };
		for (const c of calls) {
			const p = this.point(c, at);
			out.rate += p.rate;
			out.errors += p.errors;
			out.active += p.active;
			for (const name of ["p50_ms", "p95_ms", "p99_ms"])
				out[name] = Math.max(out[name] ?? 0, p[name]);
		}
		return out;
	}

	history(node, changes) {
		const now = Date.now(), ways = { in: this.calls.filter(c => c.from === "edge" || this.options.kind === "fleet"), out: this.calls };
		const step = this.options.kind === "fleet" ? 20 : 1;
		const series = calls => {
			const few = calls.filter((_c, i) => i % step === 0), out = { rate: [], errors: [], p50_ms: [], p95_ms: [], p99_ms: [] };
			for (let i = 0; i < POINTS; i++) {
				const p = this.sum(few, now - (POINTS - 1 - i) * INTERVAL);
				for (const name of Object.keys(out))
					out[name].push(name === "rate" || name === "errors" ? p[name] * step : p[name]);
			}
			return out;
		};
		return { node, in: series(ways.in), out: series(ways.out), changes };
	}

	circuitOf(c) {
		const forced = this.forced.get(c.to) || null, bad = this.failing(c.to, Date.now()) > .1 || this.opened.has(c.instance + " " + c.to), state = forced ? (forced === "open" ? "open" : "closed") : bad ? "open" : "closed", p = this.point(c, Date.now());
		const requests = Math.round(p.rate * 10), errors = Math.round(p.errors * 10);
		return { from: c.from, instance: c.instance, to: c.to, route: null, key: null, state, since_ms: bad ? 140000 : 0, why: forced ? "set by hand" : bad ? "46% of 118 calls failed, 50% would open it" : `${Math.round(errors / Math.max(1, requests) * 100)}% failed, 50% would open it`,
			requests, errors, error_percent: Math.round(errors / Math.max(1, requests) * 100), rejected: state === "open" ? Math.round(requests * .7) : 0, forced };
	}

	/* Of an upstream, and of each of its SOAP actions. */
	circuitsOf(c) {
		const one = this.circuitOf(c), actions = this.actions.get(c.to) || [];
		return [one, ...actions.map((key, i) => ({ ...one, key, requests: 40 + i, errors: 0, error_percent: 0, state: i === actions.length - 1 ? "open" : "closed" }))];
	}

	state(node) {
		const now = Date.now(), sidecars = [], fleet = this.options.kind === "fleet";
		for (const name of this.services) {
			const into = this.calls.filter(c => c.to === name), out = this.calls.filter(c => c.from === name), copies = this.copiesOf(name);
			for (let i = 1; i <= copies; i++)
				sidecars.push({ name: this.nameOf(name, i), service: name, stack: "shop", slot: copies > 1 ? String(i) : "1", node, version: name === "web" ? "2.4.1" : null, state: "serving",
					handler: name === "quotes-service" && i === 2 ? "down" : "up", wired: name === "mailer" ? "not wired: no call seen, no proxy variable, no pinned name" : true,
					in: this.scaled(this.sum(into, now), 1 / copies), out: this.scaled(this.sum(out, now), 1 / copies), cost: { cpu_percent: .2 + dice(name, i), memory_bytes: 131072 + Math.floor(dice(name) * 200000), connections: Math.floor(dice(name, 7) * 40) },
					config_errors: name === "stock" ? 1 : 0 });
		}
		const seen = this.seen(), edges = seen.map(c => {
			const p = this.point(c, now), circuit = this.circuitOf(c);
			return { from: c.from, instance: c.instance, from_stack: "shop", to: c.to, rate: p.rate, errors: p.errors, p50_ms: p.p50_ms, p99_ms: p.p99_ms, retries: c.to === "quotes-service" ? .4 : 0, circuit: circuit.state, healthy: this.endpoints(c).filter(e => e.state === "up").length, endpoints: c.n };
		}).sort((a, b) => b.rate - a.rate);
		const most = edges.slice(0, 500), circuits = seen.flatMap(c => this.circuitsOf(c)).sort((a, b) => (b.state === "open") - (a.state === "open") || b.requests - a.requests).slice(0, 200);
		return { in: this.sum(this.calls.filter(c => c.from === "edge" || fleet), now), out: this.sum(this.calls, now), sidecars: sidecars.slice(0, 300), edges: most, circuits, left_out: { edges: edges.length - most.length, sidecars: 0 },
			support: [{ kind: "config", name: "spring:http://configserver:8888", state: "ok", why: null, detail: "12 properties, read 4 s ago" }, { kind: "registry", name: "dns:", state: "ok", why: null, detail: "11 services, 17 endpoints" },
				{ kind: "trace", name: "zipkin:http://zipkin:9411", state: "trouble", why: "connection refused", detail: "sent 1204, dropped 37" }, { kind: "log", name: "json:stdout", state: "ok", why: null, detail: "4210 lines" }, { kind: "bus", name: "amqp://rabbit:5672", state: "ok", why: null, detail: "1 queue" }],
			process: { cpu_percent: 3.2 + dice("cpu", Math.floor(now / INTERVAL)), memory_bytes: 21 << 20, connections: 184, loop_lag_ms: .4, uptime_ms: now - this.began }, config_age_ms: 64000 };
	}

	scaled(p, by) {
		return { ...p, rate: p.rate * by, errors: p.errors * by, active: Math.round(p.active * by) };
	}

	endpoints(c) {
		return endpointsOf(c.to, c.n).map((e, i) => {
			const out = c.to === "quotes-service" && i === 1 && c.copy === 1, by = this.drained.has(e.address), state = by ? "drained" : out ? "ejected" : "up", speed = state === "up" ? c.rate / c.n : 0;
			return { address: e.address, state, why: by ? "by hand" : out ? "outrider.eject.consecutive failures in a row" : null, since: state === "up" ? null : new Date(Date.now() - 96000).toISOString(), until: out ? new Date(Date.now() + 24000).toISOString() : undefined, ejected_times: out ? 2 : 0, check: null,
				node: e.node, meta: { version: c.to === "catalog" && i ? "1.9.0" : "1.8.2" }, agent: { service: c.to, node: e.node, v: "1" }, latency_ms: c.p50 * (1 + i * .3), active: Math.round(speed / 40), idle: 2, attempts: Math.floor(speed * (Date.now() - this.began) / 1000),
				failures: out ? 41 : 0, connects: 5, last_error: out ? "connect-refused" : null, last_errno: null, last_error_at: out ? new Date(Date.now() - 96000).toISOString() : null };
		});
	}

	upstreams(only) {
		return { version: 4, registries: [], upstreams: this.seen().filter(c => !only || c.to === only).map(c => {
			const ends = this.endpoints(c);
			return { sidecar: c.from, instance: c.instance, name: c.to, kind: "service", mode: "on", source: "dns", balance: "peak-ewma", requests: 1000, failures: 0, active: 1, retries: 2, last_error: null, last_errno: null, last_error_at: null, endpoints_total: ends.length, endpoints: ends };
		}) };
	}

	circuits(only) {
		return { circuits: this.seen().filter(c => !only || c.to === only).flatMap(c => this.circuitsOf(c).map(one => [c, one])).map(([c, one]) => ({ sidecar: c.from, instance: c.instance, upstream: c.to, ...(one.key ? { key: one.key } : {}), state: one.state, forced: this.forced.get(c.to) || "auto", open: false, why: "", since: null, until: new Date(Date.now() + 4000).toISOString(), window: {}, latency_ms: { mean: c.p50, p50: c.p50, p90: c.p50 * 2, p99: c.p50 * 5 }, active: 0, queued: 0, limit: 0 })) };
	}

	changes(node) {
		const ago = s => Date.now() - s * 1000, one = (number, s, kind, service, upstream, subject, text) => ({ number, time_ms: ago(s), node, kind, service, upstream, subject, text });
		const list = [one(1, 560, "sidecar-up", "recommendations", null, "shop_recommendations.1", "a sidecar serves"), one(2, 498, "rollout", "catalog", null, "1.8.2 → 1.9.0", "catalog is rolled out: 1.9.0 replaces 1.8.2"), one(3, 420, "config", "accountservice", null, null, "outrider.timeout.head=45s is live, from spring:application.yml"),
			one(4, 361, "config-refused", "stock", null, "outrider.timeout.head", "outrider.timeout.head=soon is refused: expected a duration from 10ms to 1h"), one(5, 290, "registry", null, null, "zipkin", "zipkin:http://zipkin:9411 is in trouble: connection refused"), one(6, 142, "circuit", "orders", "payments", null, "circuit of payments opened: 46% of 118 calls failed"),
			one(7, 96, "ejected", "accountservice", "quotes-service", endpointsOf("quotes-service", 3)[1].address, "an instance of quotes-service was ejected: outrider.eject.consecutive failures in a row"), one(8, 95, "handler", "quotes-service", null, "shop_quotes-service.2", "the handler of quotes-service is down"), one(9, 30, "drain", "web", "catalog", "10.0.9.6:4143", "an endpoint of catalog is drained by hand")];
		return this.options.hostile ? [...list, one(10, 12, "sidecar-up", HOSTILE, null, null, HOSTILE + " came")] : list;
	}
}
