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

let browser = await launch();

/* Whether it passed. */
async function one(name, fn) {
	const began = Date.now(), undo = [];
	let good = true;
	try {
		let limit;
		await Promise.race([fn(browser, undo), new Promise((_r, reject) => limit = setTimeout(() => reject(new Error("not done within 240 s")), 240000))]).finally(() => clearTimeout(limit));
		console.log(`ok   ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
	} catch (error) {
		good = false;
		console.log(`FAIL ${name}\n     ${String(error.stack || error).split("\n").slice(0, 12).join("\n     ")}`);
		for (const [i, context] of browser.contexts().entries())
			for (const page of context.pages())
				await page.screenshot({ path: path.join(OUT, `failed-${name}-${i}.png`) }).catch(() => {});
		await browser.close().catch(() => {}); /* with all that the test left open */
		browser = await launch();
	}
	for (const fn of undo.reverse())
		await fn();
	return good;
}

let failed = [];
for (const test of tests)
	if (!await one(...test))
		failed.push(test);
/* AGAIN=N (as for tests/run/run.py): what failed, N at most, once more, and what passes then is named. */
if (failed.length <= Number(process.env.AGAIN || 0)) {
	const first = failed;
	failed = [];
	for (const test of first)
		if (await one(...test))
			console.log(`unsteady: ${test[0]} failed, and passed when it was run again`);
		else
			failed.push(test);
}
await browser.close();
console.log(`${tests.length - failed.length} passed, ${failed.length} failed`);
process.exit(failed.length ? 1 : 0);
