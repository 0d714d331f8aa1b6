/* The agent's pages, asked in the scope that is shown, and what changes state. */

import { live, prefix, kind } from "./live.js";

const HEADERS = { Accept: "application/json" };
let token = null; /* in memory only */

export class Refused extends Error {
	constructor(status, body) {
		super(body?.cause || body?.error || "status " + status);
		this.status = status;
		this.word = body?.error || "";
		this.remedy = body?.remedy || "";
	}
}

export async function get(path, signal) {
	let reply;
	try {
		reply = await fetch(path, { headers: HEADERS, signal, cache: "no-store" });
	} catch (error) {
		if (error.name === "AbortError")
			throw error;
		throw new Refused(0, { error: "unreachable", cause: "The agent does not answer.", remedy: "Is it restarting? The page asks again by itself." });
	}
	const body = await reply.json().catch(() => null);
	if (!reply.ok)
		throw new Refused(reply.status, body);
	return body;
}

function nodeOf(address) {
	return live.agents.find(a => a.address === address)?.node || address;
}

/* Rows to ask of each agent of the scope: of many fewer, so that all of their answers fit into one. */
export const limitOf = most => kind() === "swarm" ? Math.max(20, Math.min(most, Math.floor(4000 / Math.max(1, live.agents.length)))) : most;

/* [{node, address, body}] or [{node, address, error}] of each agent of the scope. */
export async function each(path, signal) {
	if (kind() !== "swarm") {
		const node = live.hello?.node || live.agents[0]?.node || "";
		return [{ node, address: null, body: await get(prefix(live.scope) + path, signal) }];
	}
	const all = await get("swarm/" + path, signal);
	return (all.agents || []).map(a => a.answer !== undefined && a.status < 400 ?
		{ node: nodeOf(a.agent), address: a.agent, body: a.answer } :
		{ node: nodeOf(a.agent), address: a.agent, error: a.why || a.answer?.cause || "status " + a.status, status: a.status });
}

/* Asks for the token when the agent wants one: `ask` shows a dialog and gives it, or null. */
export async function put(path, ask, method = "PUT") {
	for (let turn = 0; ; turn++) {
		const headers = { ...HEADERS, "X-Outrider": "1" };
		if (token)
			headers.Authorization = "Bearer " + token;
		let reply;
		try {
			reply = await fetch(prefix(live.scope) + path, { method, headers });
		} catch {
			throw new Refused(0, { cause: "The agent does not answer." });
		}
		const body = await reply.json().catch(() => null);
		if (reply.status !== 401 || turn === 3) {
			if (!reply.ok)
				throw new Refused(reply.status, body);
			return body;
		}
		const wrong = token !== null;
		token = await ask(wrong);
		if (token === null)
			throw new Refused(401, { cause: "Nothing was changed: no token was given." });
	}
}

/* Why something cannot be changed here; null: it can. */
export function noWrites() {
	if (kind() === "swarm")
		return "By hand only in the scope of a node or a sidecar: choose one first.";
	if (live.hello?.writes === "none")
		return "This agent has no token: changes by hand only on its loopback address (outrider.admin.token).";
	return live.connection === "live" ? null : "The agent is not connected.";
}

let pages = null;

/* Has the agent this page? Its own list says so: asking for one that it has not is an error in the browser's console. */
export async function has(path) {
	pages = pages || get("./").then(body => new Set((body.pages || []).map(p => p.path))).catch(() => {
		pages = null;
		return new Set();
	});
	return (await pages).has(path);
}

let reasons = null;

/* {word: row} of docs/reasons.md; empty where the agent does not tell. */
export function reasonTable() {
	reasons = reasons || has("/ui/reasons").then(there => there ? get("ui/reasons") : {}).then(body => Object.fromEntries((body.reasons || []).map(r => [r.word, r]))).catch(() => {
		reasons = null;
		return {};
	});
	return reasons;
}
