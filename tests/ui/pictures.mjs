#!/usr/bin/env node
/* The pictures of docs/ui.md, of the running demo: `node tests/ui/pictures.mjs URL`, with the address that the demo prints behind `watch`, once it has
 * played all of its acts. Needs what tests/ui/run fetched. Each waits until there is what its caption says. */

import path from "node:path";
import { ROOT, go, launch, open, until } from "./browser.mjs";

const url = process.argv[2].replace(/#.*/, ""), only = process.argv[3]?.split(","), scope = "?scope=swarm";
const says = (page, ...texts) => page.waitForFunction(all => all.every(t => document.querySelector("main").textContent.includes(t)), texts, { timeout: 120000 });

/* name: [height, address, when it is there, what to do first] */
const PICTURES = {
	overview: [880, "#/overview" + scope, page => says(page, "What changed", "node-quotes-2").then(() => page.waitForSelector(".u-wrap canvas"))],
	map: [500, "#/map" + scope, page => says(page, "Map").then(() => page.waitForSelector('[data-node="reports-service"]'))],
	upstreams: [520, "#/upstreams/quotes-service" + scope, page => says(page, "ejected")],
	circuits: [520, "#/circuits" + scope, async page => {
		await page.waitForSelector(".circuit.open", { timeout: 120000 });
		await until("a window that moved", () => page.evaluate(() => document.querySelector(".circuit:not(.open) .moving path")?.getAttribute("d").split("M").length > 14), 60);
	}],
	config: [760, "#/config" + scope + "&of=node-accounts-1", page => says(page, "application.yml", "outrider.timeout.head")],
	why: [640, "#/failures?show=retried&scope=swarm", async page => {
		await page.locator("main tbody a[data-row]").first().click();
		await says(page, "2 attempts");
	}],
	traces: [520, "#/traces" + scope, async page => {
		await page.locator("main tbody tr", { hasText: "/accounts" }).first().locator("a[data-row]").click();
		await page.waitForSelector(".span", { timeout: 60000 });
	}],
};

const browser = await launch();
for (const [name, [height, address, ready]] of Object.entries(PICTURES)) {
	if (only && !only.includes(name))
		continue;
	const page = await open(browser, url + "#/overview" + scope, { size: [1280, height] });
	await page.waitForSelector('[data-connection="live"]');
	await go(page, address);
	await ready(page);
	await page.screenshot({ path: path.join(ROOT, `docs/ui/${name}.png`) });
	console.log(name);
	await page.context().close();
}
await browser.close();
