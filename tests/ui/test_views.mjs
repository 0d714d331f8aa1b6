/* Each view, in both themes and at phone width, of a scripted landscape with something going wrong in it. */

import fs from "node:fs";
import { Mock } from "./mock.mjs";
import { HOSTILE } from "./world.mjs";
import { TRACE, failures } from "./records.mjs";
import { assert, axe, close, go, noOverflow, open, picture, until } from "./browser.mjs";

const REQUEST = failures(new URLSearchParams("retried=true")).failures[0].request_id;
/* name: [address, text that tells the view's purpose] */
const VIEWS = { overview: ["#/overview", "circuit of payments opened"], map: ["#/map", "accountservice"], focus: ["#/map/orders", "Its endpoints"], upstreams: ["#/upstreams/quotes-service", "outrider.eject.consecutive"], circuits: ["#/circuits", "46% of 118 calls failed"],
	traces: ["#/traces", "/accounts/31"], trace: ["#/traces/" + TRACE, "connect-refused"], failures: ["#/failures", "circuit-open"], retried: ["#/failures?show=retried", "try-timeout"], why: ["#/failures/" + REQUEST, "after 2 attempts"], log: ["#/log", "an endpoint is put aside"],
	config: ["#/config", "expected a duration"], sidecars: ["#/sidecars", "no proxy variable"], reasons: ["#/reasons/circuit-open", "The circuit of this upstream is open"] };

async function look(browser, theme, size, name) {
	const mock = await new Mock({ nodes: 3 }).listen(), page = await open(browser, mock.url + "#/overview", { theme, size });
	await page.waitForSelector('[data-connection="live"]');
	for (const [view, [address, text]] of Object.entries(VIEWS)) {
		await go(page, address);
		await page.waitForFunction(t => document.querySelector("main").textContent.includes(t), text);
		if (view === "overview")
			await page.waitForSelector(".u-wrap canvas");
		await noOverflow(page, `${view}, ${name}`);
		await axe(page, `${view}, ${name}`);
		await picture(page, `${view}-${name}`, size[0] < 500);
	}
	await close(page);
	await mock.close();
}

export const views_light = browser => look(browser, "light", [1280, 800], "light");
export const views_dark = browser => look(browser, "dark", [1280, 800], "dark");
export const views_phone = browser => look(browser, "light", [390, 844], "phone");

/* A service that names itself like a script, a path and a log record that look like markup: text, nothing else. */
export async function hostile_names_are_text(browser) {
	const mock = await new Mock({ hostile: true, nodes: 3 }).listen(), page = await open(browser, mock.url + "#/sidecars");
	for (const address of ["#/sidecars", "#/map", "#/upstreams", "#/circuits", "#/failures", "#/log", "#/overview"]) {
		await go(page, address);
		await page.waitForFunction(t => document.querySelector("main").textContent.includes(t), address === "#/map" ? HOSTILE.slice(0, 15) : HOSTILE);
		assert(await page.evaluate(() => document.querySelectorAll("main script, body script").length) === 0, "a script came in at", address);
	}
	await go(page, "#/map/" + encodeURIComponent(HOSTILE));
	await page.waitForFunction(t => document.querySelector("main h2")?.textContent === t, HOSTILE);
	await picture(page, "hostile");
	await close(page);
	await mock.close();
}

export async function theme_is_switched_and_kept(browser) {
	const mock = await new Mock().listen(), page = await open(browser, mock.url, { theme: "light" });
	const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
	assert(await theme() === "light");
	await page.keyboard.press("t");
	assert(await theme() === "dark");
	await page.reload();
	await page.waitForSelector("main");
	assert(await theme() === "dark", "the choice is kept over a reload");
	await page.getByRole("button", { name: "Light theme" }).click();
	await page.emulateMedia({ colorScheme: "dark" });
	assert(await theme() === "light", "the reader's choice wins over the system's");
	await close(page);
	await mock.close();
}

