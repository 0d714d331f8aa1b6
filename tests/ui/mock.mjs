#!/usr/bin/env node
/* The admin port as JSON only: serves the page's files from the tree and answers as an agent of the scripted landscape would.
 *
 *     tests/ui/mock.mjs [--port 4191] [--kind shop|fleet] [--nodes 3] [--hostile] [--services 50 --upstreams 20 --endpoints 10]
 *
 * With three nodes the scope swarm has them all, and the last one does not answer. */

import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { World, INTERVAL } from "./world.mjs";
import * as records from "./records.mjs";

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../.."), PAGE = path.join(ROOT, "agent/control/ui/page");
const EMBED = JSON.parse(fs.readFileSync(path.join(PAGE, "package.json"))).embed;
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export class Mock {
	constructor(options = {}) {
		this.options = { nodes: 1, writes: "loopback", token: null, ...options };
		this.world = new World(options);
		this.names = options.names || Array.from({ length: this.options.nodes }, (_, i) => "n" + (i + 1));
		this.streams = new Set();
		this.asked = [];
		this.began = Date.now();
		this.server = http.createServer((q, r) => this.answer(q, r));
	}

	listen(port = 0) {
		return new Promise(resolve => this.server.listen(port, "127.0.0.1", () => {
			this.port = this.server.address().port;
			this.url = `http://127.0.0.1:${this.port}/`;
			this.timer = setInterval(() => this.tick(), INTERVAL);
			resolve(this);
		}));
	}

	close() {
		clearInterval(this.timer);
		for (const s of this.streams)
			s.r.destroy();
		this.server.closeAllConnections();
		return new Promise(resolve => this.server.close(resolve));
	}

	hello(scope) {
		return { agent: "outrider", version: "0.1.0+mock", command: "node", node: "n1", service: scope === "sidecar" ? "accountservice" : null, scope, scopes: scope === "sidecar" ? ["sidecar"] : ["node", "swarm"], interval_ms: INTERVAL, writes: this.options.writes, time_ms: Date.now() };
	}

	agents(scope) {
		const live = (node, i) => ({ node, address: `10.0.5.${i + 3}:4191`, ok: true, state: { ...this.world.state(node), process: { ...this.world.state(node).process, uptime_ms: Date.now() - this.began } } });
		if (scope !== "swarm")
			return [{ ...live("n1", 0), address: "" }];
		return this.names.map((node, i) => i > 1 && i === this.names.length - 1 ? { node, address: `10.0.5.${i + 3}:4191`, ok: false, error: "no answer within 2 s" } : live(node, i));
	}

	send(s, event, data) {
		s.r.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
	}

	tick() {
		for (const s of this.options.mute ? [] : this.streams)
			this.send(s, "tick", { time_ms: Date.now(), agents: this.agents(s.scope) });
	}

	live(r, scope) {
		const s = { r, scope };
		r.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
		this.streams.add(s);
		r.on("close", () => this.streams.delete(s));
		this.send(s, "hello", this.hello(scope));
		const names = scope === "swarm" ? this.names.slice(0, Math.max(1, this.names.length - 1)) : ["n1"];
		this.send(s, "history", { interval_ms: INTERVAL, until_ms: Date.now(), agents: names.map((n, i) => ({ ...this.world.history(n, this.options.changes ? this.options.changes(n) : i ? [] : this.world.changes(n)), ...(scope === "swarm" ? { address: `10.0.5.${i + 3}:4191` } : {}) })) });
		if (!this.options.mute)
			this.send(s, "tick", { time_ms: Date.now(), agents: this.agents(scope) });
	}

	tail(r) {
		r.writeHead(200, { "Content-Type": "text/event-stream" });
		const timer = setInterval(() => r.write(`data: ${JSON.stringify(records.record(this.options.hostile))}\n\n`), 700);
		r.on("close", () => clearInterval(timer));
	}

	json(r, body, status = 200) {
		r.writeHead(body ? status : 404, { "Content-Type": "application/json", "Cache-Control": "no-store" });
		r.end(JSON.stringify(body || { error: "not-found", cause: "Nothing of that name is kept here.", remedy: "" }));
	}

	page(where, query) {
		const [first, second] = where.split("/"), w = this.world;
		const pages = { upstreams: () => w.upstreams(query.get("service")), circuits: () => w.circuits(query.get("service")), failures: () => records.failures(query, this.options.hostile), traces: () => second ? records.trace(second) : records.traces(query), why: () => records.why(second),
			config: () => records.config(), log: () => this.options.log === false ? null : ({ records: Array.from({ length: 40 }, () => records.record(this.options.hostile)) }), ui: () => second === "reasons" ? records.REASONS : second === "state" ? { hello: this.hello("node"), ...w.state("n1") } : null };
		return pages[first]?.() || null;
	}

	write(q, r, where) {
		if (q.headers["x-outrider"] !== "1")
			return this.json(r, { error: "mark-missing", cause: "A request that changes state lacks its mark.", remedy: "" }, 403);
		if (this.options.token && q.headers.authorization !== "Bearer " + this.options.token)
			return this.json(r, { error: "token-wrong", cause: "The bearer token is missing or wrong.", remedy: "" }, 401);
		const drain = /^upstreams\/(.+)\/endpoints\/(.+)\?state=(drained|up)$/.exec(where), circuit = /^circuits\/(.+)\/(open|close|auto)$/.exec(where);
		if (drain)
			this.world.drained[drain[3] === "drained" ? "add" : "delete"](drain[2]);
		if (circuit)
			circuit[2] === "auto" ? this.world.forced.delete(circuit[1]) : this.world.forced.set(circuit[1], circuit[2] === "open" ? "open" : "closed");
		this.asked.push(q.method + " " + where);
		return this.json(r, { done: true });
	}

	file(r, name) {
		const at = EMBED[name] ? path.join(ROOT, "build/page/node_modules", EMBED[name]) : path.join(PAGE, name);
		if (!/^[\w.-]+$/.test(name) || !fs.existsSync(at))
			return this.json(r, null);
		r.writeHead(200, { "Content-Type": TYPES[path.extname(name)] || "text/plain", "Content-Security-Policy": POLICY, "Cache-Control": "no-cache" });
		r.end(fs.readFileSync(at));
	}

	answer(q, r) {
		const url = new URL(q.url, this.url), raw = q.url.slice(1).replace(/^sidecars\/[^/]+\//, ""), query = url.searchParams, where = raw.split("?")[0];
		const sidecar = q.url.startsWith("/sidecars/");
		if (q.method !== "GET")
			return this.write(q, r, raw);
		if (where === "" && q.headers.accept?.includes("text/html"))
			return this.file(r, "index.html");
		if (where === "")
			return this.json(r, { agent: "outrider", pages: ["/", "/ui/reasons", ...(this.options.log === false ? [] : ["/log/recent"])].map(p => ({ method: "GET", path: p, what: "" })) });
		if (where === "ui/live")
			return this.live(r, query.get("scope") || (sidecar ? "sidecar" : "node"));
		if (where === "log/tail")
			return this.options.log === false ? this.json(r, null) : this.tail(r);
		if (where.startsWith("swarm/")) {
			const body = this.page(where.slice(6), query);
			return this.json(r, { page: where, asked: this.names.length, failed: 1, left_out: 0, agents: this.names.map((n, i) => i > 1 && i === this.names.length - 1 ? { agent: `10.0.5.${i + 3}:4191`, why: "no answer within 3 s" } : { agent: `10.0.5.${i + 3}:4191`, status: body ? 200 : 404, answer: body || {} }) });
		}
		const body = this.page(where, query);
		if (!body && where.startsWith("ui/"))
			return this.file(r, where.slice(3));
		return this.json(r, body);
	}
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const options = {};
	for (let i = 2; i < process.argv.length; i++) {
		const name = process.argv[i].replace(/^--/, ""), value = process.argv[i + 1];
		options[name] = value === undefined || value.startsWith("--") ? true : /^\d+$/.test(process.argv[++i]) ? Number(value) : value;
	}
	console.log((await new Mock(options).listen(options.port || 0)).url);
}
