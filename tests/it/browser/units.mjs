// The parts of the page that need no browser, tried in Node: when keys act, how names are made safe, what is said of an answer.

import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import test from "node:test";

const load = (name) => import(pathToFileURL(`${process.env.PAGE_SCRIPTS}/${name}`));
const { STILL, Stillness, answers, meant } = await load("keys.js");
const { plain, runs, scripts } = await load("names.js");
const { beyond, became, bytes, covers, grant, secure, sentence, span } = await load("words.js");

const press = (key, more = {}) => ({ key, repeat: false, ctrlKey: false, altKey: false, metaKey: false, shiftKey: false, defaultPrevented: false, isComposing: false, ...more });

test("every key means one thing, and nothing with a modifier, held down, in a field or while composing", () => {
  const keys = { j: "next", k: "before", ArrowDown: "next", ArrowUp: "before", y: "once", h: "hour", a: "always", n: "deny", r: "reason", u: "undo", x: "dismiss", Escape: "back" };
  for (const [key, meaning] of Object.entries(keys)) {
    assert.equal(meant(press(key), false), meaning);
    assert.equal(meant(press(key), true), null);
    for (const off of ["repeat", "ctrlKey", "altKey", "metaKey", "shiftKey", "isComposing", "defaultPrevented"]) assert.equal(meant(press(key, { [off]: true }), false), null, `${off} ${key}`);
  }
  assert.equal(meant(press("?", { shiftKey: true }), false), "help");
  for (const key of ["Y", "q", "Enter", " ", "constructor", "__proto__"]) assert.equal(meant(press(key), false), null);
});

test("what a yes covers and whether the way there is TLS are said in words", () => {
  assert.equal(covers({ only: { method: "POST", path: "/a" } }), "this method and path, whatever query and body come with it");
  assert.equal(covers({ request: { method: "POST", path: "/a" } }), null);
  assert.deepEqual(["https", "http", undefined].map((scheme) => secure({ scheme })), ["https://", "", ""]);
});

test("what only moves about does not answer", () => {
  const all = ["next", "before", "once", "hour", "always", "deny", "reason", "undo", "dismiss", "help", "back"];
  assert.deepEqual(all.filter(answers), ["once", "hour", "always", "deny", "reason", "undo"]);
});

test("nothing stands still for half a second after a change, by the clock of the input and not of its handling", () => {
  let now = 10_000;
  const still = new Stillness(() => now);
  assert.equal(still.isStillAt(now), true);
  still.changed();
  for (const [at, handled, expected] of [[0, 0, false], [STILL - 1, STILL - 1, false], [STILL, STILL, true], [-1, 5000, false], [STILL - 1, 5000, false], [9999, 10, false]]) {
    now = 10_000 + handled;
    assert.equal(still.isStillAt(10_000 + at), expected, `${at} handled at ${handled}`);
  }
});

test("what cannot be seen, turns the order round or piles up is shown as its code point", () => {
  const rows = [
    ["plain-name.test", "plain-name.test"],
    ["a\u202eb", "a<U+202E>b"],
    ["a\u2066b\u2069", "a<U+2066>b<U+2069>"],
    ["a\u200bb\u200d\u2060\ufeff", "a<U+200B>b<U+200D><U+2060><U+FEFF>"],
    ["a\u00adb\u034f\u180e", "a<U+00AD>b<U+034F><U+180E>"],
    ["\u0000\u0007\u001b[2J\u007f\u0085\n\r\t", "<U+0000><U+0007><U+001B>[2J<U+007F><U+0085><U+000A><U+000D><U+0009>"],
    ["a\u00a0b\u3000c\u2028", "a<U+00A0>b<U+3000>c<U+2028>"],
    ["\u3164\uffa0\u2800\u115f", "<U+3164><U+FFA0><U+2800><U+115F>"],
    ["e\u0301\u0301\u0301\u0301", "e\u0301\u0301<U+0301><U+0301>"],
    ["\u{e0041}\u{f0000}\ud800", "<U+E0041><U+F0000><U+D800>"],
    ["💩\ufe0f", "💩<U+FE0F>"],
    ["<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"],
  ];
  for (const [text, shown] of rows) assert.equal(plain(text), shown);
  assert.deepEqual(runs("a\u202eb"), [["a", false], ["U+202E", true], ["b", false]]);
  assert.equal(plain("x".repeat(200), 5), "xxxxx…");
  assert.equal(scripts("pаypal.com"), "Latin and Cyrillic");
});

const hold = { agent: "coder", instance: "127.0.0.1", host: "api.example.test", port: 443, waiting: 2 };

test("what a yes lets happen is said for each scope", () => {
  assert.equal(grant(hold, "once"), "Lets the 2 waiting attempts of coder (127.0.0.1) reach api.example.test:443, with anything in the tunnel. Nothing after that.");
  assert.equal(grant({ ...hold, waiting: 1, scheme: "http" }, "once"), "Lets the waiting attempt of coder (127.0.0.1) reach api.example.test:443, with any request. Nothing after that.");
  assert.equal(grant({ ...hold, waiting: 0, only: { method: "POST", path: "/a" } }, "once"), "Lets the next try of coder (127.0.0.1) within 5 minutes reach api.example.test:443, only with POST /a, whatever query and body come with it. Nothing after it.");
  assert.match(grant({ ...hold, waiting: 1, scheme: "https", only: { method: "POST", path: "/x" } }, "once"), /, only with POST \/x inside TLS, whatever query and body come with it\. Nothing after that\.$/);
  assert.equal(grant(hold, "1h"), "Lets coder (127.0.0.1) reach api.example.test:443, with anything in the tunnel, for 1 hour. What is open at the end is cut.");
  assert.equal(grant(hold, "always"), "Lets every instance of coder reach api.example.test:443, with anything in the tunnel. It has no end: it holds until somebody revokes it.");
  assert.match(grant({ ...hold, host: "2001:db8::1" }, "15m", ["10.0.0.0/8", "192.168.0.0/16"]), /reach \[2001:db8::1\]:443, .* 15 minutes\. .* may lead to 10\.0\.0\.0\/8 or 192\.168\.0\.0\/16, and nowhere else\.$/);
});

test("what became of a question is said, and by whom", () => {
  assert.equal(became({ how: "approved", approver: "maria", scope: "once" }, "maria"), "Allowed once by you");
  assert.equal(became({ how: "approved", approver: "otto", scope: "always" }, "maria"), "Allowed always by otto");
  assert.equal(became({ how: "denied", approver: "ot\u202eto" }, "maria"), "Denied by ot<U+202E>to");
  assert.match(became({ how: "expired" }, "maria"), /^Nobody answered/);
});

test("scopes beyond the floor are told apart where the question says so", () => {
  const scopes = ["once", "15m", "1h", "8h", "always"];
  assert.deepEqual(scopes.map((scope) => beyond(hold, scope)), [null, null, null, null, null]);
  assert.deepEqual(scopes.filter((scope) => beyond({ ...hold, max_for: 3600 }, scope)), ["8h", "always"]);
  assert.deepEqual(scopes.filter((scope) => beyond({ ...hold, always: false }, scope)), ["always"]);
});

test("numbers are said roughly and sentences end", () => {
  assert.deepEqual([0, 1023, 1024, 1_500_000, 5 * 2 ** 40].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.4 MiB", "5.0 TiB"]);
  assert.deepEqual([-5, 59_400, 60_000, 3_660_000, 90_000_000].map(span), ["0 s", "59 s", "1 min", "1 h 1 min", "1 day"]);
  assert.deepEqual([sentence("no such thing"), sentence("Done.")], ["No such thing.", "Done."]);
});
