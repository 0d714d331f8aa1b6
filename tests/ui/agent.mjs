/* Real agents and a handler, on free ports of 127.0.0.1. */

import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { spawn } from "node:child_process";
import { ROOT, until } from "./browser.mjs";

const BIN = process.env.OUTRIDER_BIN || path.join(ROOT, "build/outrider");

export const freePort = () => new Promise(resolve => {
	const s = net.createServer().listen(0, "127.0.0.1", () => {
		const { port } = s.address();
		s.close(() => resolve(port));
	});
});

export class Service {
	constructor(status = () => 200) {
		this.server = http.createServer((_q, r) => {
			r.statusCode = status();
			r.end("hello");
		});
	}

	listen(port = 0) {
		return new Promise(resolve => this.server.listen(port, "127.0.0.1", () => resolve(this.port = this.server.address().port)));
	}

	close() {
		this.server.closeAllConnections();
		return new Promise(resolve => this.server.close(resolve));
	}
}

export class Agent {
	/* options: {service, port of the handler, upstreams: {name: [addresses]}, env} */
	static async start(options) {
		const a = new Agent();
		a.options = options;
		[a.admin, a.outbound, a.inbound] = [options.admin || await freePort(), await freePort(), await freePort()];
		a.url = `http://127.0.0.1:${a.admin}/`;
		a.folder = fs.mkdtempSync(path.join(os.tmpdir(), "outrider-ui-"));
		await a.launch();
		return a;
	}

	async launch() {
		const o = this.options, env = { PATH: process.env.PATH, OUTRIDER_SERVICE: o.service, OUTRIDER_ADMIN: `127.0.0.1:${this.admin}`, OUTRIDER_OUTBOUND: `127.0.0.1:${this.outbound}`, OUTRIDER_INBOUND: o.port ? `127.0.0.1:${this.inbound}` : "off",
			OUTRIDER_WORKERS: "1", OUTRIDER_LAME_DUCK: "50ms", OUTRIDER_NODE: o.node || "node-" + o.service, ...(o.port ? { OUTRIDER_PORT: `127.0.0.1:${o.port}` } : {}), ...o.env };
		const names = Object.keys(o.upstreams || {});
		if (names.length)
			env.OUTRIDER_UPSTREAMS = (await Promise.all(names.map(async n => `${n}:${await freePort()}`))).join(",");
		for (const name of names)
			env[`OUTRIDER_UPSTREAM_${name.toUpperCase().replace(/-/g, "_")}_ENDPOINTS`] = o.upstreams[name].join(",");
		this.log = fs.openSync(path.join(this.folder, "log"), "a");
		this.process = spawn(BIN, ["sidecar"], { env, stdio: ["ignore", this.log, this.log] });
		await until("the agent at " + this.url, () => this.get("health").then(() => true, () => this.process.exitCode !== null && Promise.reject(new Error("it ended: " + fs.readFileSync(path.join(this.folder, "log"), "utf8").slice(-600)))), 20);
	}

	async get(page) {
		const reply = await fetch(this.url + page, { headers: { Accept: "application/json" } });
		return reply.json();
	}

	/* A call of the service through its agent. */
	call(name, target = "/") {
		return new Promise((resolve, reject) => http.get({ host: "127.0.0.1", port: this.outbound, path: `http://${name}${target}`, headers: { Host: name, "User-Agent": "ui-test" } }, r => {
			r.resume();
			r.on("end", () => resolve(r.statusCode));
		}).on("error", reject));
	}

	stop(signal = "SIGTERM") {
		return new Promise(resolve => {
			if (this.process.exitCode !== null || this.process.signalCode !== null)
				return resolve();
			this.process.on("exit", resolve);
			this.process.kill(signal);
		});
	}

	async leave() {
		await this.stop("SIGKILL");
		fs.rmSync(this.folder, { recursive: true, force: true });
	}
}
