/* The view as one file for a ticket: no script, its styles inside, charts as pictures. */

import { live } from "./live.js";
import { toast } from "./parts.js";

async function styles() {
	const texts = await Promise.all(["ui/uplot.css", "ui/style.css"].map(url => fetch(url).then(reply => reply.ok ? reply.text() : "").catch(() => "")));
	return texts.join("\n");
}

/* Inline styles that the object model set do stand in the clone's attributes; canvases do not. */
function clone() {
	const root = document.documentElement.cloneNode(true), was = document.querySelectorAll("canvas"), now = root.querySelectorAll("canvas");
	now.forEach((canvas, i) => {
		const picture = document.createElement("img");
		picture.alt = "";
		picture.src = was[i].toDataURL("image/png");
		for (const [key, to] of [["width", was[i].clientWidth + "px"], ["height", was[i].clientHeight + "px"], ["display", "block"]])
			picture.style.setProperty(key, to); /* as an attribute the page's policy refuses it */
		canvas.replaceWith(picture);
	});
	for (const gone of root.querySelectorAll("script, link, noscript, .toasts, dialog, .nav, .top .right, .scope, .skip, button, input, select, .conn"))
		gone.remove();
	for (const a of root.querySelectorAll("a"))
		a.removeAttribute("href");
	return root;
}

export async function save(title) {
	const css = await styles(), root = clone(), at = new Date(), head = root.querySelector("head");
	const style = document.createElement("style"), note = document.createElement("p");
	style.textContent = css + "\n#app{grid-template:auto auto 1fr/minmax(0,1fr)!important}.tall,.map{max-height:none}.uplot,.u-wrap,.uplot img{width:100%!important;height:auto!important}.chart{height:auto}.strip{display:none}.card{content-visibility:visible!important}";
	head.append(style);
	const policy = document.createElement("meta");
	policy.httpEquiv = "Content-Security-Policy";
	policy.content = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
	head.prepend(policy);
	note.className = "who";
	note.textContent = `${title}, as of ${at.toISOString()}, by outrider ${live.hello?.version || ""} on ${live.hello?.node || location.host}; ${location.href}`;
	root.querySelector(".top .spacer")?.replaceWith(note);
	const url = URL.createObjectURL(new Blob(["<!DOCTYPE html>\n", root.outerHTML], { type: "text/html" }));
	const a = document.createElement("a");
	a.href = url;
	a.download = `outrider-${title.toLowerCase()}-${at.toISOString().slice(0, 19).replace(/:/g, "")}.html`;
	document.body.append(a);
	a.click();
	a.remove();
	setTimeout(() => URL.revokeObjectURL(url), 60000);
	toast("Saved as " + a.download);
	return a.download;
}