/* Everything by keys alone: view, filter, row, back, scope; and each place has an address that opens it again. */
export async function keyboard_and_address(browser) {
	const mock = await new Mock({ nodes: 3 }).listen(), page = await open(browser, mock.url);
	await page.waitForSelector('[data-connection="live"]');
	await page.keyboard.press("6");
	await page.waitForSelector('main[data-view="failures"]');
	await page.keyboard.press("/");
	await page.keyboard.type("pay/1014");
	await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length === 1);
	assert((await page.evaluate(() => location.hash)) === "#/failures?q=pay%2F1014", "the filter stands in the address:", await page.evaluate(() => location.hash));
	await page.evaluate(() => document.activeElement.blur());
	await page.keyboard.press("j");
	await page.keyboard.press("Enter");
	await page.waitForFunction(() => document.querySelector("main h1").textContent === "Why");
	await page.keyboard.press("Escape");
	await page.waitForFunction(() => document.querySelector("main h1").textContent === "Failures");
	await page.keyboard.press("s");
	await page.waitForFunction(() => location.hash.includes("scope=swarm"));
	await page.keyboard.press("?");
	await page.waitForSelector("dialog[open]");
	await page.keyboard.press("Escape");
	await page.waitForFunction(() => !document.querySelector("dialog"));
	const again = await open(browser, mock.url + "#/circuits?q=payments&scope=swarm");
	await again.waitForFunction(() => document.querySelectorAll("[data-circuit]").length === 4 && document.querySelector("[data-filter]").value === "payments");
	await close(again);
	await close(page);
	await mock.close();
}

/* Three agents of which one is dead: the others are shown, the dead one is named, by hand only on one node. */
export async function scope_over_three_agents(browser) {
	const mock = await new Mock({ nodes: 3 }).listen(), page = await open(browser, mock.url + "#/overview");
	await page.waitForSelector('[data-connection="live"]');
	await page.getByRole("link", { name: "Swarm" }).click();
	await page.waitForSelector('[data-dead="1"]');
	const banner = await page.textContent("[data-dead]");
	assert(banner.includes("n3") && banner.includes("no answer within 2 s"), banner);
	assert(await page.locator("table tbody tr").count() === 3, "one row for each node");
	await picture(page, "swarm-light");
	await axe(page, "swarm");
	await go(page, "#/upstreams/quotes-service?scope=swarm");
	await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length === 12); /* two agents, two callers, three endpoints */
	assert(await page.locator("main tbody button:disabled").count() === 12, "nothing is changed by hand in the scope of a swarm");
	await page.getByRole("link", { name: "Sidecar", exact: true }).click();
	await page.waitForFunction(() => location.hash.includes("scope=sidecar%3A"));
	await page.getByLabel("Which sidecar").selectOption("payments");
	await page.waitForFunction(() => location.hash.includes("sidecar%3Apayments"));
	await page.waitForSelector('[data-connection="live"]');
	await close(page);
	await mock.close();
}

/* Two instances of one service on a node: the open circuit of the one is not hidden by the closed one of the other, nor the endpoint that only one of
 * them has put aside; circuits of SOAP actions have cards of their own. */
