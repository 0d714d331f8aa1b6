/* What the flight recorder, the log and the configuration of the scripted landscape say. */

import { HOSTILE, dice } from "./world.mjs";

const hex = (text, n) => Array.from({ length: n }, (_, i) => Math.floor(dice(text, i) * 16).toString(16)).join("");
const ago = s => new Date(Date.now() - s * 1000).toISOString();
const REACH = { failures_and_slow_s: 3600, failures_and_slow_since: ago(3600), others_s: 600, others_since: ago(600), bytes: 1048576 };

export const REASONS = { reasons: [
	{ word: "connect-refused", status: 502, stage: "connect", blame: "upstream", cause: "Nothing listens at the upstream's endpoints.", remedy: "Is the service running, and on the port that the agent knows?" },
	{ word: "circuit-open", status: 503, stage: "admit", blame: "upstream", cause: "The circuit of this upstream is open: its calls failed lately, or it was opened by hand.", remedy: "outrider get /circuits says since when and why; outrider.upstream.<service>.breaker.… are its knobs." },
	{ word: "try-timeout", status: 504, stage: "response", blame: "upstream", cause: "The reply's head did not come within outrider.upstream.<service>.timeout.try, at no instance that could be tried.", remedy: "Is the service overloaded or stuck? outrider get /upstreams shows which instances are slow." },
] };

function failure(i, hostile) {
	const retried = i % 3 === 1, open = i % 3 === 2, path = hostile && i === 0 ? "/" + HOSTILE : `/api/${retried ? "quote" : "pay"}/${1000 + i * 7}`;
	return { time: ago(3 + i * 4.3), service: retried ? "accountservice" : "orders", listener: "outbound", upstream: retried ? "quotes-service" : "payments", endpoint: retried ? "10.0.121.7:4143" : open ? null : "10.0.44.5:4143", attempts: retried ? 2 : open ? 0 : 1,
		status: retried ? 200 : open ? 503 : 500, reason: open ? "circuit-open" : null, retried_for: retried ? (i % 2 ? "connect-refused" : "try-timeout") : null, duration_ms: retried ? 12.3 + i : open ? .04 : 48.2, method: "GET", path, request_id: hex("r" + i, 32) };
}

export function failures(query, hostile) {
	const all = Array.from({ length: 60 }, (_, i) => failure(i, hostile));
	const list = query.get("retried") === "true" ? all.filter(f => f.attempts > 1) : query.get("slow") ? all.filter(f => f.duration_ms > 40) : all.filter(f => f.status >= 500);
	return { failures: list.filter(f => !query.get("reason") || f.reason === query.get("reason")), next_before: null, reaches_back: REACH };
}

export function why(id) {
	const i = Array.from({ length: 60 }, (_, n) => n).find(n => hex("r" + n, 32) === id);
	if (i === undefined)
		return null;
	const f = failure(i), phases = { route_ms: .01, queue_ms: 0, retry_ms: f.attempts > 1 ? 4.1 : 0, connect_ms: f.attempts > 1 ? .4 : 0, first_byte_ms: Math.max(0, f.duration_ms - 5), transfer_ms: .1, all_ms: f.duration_ms };
	const says = REASONS.reasons.find(r => r.word === f.reason);
	return { id, found: 1, exchanges: [{ outcome: f.attempts > 1 ? `200 of the upstream after 2 attempts, in ${f.duration_ms} ms` : `${f.status} of the ${f.reason ? "agent itself" : "service"}, in ${f.duration_ms} ms`, blame: f.status >= 500 ? "upstream" : null, stage: says?.stage || null, cause: says?.cause || null, remedy: says?.remedy || null, retries: f.status >= 500 ? "no further attempt: POST is not among retry.methods" : undefined,
		time: f.time, listener: f.listener, service: f.service, request_id: id, trace_id: TRACE, method: f.method, host: f.upstream, path: f.path, client: "10.0.9.4:41022", user_agent: "Go-http-client/1.1", route: null, upstream: f.upstream, status: f.status, reason: f.reason, bytes_in: 0, bytes_out: 131, phases,
		attempts: f.attempts > 1 ? [{ attempt: 1, endpoint: "10.0.121.6:4143", connection: "new", began_ms: .1, connect_ms: 0, first_byte_ms: 0, took_ms: 4, status: 0, reason: f.retried_for }, { attempt: 2, endpoint: f.endpoint, connection: "reused", began_ms: 4.1, connect_ms: 0, first_byte_ms: 7, took_ms: 8.2, status: 200, reason: null }] : f.attempts ? [{ attempt: 1, endpoint: f.endpoint, connection: "reused", began_ms: .1, connect_ms: 0, first_byte_ms: 47, took_ms: 48, status: 500, reason: null }] : [],
		candidates_now: [{ endpoint: "10.0.121.5:4143", state: "up", why: null }, { endpoint: "10.0.121.6:4143", state: "ejected", why: "outrider.eject.consecutive failures in a row" }, { endpoint: "10.0.121.7:4143", state: "up", why: null }] }] };
}

