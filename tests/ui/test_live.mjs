/* Real agents: what the page shows is what happens, and it comes back when the agent does. */

import { Agent, Service, freePort } from "./agent.mjs";
import { Mock } from "./mock.mjs";
import { assert, axe, close, go, launch, noOverflow, open, picture, until } from "./browser.mjs";

/* accountservice calls quotes (one instance answers, one has nobody listening) and gone (nobody at all). */
async function landscape(undo, env = {}) {
	const good = new Service(), nobody = await freePort();
	await good.listen();
	undo.push(() => good.close());
	const agent = await Agent.start({ service: "accountservice", port: good.port, upstreams: { quotes: [`127.0.0.1:${good.port}`, `127.0.0.1:${nobody}`], gone: [`127.0.0.1:${await freePort()}`] },
		env: { OUTRIDER_TRACE_SAMPLE: "100%", OUTRIDER_BREAKER_VOLUME: "5", ...env } });
	undo.push(() => agent.leave());
	return agent;
}

async function traffic(agent, rounds = 30) {
	for (let i = 0; i < rounds; i++) {
		await agent.call("quotes", "/q" + i);
		await agent.call("gone", "/g" + i);
	}
}

export async function what_happens_is_shown(browser, undo) {
	const agent = await landscape(undo), page = await open(browser, agent.url + "#/overview");
	await page.waitForSelector('[data-connection="live"]');
	await traffic(agent);
	const shows = (view, ...texts) => until(`${view} shows ${texts}`, async () => {
		const text = await page.textContent("main");
		return texts.every(t => text.includes(t));
	});
	await shows("overview", "accountservice");
	await page.waitForSelector(".u-wrap canvas");
	await go(page, "#/map");
	await page.waitForSelector('[data-node="quotes"]');
	await page.waitForSelector('[data-node="gone"]');
	await go(page, "#/upstreams");
	await shows("upstreams", "quotes", "gone", "connect-refused");
	await go(page, "#/failures");
	await shows("failures", "connect-refused", "/g1");
	await go(page, "#/failures?show=retried");
	await shows("retried", "/q", "retried:");
	await page.locator("main tbody a[data-row]").first().click();
	await shows("why", "2 attempts");
	await page.locator("main tbody a.reason").first().click();
	await shows("reasons", "Nothing listens at the upstream's endpoints", "Remedy");
	await go(page, "#/traces");
	await page.locator("main tbody a[data-row]").first().click();
	await page.waitForSelector(".span");
	await go(page, "#/config");
	await shows("config", "outrider.upstreams", "env");
	await go(page, "#/sidecars");
	await shows("sidecars", "accountservice", "serving");
	for (const view of ["overview", "map", "upstreams", "circuits", "config"]) {
		await go(page, "#/" + view);
		await noOverflow(page, view);
		await axe(page, view);
	}
	await close(page);
}

/* A tick changes what stands there without a reload: the rate rises when requests come. */
export async function figures_move(browser, undo) {
	const agent = await landscape(undo), page = await open(browser, agent.url + "#/map/quotes");
	await page.waitForSelector('[data-node="quotes"]');
	const said = () => page.getAttribute('[data-node="quotes"]', "aria-label");
	assert(/^quotes: 0\/s/.test(await said()), await said());
	let go = true;
	const load = (async () => {
		while (go)
			await traffic(agent, 2);
	})();
	await until("the rate rises", async () => !/^quotes: 0\/s/.test(await said()));
	go = false;
	await load;
	await close(page);
}

/* By hand, on loopback: the endpoint is drained in the agent itself, the circuit open. */
export async function by_hand(browser, undo) {
	const agent = await landscape(undo), page = await open(browser, agent.url + "#/upstreams");
	await traffic(agent, 3);
	await page.getByRole("button", { name: /^Drain / }).first().click();
	await page.getByRole("button", { name: "Drain it" }).click();
	await until("it is drained", async () => (await agent.get("upstreams")).upstreams.some(u => u.endpoints.some(e => e.state === "drained")));
	await page.getByRole("button", { name: /^Put back / }).first().click();
	await until("it is back", async () => !(await agent.get("upstreams")).upstreams.some(u => u.endpoints.some(e => e.state === "drained")));
	await go(page, "#/circuits");
	await page.getByRole("button", { name: /^Open: quotes/ }).click();
	await page.getByRole("button", { name: "Open it" }).click();
	await until("calls are refused", async () => await agent.call("quotes") === 503);
	await until("the page says so", async () => (await page.textContent('[data-circuit="quotes"]')).includes("by hand"));
	await picture(page, "circuit-by-hand");
	await page.getByRole("button", { name: /^Auto: quotes/ }).click();
	await until("calls go through", async () => await agent.call("quotes") === 200);
	await close(page);
}