export async function instances_of_a_service_are_told_apart(browser) {
	const mock = new Mock({ nodes: 3 }), first = mock.world.nameOf("accountservice", 1);
	mock.world.opened.add(first + " imageservice");
	mock.world.actions.set("stock", ["urn:reserve", "urn:release"]);
	await mock.listen();
	const page = await open(browser, mock.url + "#/circuits?q=imageservice");
	const cards = () => page.evaluate(() => Array.from(document.querySelectorAll("[data-circuit]")).map(c => [c.querySelector("h2").textContent, c.querySelector(".note").textContent, c.classList.contains("open"), c.querySelectorAll(".moving rect, .moving i").length]));
	const seen = await until("a card for each instance", async () => (c => c.filter(([, by]) => by.includes("accountservice")).length === 2 && c)(await cards()));
	assert(JSON.stringify(seen.filter(([, by]) => by.includes("accountservice")).map(([, by, open]) => [by, open])) === '[["called by accountservice.1",true],["called by accountservice.2",false]]', "the open one first, each by its slot:", seen);
	const menu = await page.evaluate(() => document.querySelector('nav a[href^="#/circuits"]').textContent), open_ = await page.evaluate(() => document.querySelector(".head p").textContent);
	const told = await page.evaluate(async () => (await import("/ui/live.js")).states().flatMap(a => a.state.circuits).filter(c => c.state === "open").length);
	assert(menu.includes(String(told)) && open_.includes(`, ${told} open`), "menu and view count the same:", menu, open_, told);
	await go(page, "#/circuits?q=stock");
	await page.waitForFunction(() => document.querySelectorAll('[data-circuit="stock"]').length === 9); /* orders and two of catalog, each with two actions */
	const actions = (await cards()).filter(([, by]) => by === "called by orders").map(([name, , open]) => name + " " + open).sort();
	assert(JSON.stringify(actions) === '["stock false","stock urn:release true","stock urn:reserve false"]', "each action has its card:", actions);
	await page.waitForFunction(() => Array.from(document.querySelectorAll(".moving")).every(m => m.children.length === 2));
	await picture(page, "instances-circuits");
	await go(page, "#/upstreams/quotes-service");
	await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length === 6);
	const said = await page.evaluate(() => Array.from(document.querySelectorAll("main section.card")).map(c => [c.querySelector("header .soft").textContent, c.querySelector("header .badge, header [class*=badge]")?.textContent]));
	assert(said.length === 2 && said.some(([by, up]) => by.includes("accountservice.1") && up.includes("2 of 3")) && said.some(([by, up]) => by.includes("accountservice.2") && up.includes("3 of 3")), "only one has put it aside:", said);
	await picture(page, "instances-upstreams");
	await go(page, "#/map/accountservice");
	const rates = await until("the map adds them up", () => page.evaluate(async () => (await import("/ui/live.js")).states().flatMap(a => a.state.edges).filter(e => e.from === "accountservice" && e.to === "imageservice").map(e => e.rate)));
	assert(rates.length === 2);
	await page.waitForFunction(async () => {
		const sum = (await import("/ui/live.js")).states().flatMap(a => a.state.edges).filter(e => e.from === "accountservice" && e.to === "imageservice").reduce((n, e) => n + e.rate, 0);
		return document.querySelector("main").textContent.includes(Math.round(sum) + "/s") || document.querySelector("main").textContent.includes(sum.toFixed(1) + "/s");
	});
	await close(page);
	await mock.close();
}

/* What agents say with the same words is one thing only if it is of the same service, or if all callers see it. */
export async function changes_of_two_nodes(browser) {
	const mock = await new Mock({ nodes: 2 }).listen(), page = await open(browser, mock.url + "#/overview?scope=swarm");
	await page.waitForSelector('[data-connection="live"]');
	const at = Date.now(), text = "the circuit of an upstream opened: its calls fail, and are refused for a while";
	const changes = [["n1", "circuit", "orders", "payments", text], ["n2", "circuit", "web", "payments", text], ["n2", "circuit", "orders", "payments", text], ["n1", "rollout", "web", "stock", "stock: one more instance"], ["n2", "rollout", "orders", "stock", "stock: one more instance"]];
	for (const s of mock.streams)
		changes.forEach(([node, kind, service, upstream, told], i) => mock.send(s, "change", { number: 90 + i, time_ms: at + i, node, kind, service, upstream, subject: null, text: told }));
	await page.waitForFunction(() => document.querySelector("main").textContent.includes("stock: one more instance"));
	const lines = await page.evaluate(t => Array.from(document.querySelectorAll(".changes li")).filter(l => l.textContent.includes(t) || l.textContent.includes("stock: one")).map(l => l.querySelector(":scope > .sub").textContent), text);
	assert(JSON.stringify(lines) === '["web → stock on n1, n2","web → payments on n2","orders → payments on n1, n2"]', lines);
	await close(page);
	await mock.close();
}