export const TRACE = hex("trace0", 32);

export function traces(query) {
	const all = Array.from({ length: 40 }, (_, i) => ({ trace_id: hex("trace" + i, 32), time: ago(2 + i * 3), service: i % 4 ? "web" : "edge", method: "GET", path: i % 4 ? `/accounts/${i * 31}` : "/orders/" + i, duration_ms: 4 + 90 * dice("t", i), failed: i % 9 === 0, spans: 9, exchanges: 5 }));
	return { traces: all.filter(t => (query.get("failed") !== "true" || t.failed) && t.duration_ms >= (parseFloat(query.get("slow")) || 0)), reaches_back: REACH };
}

export function trace(id) {
	const at = (Date.now() - 5000) * 1000, span = (n, parentId, kind, who, to, path, began, took, tags) => ({ traceId: id, id: "000000000000000" + n, parentId, kind, name: "get", timestamp: at + began * 1000, duration: took * 1000, localEndpoint: { serviceName: who },
		remoteEndpoint: to ? { serviceName: to, ipv4: "10.0.7.4", port: 4143 } : { ipv4: "10.0.0.9", port: 40111 }, tags: { "http.method": "GET", "http.path": path, "http.status_code": "200", "request.id": hex("r1", 32), ...tags } });
	const p = n => "000000000000000" + n;
	return [span(1, undefined, "SERVER", "edge", null, "/orders/17", 0, 96), span(2, p(1), "CLIENT", "edge", "orders", "/orders/17", .6, 95), span(2, p(1), "SERVER", "orders", null, "/orders/17", 1, 94), span(3, p(2), "CLIENT", "orders", "stock", "/stock/17", 3, 9), span(4, p(2), "CLIENT", "orders", "payments", "/pay/17", 14, 30, { "http.status_code": "", error: "connect-refused", "outrider.reason": "connect-refused" }),
		span(5, p(2), "CLIENT", "orders", "payments", "/pay/17", 46, 44), span(5, p(2), "SERVER", "payments", null, "/pay/17", 47, 42), span(6, p(5), "CLIENT", "payments", "ledger", "/book", 52, 12), span(7, p(5), "CLIENT", "payments", "ledger", "/commit", 66, 21)];
}

export function config(service) {
	const o = (key, value, origin, by, scope = "sidecar", reloadable = true) => ({ key, value, origin, default: by, scope, reloadable });
	return { snapshot: { version: 7, hash: "b1d2e807ab49b175", age_seconds: 64, since: ago(420), properties: 12 }, sources: [{ source: "spring:http://configserver:8888", well: true, trouble: null, cached: false, properties: 12, times: 4, changed_at: ago(420) }],
		rejected: { at: ago(361), in_row: 1, problems_total: 1, problems: [{ key: "outrider.timeout.head", value: "soon", origin: "spring:http://configserver:8888 application.yml", why: "expected a duration from 10ms to 1h (250ms, 2s, 5m, 1h)" }] }, needs_restart: [], problems: [],
		options: [o("outrider.service", service || "accountservice", "env", "", "sidecar", false), o("outrider.port", "6767", "env", ""), o("outrider.upstreams", "quotes-service@127.0.4.1:8080,imageservice:9002", "env", ""), o("outrider.admin.token", "***", "env OUTRIDER_ADMIN_TOKEN_FILE", "", "process", false), o("outrider.timeout.head", "45s", "spring:http://configserver:8888 application.yml", "60s"),
			o("outrider.upstream.quotes-service.timeout.try", "250ms", "label", "off", "upstream"), o("outrider.workers", "auto", "default", "auto", "process", false), o("outrider.mode", "on", "default", "on"), o("outrider.retry.tries", "2", "default", "2", "upstream"), ...Array.from({ length: 120 }, (_, i) => o("outrider.some.option-" + i, "2s", "default", "2s"))] };
}

let n = 0;

export function record(hostile) {
	n++;
	const at = new Date().toISOString();
	if (n % 3 === 0)
		return { time: at, level: "info", kind: "access", service: "orders", task: "shop_orders.1", node: "n1", trace_id: TRACE, request_id: hex("r1", 32), method: "GET", host: "payments", path: hostile ? "/" + HOSTILE : "/pay/" + n, status: 503, reason: "circuit-open", duration_ms: .04 };
	return n % 3 === 1 ? { time: at, level: "warn", kind: "agent", subsystem: "outlier", service: "accountservice", node: "n1", message: "an endpoint is put aside", upstream: "quotes-service", endpoint: "10.0.121.6:4143", why: "outrider.eject.consecutive failures in a row" } :
		{ time: at, level: "info", kind: "app", service: "web", task: "shop_web.1", node: "n1", message: hostile ? HOSTILE : "GET /accounts/" + n + " rendered in 8 ms" };
}
