#!/usr/bin/env node
/* Tests of the admin page in a real browser: `make ui-check`, or tests/ui/run.mjs [-k TEXT] once that has fetched what it needs.
 * A test is an exported function of a file test_*.mjs; it gets the browser. The pictures are in build/ui/. */

import fs from "node:fs";
import path from "node:path";
import { launch, OUT } from "./browser.mjs";

const only = process.argv.includes("-k") ? process.argv[process.argv.indexOf("-k") + 1].split(",") : null, here = path.dirname(new URL(import.meta.url).pathname);
fs.mkdirSync(OUT, { recursive: true });
const tests = [];
for (const file of fs.readdirSync(here).filter(f => /^test_.*\.mjs$/.test(f)).sort())
	for (const [name, fn] of Object.entries(await import(path.join(here, file))))
		if (typeof fn === "function" && (!only || only.some(o => `${file} ${name}`.includes(o))))
			tests.push([`${file.slice(5, -4)}.${name}`, fn]);

let browser = await launch(), passed = 0, failed = 0;
for (const [name, fn] of tests) {
	const began = Date.now(), undo = [];
	try {
		let limit;
		await Promise.race([fn(browser, undo), new Promise((_r, reject) => limit = setTimeout(() => reject(new Error("not done within 240 s")), 240000))]).finally(() => clearTimeout(limit));
		passed++;
		console.log(`ok   ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
	} catch (error) {
		failed++;
		console.log(`FAIL ${name}\n     ${String(error.stack || error).split("\n").slice(0, 12).join("\n     ")}`);
		for (const [i, context] of browser.contexts().entries())
			for (const page of context.pages())
				await page.screenshot({ path: path.join(OUT, `failed-${name}-${i}.png`) }).catch(() => {});
		await browser.close().catch(() => {}); /* with all that the test left open */
		browser = await launch();
	}
	for (const fn of undo.reverse())
		await fn();
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