/* While an agent takes over from the other a node has two: the figures of both are in the charts, and a row is of one of them. */
export async function two_agents_of_one_node(browser) {
	const mock = await new Mock({ nodes: 4, names: ["n1", "n1", "n2", "n3"] }).listen(), page = await open(browser, mock.url + "#/overview?scope=swarm");
	await page.waitForSelector('[data-dead="1"]');
	assert(await page.locator("table tbody tr").count() === 4, "one row for each agent");
	const both = () => page.evaluate(async () => {
		const { live } = await import("/ui/live.js"), points = live.agents.filter(a => a.ok).map(a => live.series.get(a.address)), last = s => s.t.length;
		return live.ticks > 2 && [points.length, new Set(points).size, new Set(points.map(last)).size, points[0].in.rate.at(-1) === live.agents[0].state.in.rate, points[1].in.rate.at(-1) === live.agents[1].state.in.rate];
	});
	const seen = await until("some ticks", both);
	assert(JSON.stringify(seen) === "[3,3,1,true,true]", "each agent has its own line, with every point:", seen);
	const shown = await page.evaluate(() => [document.querySelector(".figures dd").textContent, document.querySelector(".u-wrap, main section.card .key b").closest("section").querySelector(".key b").textContent]);
	assert(shown[0].replace(/\s/g, "") === shown[1].replace(/\s/g, ""), "the chart's sum is that of the figures:", shown);
	await go(page, "#/circuits?scope=swarm&q=payments");
	await page.waitForFunction(() => document.querySelectorAll("[data-circuit]").length === 6);
	const by = await page.evaluate(() => Array.from(document.querySelectorAll("[data-circuit] .note")).map(n => n.textContent).sort());
	assert(by.includes("called by orders on n1 (10.0.5.3:4191)") && by.includes("called by orders on n1 (10.0.5.4:4191)") && by.includes("called by orders on n2"), "which of the two stands there:", by);
	await close(page);
	await mock.close();
}

/* Several nodes tell in one moment: what is the same is one line with both nodes, what is of another service or endpoint stays a line of its own. */
export async function what_several_nodes_saw(browser) {
	let number = 0;
	const at = Date.now() - 60000, one = (node, kind, service, upstream, subject, text) => ({ number: ++number, time_ms: at + number, node, kind, service, upstream, subject, text });
	const told = { n1: [one("n1", "handler", "accounts", null, null, "its handler takes no requests"), one("n1", "ejected", "web", "quotes", "10.0.1.5:4143", "it is put aside"), one("n1", "rollout", "web", "quotes", null, "quotes has one instance more"), one("n1", "circuit", "web", "quotes", null, "the circuit opened")],
		n2: [one("n2", "handler", "images", null, null, "its handler takes no requests"), one("n2", "ejected", "web", "quotes", "10.0.1.6:4143", "it is put aside"), one("n2", "rollout", "orders", "quotes", null, "quotes has one instance more"), one("n2", "circuit", "web", "quotes", null, "the circuit opened")] };
	const mock = await new Mock({ nodes: 3, changes: node => told[node] || [] }).listen(), page = await open(browser, mock.url + "#/overview?scope=swarm");
	await page.waitForFunction(() => document.querySelectorAll(".changes li").length > 0);
	const lines = await page.locator(".changes li").allTextContents(), with_ = (...words) => lines.filter(l => words.every(w => l.includes(w)));
	assert(lines.length === 6, "a line for each that differs:", lines);
	assert(with_("accounts", "on n1").length === 1 && with_("images", "on n2").length === 1, "two services are two lines:", lines);
	assert(with_("10.0.1.5", "on n1").length === 1 && with_("10.0.1.6", "on n2").length === 1, "two endpoints are two lines:", lines);
	assert(with_("one instance more", "on n1, n2").length === 1, "one rollout that two saw is one, whoever calls it:", lines);
	assert(with_("circuit opened", "on n1, n2").length === 1, "one service on two nodes is one:", lines);
	await close(page);
	await mock.close();
}

