/* Elements from descriptions: h() says what should stand there, render() changes the document to it. Text becomes text nodes, never
 * markup, so that a name from the network can be anything. Styles go through the object model, as the page's policy wants it. */

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "disabled", "open", "selected", "indeterminate"]);

/* h("td", {class: "num"}, "12") ; children: text, numbers, descriptions, lists of these; null, false and "" are left out.
 * key: which sibling it is, over changes. hook(el): after each render. gone(el): before it leaves. opaque: its inside is not ours. */
export function h(tag, props, ...kids) {
	return { tag, props: props || {}, kids: flat(kids, []), key: props?.key };
}

function flat(list, into) {
	for (const kid of list) {
		if (Array.isArray(kid))
			flat(kid, into);
		else if (kid !== null && kid !== undefined && kid !== false && kid !== true && kid !== "")
			into.push(typeof kid === "object" ? kid : String(kid));
	}
	return into;
}

function listener(event) {
	event.currentTarget._on?.[event.type]?.(event);
}

function setOne(el, name, value, was) {
	if (name === "key" || name === "hook" || name === "gone" || name === "opaque")
		return;
	if (name.startsWith("on")) {
		const type = name.slice(2);
		if (!el._on)
			el._on = {};
		if (!(type in el._on))
			el.addEventListener(type, listener);
		el._on[type] = value;
	} else if (name === "style") {
		for (const key of Object.keys(was || {}))
			if (!(key in (value || {})))
				el.style.removeProperty(key);
		for (const [key, to] of Object.entries(value || {}))
			if (!was || was[key] !== to)
				el.style.setProperty(key, to);
	} else if (PROPERTIES.has(name)) {
		if (el[name] !== value && !(name === "value" && el === document.activeElement))
			el[name] = value ?? "";
	} else if (value === null || value === undefined || value === false) {
		el.removeAttribute(name);
	} else {
		el.setAttribute(name, value === true ? "" : value);
	}
}

function setProps(el, props, was) {
	for (const name in was)
		if (!(name in props))
			setOne(el, name, name.startsWith("on") ? undefined : null, was[name]);
	for (const name in props)
		if (!was || props[name] !== was[name] || PROPERTIES.has(name))
			setOne(el, name, props[name], was?.[name]);
}

function make(node, svg) {
	if (typeof node === "string")
		return document.createTextNode(node);
	const inside = svg || node.tag === "svg";
	const el = inside ? document.createElementNS(SVG, node.tag) : document.createElement(node.tag);
	el._node = node;
	if (!node.props.opaque)
		children(el, [], node.kids, inside && node.tag !== "foreignObject");
	setProps(el, node.props, null); /* behind the children: a select's value is one of its options */
	node.props.hook?.(el);
	return el;
}

function leave(el) {
	if (el._node) {
		el._node.props.gone?.(el);
		for (const kid of el.childNodes)
			leave(kid);
	}
}

function change(el, was, node, svg) {
	if (typeof node === "string") {
		if (was !== node)
			el.data = node;
		return;
	}
	if (was === node)
		return;
	el._node = node;
	if (!node.props.opaque)
		children(el, was.kids, node.kids, (svg || node.tag === "svg") && node.tag !== "foreignObject");
	setProps(el, node.props, was.props);
	node.props.hook?.(el);
}

function same(a, b) {
	return typeof a === "string" ? typeof b === "string" : typeof b !== "string" && a.tag === b.tag && a.key === b.key;
}

function children(el, was, now, svg) {
	const old = Array.from(el.childNodes), keyed = new Map(), used = new Array(was.length).fill(false);
	was.forEach((node, i) => {
		if (typeof node !== "string" && node.key !== undefined)
			keyed.set(node.tag + "\0" + node.key, i);
	});
	let free = 0;
	const next = now.map(node => {
		let at = -1;
		if (typeof node !== "string" && node.key !== undefined) {
			at = keyed.get(node.tag + "\0" + node.key) ?? -1;
		} else {
			while (free < was.length && (used[free] || (typeof was[free] !== "string" && was[free].key !== undefined)))
				free++;
			for (let i = free; i < was.length && at < 0; i++)
				if (!used[i] && same(was[i], node))
					at = i;
		}
		if (at < 0 || used[at])
			return [null, node];
		used[at] = true;
		return [at, node];
	});
	was.forEach((_node, i) => {
		if (!used[i]) {
			leave(old[i]);
			old[i].remove();
		}
	});
	let place = el.firstChild;
	for (const [at, node] of next) {
		let child;
		if (at === null) {
			child = make(node, svg);
		} else {
			child = old[at];
			change(child, was[at], node, svg);
		}
		if (child === place)
			place = place.nextSibling;
		else
			el.insertBefore(child, place);
	}
}

/* Makes the inside of `el` what `nodes` says; only this may change it. */
export function render(el, ...nodes) {
	const now = flat(nodes, []);
	children(el, el._kids || [], now, el.namespaceURI === SVG);
	el._kids = now;
}