/* The page says that the agent is away, and goes on by itself when it is back. */
export async function the_agent_restarts(browser, undo) {
	const agent = await landscape(undo), page = await open(browser, agent.url + "#/overview", { allow: ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "ERR_NETWORK"] });
	await page.waitForSelector('[data-connection="live"]');
	await page.evaluate(() => new Promise(resolve => { /* as many ticks as the page needs to know since when the agent runs */
		const other = new EventSource("ui/live");
		let n = 0;
		other.addEventListener("tick", () => ++n === 4 && resolve(other.close()));
	}));
	assert(!(await page.textContent("body")).includes("was restarted at"), "nothing was restarted yet");
	await agent.stop();
	await page.waitForSelector('[data-connection="lost"]');
	assert((await page.textContent('[role="alert"]')).includes("does not answer"), await page.textContent('[role="alert"]'));
	await picture(page, "lost");
	await agent.launch();
	await page.waitForSelector('[data-connection="live"]');
	await until("it is said that it was restarted", async () => (await page.textContent("body")).includes("was restarted at"));
	await page.reload();
	await page.waitForSelector('[data-connection="live"]');
	await close(page);
}

/* The stream stands while nothing comes: the page says since when, and is live again with the next tick. */
export async function an_agent_that_says_nothing(browser, undo) {
	const agent = await landscape(undo), page = await open(browser, agent.url + "#/overview");
	await page.waitForSelector('[data-connection="live"]');
	agent.process.kill("SIGSTOP");
	await page.waitForSelector('[data-connection="stale"]');
	assert(/told nothing since \d\d:\d\d:\d\d/.test(await page.textContent('[role="alert"]')), await page.textContent('[role="alert"]'));
	await picture(page, "stale");
	agent.process.kill("SIGCONT");
	await page.waitForSelector('[data-connection="live"]');
	assert(await page.locator('[role="alert"]').count() === 0, "the banner is gone");
	await close(page);
}

const hide = (page, hidden) => page.evaluate(is => {
	Object.defineProperty(document, "hidden", { configurable: true, get: () => is });
	document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
}, hidden);

/* The log has each record once: those that come, those of the time when the tab was hidden or the agent was away, and those that come while no further reader is taken. */
export async function the_log_of_an_agent(browser, undo) {
	const agent = await landscape(undo, { OUTRIDER_ACCESS_SAMPLE: "100%" }), page = await open(browser, agent.url + "#/log?q=%2Fmark", { allow: ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "ERR_NETWORK", "503"] });
	const tail = word => page.waitForSelector(`[data-tail="${word}"]`), marks = [];
	const has_each_once = async mark => {
		marks.push(mark);
		let lines;
		await until(`each of ${marks} once`, async () => {
			lines = (await page.locator(".log .line").allTextContents()).map(line => /\/mark-\w+/.exec(line)?.[0] || line);
			return JSON.stringify(lines.slice().sort()) === JSON.stringify(marks.map(m => "/mark-" + m).sort());
		}, 20).catch(error => assert(false, error.message, lines));
	};
	await tail("live");
	await agent.call("quotes", "/mark-live");
	await has_each_once("live");
	await hide(page, true);
	await tail("rest");
	await agent.call("quotes", "/mark-hidden");
	await hide(page, false);
	await has_each_once("hidden");
	await tail("live");
	await agent.stop();
	await tail("lost");
	await agent.launch();
	await agent.call("quotes", "/mark-restarted");
	await has_each_once("restarted");
	await tail("live");
	await hide(page, true);
	await tail("rest");
	const others = Array.from({ length: 10 }, () => new AbortController());
	undo.push(() => others.forEach(o => o.abort()));
	for (const o of others)
		await until("one more reads", async () => (await fetch(agent.url + "log/tail", { signal: o.signal })).ok, 10);
	await hide(page, false);
	await tail("refused");
	assert((await page.textContent('[data-tail="refused"]')).includes("As many readers as may be are there already"), await page.textContent("main .head"));
	await agent.call("quotes", "/mark-crowded");
	await has_each_once("crowded");
	await picture(page, "log-refused");
	others[0].abort();
	await tail("live");
	await agent.call("quotes", "/mark-again");
	await has_each_once("again");
	await close(page);
}

/* Three agents of which one is not there, asked by the first. */
export async function swarm_of_three(browser, undo) {
	const ports = [await freePort(), await freePort(), await freePort()], agents = [];
	for (const [i, name] of ["accountservice", "orders"].entries()) {
		const a = await Agent.start({ service: name, admin: ports[i], upstreams: { quotes: ["127.0.0.1:" + ports[2]] }, env: { OUTRIDER_AGENTS: ports.map(p => "127.0.0.1:" + p).join(",") } });
		undo.push(() => a.leave());
		agents.push(a);
	}
	const page = await open(browser, agents[0].url + "#/?scope=swarm");
	await page.waitForSelector('[data-dead="1"]');
	assert((await page.textContent("[data-dead]")).includes("127.0.0.1:" + ports[2]), "the dead one is named");
	await until("both others are there", async () => {
		const text = await page.textContent("main");
		return text.includes("node-accountservice") && text.includes("node-orders");
	});
	await go(page, "#/sidecars?scope=swarm");
	await until("services of both", async () => (await page.locator("main tbody tr").count()) === 2);
	await go(page, "#/config?scope=swarm");
	await page.getByLabel("Whose configuration").selectOption("node-orders");
	await until("that of orders", async () => (await page.locator("main tbody").first().textContent()).includes("orders"));
	await close(page);
}