/* Why a request took so long: each part that the agent measures has its piece and its word. */
export async function all_phases_are_shown(browser) {
	const keys = Array.from(fs.readFileSync(new URL("../../agent/control/phases.c", import.meta.url), "utf8").matchAll(/"(\w+_ms)"/g), m => m[1]);
	const mock = await new Mock().listen(), page = await open(browser, mock.url + "#/failures");
	await page.route("**/why/*", async route => {
		const reply = await route.fetch(), body = await reply.json();
		body.exchanges[0].phases = { ...Object.fromEntries(keys.map((key, i) => [key, i + 2])), all_ms: keys.length * (keys.length + 3) / 2 };
		await route.fulfill({ response: reply, json: body });
	});
	await go(page, "#/failures/" + REQUEST);
	await page.waitForSelector(".phases i");
	const said = await page.locator(".phases + .legend span b").allTextContents(), colours = await page.locator(".phases i").evaluateAll(all => all.map(el => getComputedStyle(el).backgroundColor));
	assert(keys.length >= 7 && said.length === keys.length && keys.every((_key, i) => said.includes(`${i + 2}.00 ms`)), keys, said);
	assert(new Set(colours).size === keys.length && !colours.includes("rgba(0, 0, 0, 0)"), "each has a colour of its own:", colours);
	await picture(page, "phases");
	await close(page);
	await mock.close();
}

/* Drained and put back, opened and set to auto: with the mark, and with the token where the agent wants one. */
export async function changes_by_hand(browser) {
	const mock = await new Mock({ writes: "token", token: "sesame" }).listen(), page = await open(browser, mock.url + "#/upstreams/catalog", { allow: ["401"] });
	await page.getByRole("button", { name: /^Drain 10/ }).first().click();
	await page.getByRole("button", { name: "Drain it" }).click();
	await page.getByRole("textbox", { name: "Token" }).fill("wrong");
	await page.getByRole("textbox", { name: "Token" }).press("Enter");
	await page.waitForFunction(() => document.querySelector("dialog h2")?.textContent === "That token was refused");
	await page.getByRole("textbox", { name: "Token" }).fill("sesame");
	await page.getByRole("button", { name: "Use it" }).click();
	await page.waitForFunction(() => document.querySelector("main").textContent.includes("drained"));
	await page.getByRole("button", { name: "Undo" }).click();
	await until("it is put back", () => mock.asked.some(a => a.endsWith("state=up")));
	await go(page, "#/circuits?q=ledger");
	await page.getByRole("button", { name: /^Open: ledger/ }).click();
	await page.getByRole("button", { name: "Open it" }).click();
	await page.waitForFunction(() => document.querySelector("[data-circuit]").textContent.includes("by hand"), null, { timeout: 8000 });
	await page.getByRole("button", { name: /^Auto: ledger/ }).click();
	await until("it decides by itself", () => mock.asked.includes("PUT circuits/ledger/auto"));
	assert(mock.asked.some(a => /^PUT upstreams\/catalog\/endpoints\/10\.0\..*:4143\?state=drained$/.test(a)), mock.asked);
	await close(page);
	await mock.close();
}

/* The menu's number, the Overview's and the view's own are one: a half-open circuit lets calls through and is not open. */
export async function one_number_of_open_circuits(browser) {
	const mock = await new Mock().listen(), page = await open(browser, mock.url + "#/circuits"), usual = mock.world.circuitOf.bind(mock.world);
	mock.world.circuitOf = c => ({ ...usual(c), ...(c.to === "stock" ? { state: "half-open" } : {}) });
	await page.waitForFunction(() => document.querySelector("main").textContent.includes("half-open"));
	const badge = await page.textContent('.nav a[href*="circuits"] .n'), head = await page.textContent("main .head p");
	await go(page, "#/overview");
	const figure = await page.locator(".figure", { hasText: "Open circuits" }).locator("dd").first().textContent();
	assert(badge.trim() === "▲ " + figure && head.includes(`, ${figure} open`) && Number(figure) > 0, badge, head, figure);
	await close(page);
	await mock.close();
}

