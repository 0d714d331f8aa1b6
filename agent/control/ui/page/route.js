/* What is looked at stands in the address behind `#`, so that it can be shared: #/VIEW/SELECTED?scope=…&q=… */

export function parse(hash) {
	const [path, query] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
	const parts = path.split("/").map(part => {
		try {
			return decodeURIComponent(part);
		} catch {
			return part;
		}
	});
	return { view: parts[0] || "overview", arg: parts.slice(1).join("/") || null, params: Object.fromEntries(new URLSearchParams(query || "")) };
}

export function href(view, arg, params) {
	const query = new URLSearchParams();
	for (const [key, value] of Object.entries(params || {}))
		if (value !== null && value !== undefined && value !== "" && value !== false)
			query.set(key, value);
	const text = query.toString();
	return "#/" + view + (arg ? "/" + encodeURIComponent(arg) : "") + (text ? "?" + text : "");
}

/* The address of a view in the scope that is shown now. */
export function link(view, arg, params) {
	return href(view, arg, { scope: current().params.scope, ...params });
}

export function current() {
	return parse(location.hash);
}

/* The same view with other parameters; null takes one away. Typing is no step of the browser's history. */
export function setParams(change, step) {
	const now = current(), to = href(now.view, now.arg, { ...now.params, ...change });
	if (to === location.hash)
		return;
	history[step ? "pushState" : "replaceState"](null, "", to);
	dispatchEvent(new Event("hashchange"));
}

export function go(to) {
	if (to !== location.hash)
		location.hash = to;
}