/* All that the page loads, as it comes over the wire; and no request to anywhere else. */
export async function on_the_wire(browser, undo) {
	const agent = await landscape(undo), context = await browser.newContext(), page = await context.newPage(), client = await context.newCDPSession(page), sizes = new Map(), urls = new Set();
	await client.send("Network.enable");
	client.on("Network.responseReceived", e => urls.add(e.response.url));
	client.on("Network.loadingFinished", e => sizes.set(e.requestId, e.encodedDataLength));
	await page.goto(agent.url);
	await page.waitForSelector(".u-wrap canvas");
	const all = Array.from(sizes.values()).reduce((a, b) => a + b, 0);
	console.log(`     ${(all / 1000).toFixed(1)} kB on the wire in ${sizes.size} replies`);
	assert(all <= 150000, all);
	assert(Array.from(urls).every(u => u.startsWith(agent.url)), Array.from(urls));
	const reply = await fetch(agent.url, { headers: { Accept: "text/html" } }), policy = reply.headers.get("content-security-policy");
	assert(/default-src 'none'/.test(policy) && !/unsafe/.test(policy), policy);
	await context.close();
}

/* Frames of five seconds while the page scrolls, and the longest task in them. */
const frames = page => page.evaluate(() => new Promise(resolve => {
	const times = [], began = performance.now(), busy = [];
	const seen = new PerformanceObserver(list => busy.push(...list.getEntries().map(e => e.duration)));
	seen.observe({ entryTypes: ["longtask"] });
	let last = began;
	const frame = now => {
		times.push(now - last);
		last = now;
		scrollBy(0, 6);
		if (now - began < 5000)
			return requestAnimationFrame(frame);
		seen.disconnect();
		times.sort((a, b) => a - b);
		resolve({ n: times.length, p50: times[times.length >> 1], p99: times[Math.floor(times.length * .99)], max: times[times.length - 1], long: Math.max(0, ...busy), nodes: document.querySelectorAll("*").length });
	};
	requestAnimationFrame(frame);
}));

/* Alone on the machine: p50 17 ms, p99 33 ms, no task above 60 ms. It is often shared: the bars are for what would be a stutter all the same. */
function judge(what, t, p50 = 100) {
	console.log(`     frames of ${what}: ${t.n} in 5 s, p50 ${t.p50.toFixed(1)} ms, p99 ${t.p99.toFixed(1)} ms, longest ${t.max.toFixed(0)} ms, longest task ${t.long.toFixed(0)} ms, ${t.nodes} elements`);
	assert(t.nodes < 12000, "the page stays small:", t.nodes);
	assert(t.p50 <= p50 && t.p99 <= 1000 && t.long <= 1500, what, "stutters:", t);
}

/* Each has a profile of its own and another view of a large fleet; ticks go on in all of them, and none stutters. */
export async function five_browsers_at_once(browser, undo) {
	const mock = await new Mock({ kind: "fleet", services: 50, upstreams: 20, endpoints: 10 }).listen();
	undo.push(() => mock.close());
	const views = ["overview", "map", "upstreams/service-07", "circuits", "sidecars"], all = await Promise.all(views.map(async view => {
		const other = await launch();
		undo.push(() => other.close());
		return open(other, mock.url + "#/" + view, { motion: "no-preference" });
	}));
	for (const page of all)
		await page.waitForFunction(() => document.querySelectorAll("main *").length > 60);
	const said = await Promise.all(all.map(page => page.textContent("main")));
	for (const [i, t] of (await Promise.all(all.map(frames))).entries())
		judge(views[i] + ", one of five", t, 400);
	for (const [i, page] of all.entries()) {
		await until(views[i] + " goes on", async () => await page.textContent("main") !== said[i]);
		assert(await page.getAttribute(".conn", "data-connection") === "live", views[i]);
		await close(page);
	}
}

/* 50 sidecars × 20 upstreams × 10 endpoints: how long frames take while ticks come in and the reader scrolls. */
export async function a_large_fleet_without_a_stutter(browser, undo) {
	const mock = await new Mock({ kind: "fleet", services: 50, upstreams: 20, endpoints: 10 }).listen();
	undo.push(() => mock.close());
	const page = await open(browser, mock.url + "#/overview", { motion: "no-preference" });
	await page.waitForSelector('[data-connection="live"]');
	for (const [view, address] of [["overview", "#/overview"], ["map", "#/map"], ["upstreams", "#/upstreams/service-07"], ["circuits", "#/circuits"], ["sidecars", "#/sidecars"]]) {
		await go(page, address);
		await page.waitForFunction(() => document.querySelectorAll("main *").length > 60);
		judge(view, await frames(page));
		await page.evaluate(() => scrollTo(0, 0));
		await picture(page, "fleet-" + view);
	}
	await close(page);
}