/* In the scope of a swarm each question goes to all agents: they are asked for less, and for what seldom changes less often. */
export async function a_swarm_is_asked_for_less(browser) {
	const mock = await new Mock({ nodes: 50 }).listen(), page = await open(browser, mock.url + "#/overview?scope=swarm"), asked = [];
	page.on("request", q => asked.push([Date.now(), new URL(q.url())]));
	await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length === 50);
	await go(page, "#/log?scope=swarm");
	const limit = () => Number(asked.findLast(([, url]) => url.pathname === "/swarm/log/recent")?.[1].searchParams.get("limit"));
	await until("the log is asked for", () => limit() > 0);
	assert(limit() * 50 <= 4000, "records of each:", limit());
	await go(page, "#/config?scope=swarm");
	await page.waitForFunction(() => document.querySelector("main").textContent.includes("outrider.upstreams"));
	const times = () => asked.filter(([, url]) => url.pathname === "/swarm/config").length, was = times();
	await page.waitForTimeout(3600); /* longer than a node's configuration waits: what is looked for is that nothing comes */
	assert(was === 1 && times() === 1, "all configurations are fetched again at once:", was, times());
	await close(page);
	await mock.close();
}

/* What agents lean on stands below the services, its state as colour and word; picked, in words. */
export async function systems_on_the_map(browser) {
	const mock = await new Mock().listen(), page = await open(browser, mock.url + "#/map");
	await page.waitForSelector("[data-peer]");
	const words = await page.locator("[data-peer]").evaluateAll(all => all.map(g => [g.dataset.peer, g.querySelector("text.s").textContent, g.querySelector("rect").classList.contains("bad")]));
	assert(words.length === 5 && JSON.stringify(words[0]) === '["trace zipkin:http://zipkin:9411","trouble",true]' && words.slice(1).every(([, word, bad]) => word === "well" && !bad), words);
	assert((await page.textContent("#systems")).includes("connection refused"), "what is in trouble is told without asking");
	await page.locator('[data-peer^="bus"]').focus();
	await page.keyboard.press("Enter");
	await page.waitForFunction(() => document.querySelector("#systems").textContent.includes("amqp://rabbit:5672") && location.hash.includes("system="));
	assert((await page.textContent("#systems")).includes("1 queue"), await page.textContent("#systems"));
	await page.keyboard.press("Enter");
	await page.waitForFunction(() => document.querySelector("#systems").textContent.includes("connection refused"));
	await close(page);
	await mock.close();
}

/* Latency stands on the line of a call; where it is far above what it was, the line says so by its colour, and for how much. */
export async function a_call_that_becomes_slow(browser) {
	const mock = await new Mock().listen(), usual = mock.world.point.bind(mock.world), page = await open(browser, mock.url + "#/map");
	let slow = 1;
	mock.world.point = (c, at) => {
		const p = usual(c, at);
		return c.from === "web" && c.to === "orders" ? { ...p, p50_ms: 12, p95_ms: 20, p99_ms: 40 * slow } : p;
	};
	const line = '[data-edge="web orders"]', is = async () => [await page.getAttribute(line, "class"), await page.locator(line).locator("title").textContent()];
	await page.waitForFunction(() => Array.from(document.querySelectorAll(".label text")).some(t => /\d+\/s · 40 ms/.test(t.textContent)));
	await until("some ticks", async () => await page.evaluate(async () => (await import("/ui/live.js")).live.ticks) > 3);
	assert((await is())[0] === "edge", await is());
	slow = 2.5; /* not far enough */
	await page.waitForFunction(() => Array.from(document.querySelectorAll(".label text")).some(t => /· 100 ms/.test(t.textContent)));
	assert((await is())[0] === "edge", await is());
	slow = 9;
	await until("the line says so", async () => (await is())[0] === "edge warn");
	assert(/p99 360 ms, usually \d\d(\.\d)? ms/.test((await is())[1]), await is());
	await close(page);
	await mock.close();
}

