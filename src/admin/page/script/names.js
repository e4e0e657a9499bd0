// Names and text of others, made safe to look at: what cannot be seen, turns the order round or piles up is shown as its code point.

import { el } from "./dom.js";

// Controls, formats, surrogates, private and unassigned; what is drawn as nothing; every space but the ordinary one.
const ODD = /[\p{C}\p{Default_Ignorable_Code_Point}\u2800\u3164\uFFA0]|(?! )[\p{Z}\s]/u;
const MARK = /\p{M}/u;
const SCRIPTS = ["Latin", "Cyrillic", "Greek", "Armenian", "Hebrew", "Arabic", "Han", "Hiragana", "Katakana", "Hangul", "Thai", "Georgian", "Cherokee", "Devanagari", "Coptic", "Ethiopic", "Lisu", "Tifinagh"]
  .map((name) => [name, new RegExp(`\\p{Script=${name}}`, "u")]);

// The runs of a text: [text, whether it is odd]. Of a pile of combining marks the first two are left as they are.
export function runs(text) {
  const found = [];
  let marks = 0;
  for (const char of text) {
    marks = MARK.test(char) ? marks + 1 : 0;
    const odd = ODD.test(char) || marks > 2;
    const shown = odd ? `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}` : char;
    const last = found.at(-1);
    if (!odd && last && !last[1]) last[0] += shown;
    else found.push([shown, odd]);
  }
  return found;
}

// Text of others as nodes: isolated from the direction of what stands around it, everything odd marked.
export function others(text, longest = 400) {
  const whole = [...String(text)];
  const cut = whole.slice(0, longest).join("");
  const nodes = runs(cut).map(([run, odd]) => (odd ? el("span", { class: "odd", title: "a character that cannot be seen" }, run) : run));
  return el("bdi", { dir: "ltr", class: "others" }, nodes, whole.length > longest ? el("span", { class: "odd" }, `… ${whole.length - longest} more`) : null);
}

// The same as plain text, for titles, labels and announcements.
export function plain(text, longest = 120) {
  const whole = [...String(text)];
  const cut = runs(whole.slice(0, longest).join("")).map(([run, odd]) => (odd ? `<${run}>` : run)).join("");
  return whole.length > longest ? `${cut}…` : cut;
}

// Text that may break behind dots, hyphens and slashes, so that a long name wraps where a reader would.
function breaking(text) {
  return text.split(/(?<=[./-])/).flatMap((part, at) => (at === 0 ? [part] : [el("wbr"), part]));
}

// A host as its A-label, the part that somebody registered emphasised.
export function host(place) {
  const name = plain(place.host, 300);
  const own = place.registrable && (name === place.registrable || name.endsWith(`.${place.registrable}`)) ? place.registrable : null;
  if (own === null) return el("bdi", { dir: "ltr", class: "host" }, el("strong", {}, breaking(name)));
  const before = name.slice(0, name.length - own.length);
  return el("bdi", { dir: "ltr", class: "host" }, breaking(before), before ? el("wbr") : null, el("strong", {}, breaking(own)));
}

export function authority(place) {
  const name = plain(place.host, 300);
  return name.includes(":") ? `[${name}]:${place.port}` : `${name}:${place.port}`;
}

// The Unicode form, every letter beyond ASCII marked.
export function unicode(place) {
  const nodes = runs(place.unicode).flatMap(([run, odd]) =>
    odd ? [el("span", { class: "odd" }, run)] : run.split(/([^\u0020-\u007e]+)/u).map((part, at) => (at % 2 === 1 ? el("mark", {}, part) : part)));
  return el("bdi", { dir: "ltr", class: "unicode" }, nodes);
}

// The scripts of the letters of a name, in words.
export function scripts(text) {
  const found = SCRIPTS.filter(([, letters]) => letters.test(text)).map(([name]) => name);
  return listed(found);
}

export function listed(words, last = "and") {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} ${last} ${words.at(-1)}`;
}
