// Elements made by hand: text becomes text nodes, never markup.

// Makes an element. `attributes` are set as attributes, but `on…` as listeners; null and false leave one out. Children are nodes or text.
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return made;
}

export const by = (id) => document.getElementById(id);

// Replaces what an element shows, unless it shows just that: a screen reader says nothing of what did not change.
export function show(element, ...children) {
  const next = el("div", {}, ...children);
  const same = next.childNodes.length === element.childNodes.length && [...next.childNodes].every((node, at) => node.isEqualNode(element.childNodes[at]));
  if (!same) element.replaceChildren(...next.childNodes);
}

// Shows text in an element that is hidden while there is none.
export function say(element, text) {
  if (element.textContent !== (text ?? "")) element.textContent = text ?? "";
  element.hidden = !text;
}

// Whether keys typed there are text.
export function isField(target) {
  return target instanceof Element && (target.closest("input, textarea, select, [contenteditable]") !== null || target.closest("dialog") !== null);
}

export function button(text, kind, onclick, more = {}) {
  return el("button", { type: "button", class: kind, onclick, ...more }, text);
}

// A listing: a table that narrow windows show as one block a row.
export function table(caption, columns, rows, none) {
  if (rows.length === 0) return el("p", { class: "none" }, none);
  const head = el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)));
  const cells = (row) => row.map((cell, at) => el("td", { "data-column": columns[at] || null }, cell));
  const body = rows.map((row) => (row instanceof Node ? row : el("tr", {}, cells(row))));
  return el("div", { class: "listing" }, el("table", {}, el("caption", { class: "unseen" }, caption), el("thead", {}, head), el("tbody", {}, body)));
}