/* Before the first tick nothing is known: no figure says zero. */
export async function nothing_is_zero_before_it_is_known(browser) {
	const mock = await new Mock({ nodes: 3, mute: true }).listen(), page = await open(browser, mock.url + "#/overview?scope=swarm");
	await page.waitForSelector('[data-connection="live"]');
	await page.waitForFunction(() => document.querySelector("main").textContent.includes("The first figures come"));
	assert(await page.locator(".figure").count() === 0, await page.textContent("main"));
	mock.options.mute = false;
	await page.waitForSelector(".figure");
	await close(page);
	await mock.close();
}

/* The saved file shows the same without an agent: no script, no link to anything, charts as pictures. */
export async function saved_as_one_file(browser) {
	const mock = await new Mock({ hostile: true }).listen(), page = await open(browser, mock.url + "#/overview");
	await page.waitForSelector(".u-wrap canvas");
	const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("e")]);
	const at = await download.path(), text = fs.readFileSync(at, "utf8"), name = download.suggestedFilename();
	assert(/^outrider-overview-.*\.html$/.test(name), name);
	assert(!/<script|<link |javascript:|src="(?!data:)/i.test(text), "it asks for nothing");
	assert(text.includes("data:image/png") && text.includes("circuit of payments opened") && text.includes("&lt;script&gt;alert(1)"), "what was seen is in it");
	assert(/<img[^>]* style="[^"]*width: \d+px/.test(text), "charts have their size");
	await close(page);
	await mock.close();
	const file = await browser.newContext({ viewport: { width: 1280, height: 900 } }), saved = await file.newPage(), errors = [];
	saved.on("console", m => m.type() === "error" && errors.push(m.text()));
	await saved.setContent(text);
	await saved.screenshot({ path: new URL("../../build/ui/saved.png", import.meta.url).pathname });
	assert(errors.length === 0, "errors on the console of the file:", errors);
	await file.close();
}

export async function a_changed_option_as_yaml(browser) {
	const mock = await new Mock().listen(), page = await open(browser, mock.url + "#/config");
	await page.getByRole("button", { name: "As stack YAML: outrider.upstream.quotes-service.timeout.try" }).click();
	await page.getByRole("textbox", { name: "Value" }).fill("off");
	assert((await page.textContent("#yaml")) === '    environment:\n      OUTRIDER_UPSTREAM_QUOTES_SERVICE_TIMEOUT_TRY: "off"\n', "YAML would read off as false:", await page.textContent("#yaml"));
	for (const [typed, written] of [["$HOME/a", '"$$HOME/a"'], ["1e3", '"1e3"'], ["1.5E-3", '"1.5E-3"'], [".inf", '".inf"'], [".NaN", '".NaN"'], ["0x1f", '"0x1f"'], ["250ms", "250ms"], ["127.0.0.1:8080", '"127.0.0.1:8080"'], ["quotes-service", "quotes-service"]]) {
		await page.getByRole("textbox", { name: "Value" }).fill(typed);
		assert((await page.textContent("#yaml")).endsWith(`TRY: ${written}\n`), typed, "is written as", await page.textContent("#yaml"));
	}
	await page.keyboard.press("Escape");
	assert(await page.getByRole("button", { name: "As stack YAML: outrider.admin.token" }).isDisabled(), "a secret is not copied");
	await close(page);
	await mock.close();
}

/* No page /log/recent: one clear line, no error. */
export async function a_log_that_is_not_kept(browser) {
	const mock = await new Mock({ log: false }).listen(), page = await open(browser, mock.url + "#/log");
	await page.waitForFunction(() => document.querySelector("main").textContent.includes("keeps no log to look at"));
	await close(page);
	await mock.close();
}

/* The log follows, a filter asks anew, Hold keeps it still. */
export async function log_follows(browser) {
	const mock = await new Mock().listen(), page = await open(browser, mock.url + "#/log");
	const first = () => page.evaluate(() => document.querySelector(".log .line")?.textContent);
	const was = await until("a record", first);
	await until("the next one", async () => await first() !== was);
	await page.getByRole("button", { name: "Hold" }).click();
	const held = await first();
	await until("news while it is held", () => page.evaluate(() => /\d new/.test(document.querySelector("main").textContent)));
	assert(await first() === held, "nothing moves while it is held");
	await close(page);
	await mock.close();
}
