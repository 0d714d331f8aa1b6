/* Chromium without a screen, and what every test wants of a page: no error on its console, nothing wider than the window, axe content. */

import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../.."), OUT = path.join(ROOT, "build/ui");
const require = createRequire(path.join(OUT, "npm/"));
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
	"--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.*"];

export function assert(condition, ...said) {
	if (!condition)
		throw new Error(said.map(s => typeof s === "string" ? s : JSON.stringify(s)).join(" ") || "assertion failed");
}

function program() {
	for (const name of ["chromium-headless-shell", "chromium"])
		try {
			return execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
		} catch { /* the next */ }
	return null;
}

export async function launch() {
	const executablePath = program(), { chromium } = require("playwright-core");
	return chromium.launch({ executablePath, args: FLAGS });
}

/* A tab with a profile of its own. options: {size: [w, h], theme, allow: texts of console errors that are meant} */
export async function open(browser, url, options = {}) {
	const [width, height] = options.size || [1280, 800];
	const context = await browser.newContext({ viewport: { width, height }, colorScheme: options.theme || "light", deviceScaleFactor: 1, acceptDownloads: true, reducedMotion: options.motion || "reduce" });
	const page = await context.newPage();
	page.setDefaultTimeout(40000);
	page.errors = [];
	page.on("console", m => m.type() === "error" && !(options.allow || []).some(a => m.text().includes(a)) && page.errors.push(m.text() + " " + m.location().url));
	page.on("pageerror", e => page.errors.push(e.stack));
	page.on("dialog", d => {
		page.errors.push("a dialog: " + d.message());
		d.dismiss();
	});
	await page.goto(url);
	return page;
}

export async function close(page) {
	assert(page.errors.length === 0, "errors on the console:", page.errors.slice(0, 5));
	await page.context().close();
}

export async function go(page, hash) {
	await page.evaluate(to => location.hash = to, hash);
	await page.waitForFunction(view => document.querySelector("main")?.dataset.view === view, hash.replace(/^#\//, "").split(/[/?]/)[0]);
}

export async function picture(page, name, full) {
	fs.mkdirSync(OUT, { recursive: true });
	await page.screenshot({ path: path.join(OUT, name + ".png"), fullPage: Boolean(full) });
}

/* Nothing stands out of the window, but where it may be scrolled by itself. */
export async function noOverflow(page, where) {
	const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
	assert(wide <= 0, where, `is ${wide} px wider than the window`);
}

export async function axe(page, where) {
	if (!await page.evaluate(() => typeof window.axe === "object"))
		await page.evaluate(fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
	const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
	const bad = found.violations.filter(v => v.impact === "serious" || v.impact === "critical");
	assert(bad.length === 0, where, "axe finds", bad.map(v => ({ id: v.id, n: v.nodes.length, first: v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + " :: " + (n.any[0]?.message || "")) })));
	return found.passes?.length;
}

/* Polls: nothing here sleeps for a fixed time to hope that it was enough. */
export async function until(what, fn, seconds = 40) {
	const limit = Date.now() + seconds * 1000;
	let last;
	for (;;) {
		last = await fn();
		if (last)
			return last;
		if (Date.now() > limit)
			throw new Error("never came: " + what);
		await new Promise(resolve => setTimeout(resolve, 50));
	}
}
