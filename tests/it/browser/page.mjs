// Scenarios of the page in Chromium, played against a running exeat. Usage: node page.mjs SCENARIO, the rest by environment.
// A violation of the page's policy, an error on its console and a dialog are failures of every scenario.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import process from "node:process";

const { PAGE_URL, PAGE_PROXY, PAGE_PORT, PAGE_MARIA, PAGE_OTTO, PAGE_VERA, PAGE_LINK, PAGE_PID, PAGE_DOCS, PAGE_CHROMIUM, PAGE_PLAYWRIGHT } = process.env;
const { chromium } = createRequire(`${PAGE_PLAYWRIGHT}/`)("playwright-core");
const PATIENCE = 20_000;

const troubles = [];
const expected = [];
const children = [];
let browser;

// --- Agents ----------------------------------------------------------------------------------------------------

// A curl that goes through exeat. `ended` is its exit code and what it printed.
function curl(url, name = "curl", more = []) {
  const argv = ["-sS", "--max-time", "45", "-x", PAGE_PROXY, ...more, url];
  const child = spawn("/usr/bin/env", ["bash", "-c", 'exec -a "$0" curl "$@"', name, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  let out = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => { out += data; });
  const ended = new Promise((done) => child.on("close", (code) => done({ code, out })));
  return { ended };
}

const at = (host, path = "/asked") => `http://${host}:${PAGE_PORT}${path}`;

// --- Pages -----------------------------------------------------------------------------------------------------

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, ...options });
  await context.addInitScript(() => addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`)));
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.posts = [];
  page.on("request", (request) => { if (request.method() !== "GET") page.posts.push(`${request.method()} ${new URL(request.url()).pathname}`); });
  page.on("request", (request) => { if (!request.url().startsWith(PAGE_URL) && !request.url().startsWith("data:")) troubles.push(`loads ${request.url()}`); });
  page.on("dialog", (dialog) => { troubles.push(`dialog ${dialog.message()}`); dialog.dismiss(); });
  page.on("pageerror", (error) => troubles.push(`error ${error.stack}`));
  page.on("console", (message) => { if (["error", "warning"].includes(message.type()) && !expected.some((text) => message.text().includes(text))) troubles.push(`console ${message.text()}`); });
  return page;
}

// With `clock` the page's time is the test's to move.
async function logIn(token, { clock = false, ...options } = {}) {
  const page = await open(options);
  if (clock) await page.clock.install();
  await page.goto(PAGE_URL);
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.locator("#link.live").waitFor();
  return page;
}

const card = (page, host) => page.locator(".card", { hasText: host });
const ids = (page) => page.locator(".card").evaluateAll((cards) => cards.map((one) => one.dataset.id));

// Looks again until it holds; nothing sleeps longer than the page needs to draw.
async function until(what, holds) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    if (await holds()) return;
    assert(Date.now() < deadline, `never: ${what}`);
    await new Promise((go) => setTimeout(go, 20));
  }
}

// Presses a button as a person would: again, where the page says that it changed just now.
async function press(button, done) {
  await until("the button acts", async () => {
    if (await done()) return true;
    await button.click({ timeout: 2000 }).catch(() => {});
    return done();
  });
}

const isOver = (one) => async () => (await one.getAttribute("class")).includes("over");

const scroll = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

// --- Scenarios -------------------------------------------------------------------------------------------------

const scenarios = {
  async two() {
    const [maria, otto] = await Promise.all([logIn(PAGE_MARIA), logIn(PAGE_OTTO)]);
    await maria.getByText("Nobody asks.").waitFor();
    const first = curl(at("held.test"));
    for (const page of [maria, otto]) await card(page, "held.test").waitFor();
    assert.equal(await maria.title(), "(1) exeat");
    const second = curl(at("other.held.test"));
    for (const page of [maria, otto]) await card(page, "other.held.test").waitFor();
    const [order, top] = [await ids(otto), await card(otto, "other.held.test").boundingBox()];
    assert.deepEqual(order, await ids(maria));

    const mine = maria.locator(`.card[data-id="${order[0]}"]`);
    assert.match(await mine.locator(".grant").first().textContent(), /^Lets the waiting attempt of a \(.*\) reach held\.test:\d+, with any request\. Nothing after that\.$/);
    await press(mine.getByRole("button", { name: "Allow once" }), isOver(mine));
    assert.match(await mine.locator(".became").textContent(), /^Allowed once by you, 1 attempt released\.$/);
    const got = await first.ended;
    assert.deepEqual(got, { code: 0, out: "plain /asked" });

    const theirs = otto.locator(`.card[data-id="${order[0]}"]`);
    await theirs.locator(".became").waitFor();
    assert.equal(await theirs.locator(".became").textContent(), "Allowed once by maria.");
    assert.equal(await theirs.getByRole("button", { name: "Allow once" }).count(), 0);
    assert.deepEqual(await ids(otto), order);
    assert.deepEqual(await card(otto, "other.held.test").boundingBox(), top, "what is over moves nothing");

    const denied = card(otto, "other.held.test");
    await denied.getByRole("button", { name: "Deny with a reason" }).click();
    await denied.getByLabel("Reason, told to the agent").fill("use the mirror");
    await press(denied.getByRole("button", { name: "Deny with this reason" }), isOver(denied));
    assert.match((await second.ended).out, /use the mirror/);
    await until("maria sees it", async () => (await card(maria, "other.held.test").locator(".became").textContent().catch(() => "")) === "Denied by otto.");
    assert.equal(await maria.title(), "exeat");
    assert.deepEqual(await ids(maria), order, "nothing goes while somebody looks");
    await mine.getByRole("button", { name: "Dismiss" }).click();
    assert.deepEqual(await ids(maria), order.slice(1));
  },

  async keys() {
    const page = await logIn(PAGE_MARIA, { clock: true });
    await page.clock.pauseAt(new Date(Date.now() + 1000));
    const waiting = [];
    for (const host of ["one.held.test", "two.held.test", "three.held.test", "four.held.test"]) {
      waiting.push(curl(at(host)));
      await card(page, host).waitFor();
    }
    const key = (name) => page.keyboard.press(name);
    const pass = (milliseconds) => page.clock.runFor(milliseconds);
    const isSelected = async (host) => (await card(page, host).getAttribute("aria-current")) === "true";
    const quiet = async (names) => {
      const before = page.posts.length;
      for (const name of names) await (typeof name === "string" ? key(name) : name());
      await page.evaluate(() => 0);
      assert.deepEqual(page.posts.slice(before), [], `${names} acted`);
    };

    await pass(2000);
    await quiet(["y", "h", "a", "a", "n", "u"]);
    await key("j");
    assert(await isSelected("one.held.test"));
    await quiet(["y", "h", "n"]);
    await pass(499);
    await quiet(["y", "n"]);
    await pass(1);
    for (const held of ["Control+y", "Alt+y", "Meta+y", "Shift+y"]) await quiet([held]);
    const repeated = () => page.evaluate(() => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "y", repeat: true, bubbles: true })));
    await quiet([repeated]);
    await key("y");
    await waiting[0].ended.then(({ out }) => assert.equal(out, "plain /asked"));
    await card(page, "one.held.test").locator(".became").waitFor();

    assert(await isSelected("two.held.test"), "the next one is selected");
    await quiet(["h"]);
    await pass(500);
    await key("r");
    await page.keyboard.type("ynah");
    await quiet(["y", "n"]);
    await key("Escape");
    await quiet(["h"]);
    await pass(500);
    await key("h");
    await waiting[1].ended.then(({ out }) => assert.equal(out, "plain /asked"));
    await card(page, "two.held.test").locator(".became").waitFor();

    await pass(500);
    await key("n");
    assert.match((await waiting[2].ended).out, /"reason":\s*"refused"/);
    await card(page, "three.held.test").locator(".became").waitFor();

    assert(await isSelected("four.held.test"));
    await pass(500);
    await quiet(["a"]);
    await card(page, "four.held.test").getByText("It has no end").last().waitFor();
    await quiet(["a", "y"]);
    await pass(500);
    await quiet(["y", "h", "n"]);
    await key("a");
    await waiting[3].ended.then(({ out }) => assert.equal(out, "plain /asked"));
    await card(page, "four.held.test").locator(".became").waitFor();
    await quiet(["u"]);
    await pass(500);
    await key("u");
    await card(page, "four.held.test").getByText("Taken back.").waitFor();
    const acted = page.posts.map((post) => post.replace(/(holds|approvals)\/[^/]+/, "$1/ID"));
    const [yes, no] = ["POST /api/v1/holds/ID/approve", "POST /api/v1/holds/ID/deny"];
    assert.deepEqual(acted, [yes, yes, no, yes, "DELETE /api/v1/approvals/ID"]);
    await key("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
  },

  async hostile() {
    const page = await logIn(PAGE_MARIA, { viewport: { width: 360, height: 800 } });
    const label = "x".repeat(63);
    const hosts = ["xn--pypal-4ve.test", "xn--ls8h.test", "xn--4dbrk0ce.test", "_x.held.test", `${label}.${label}.${label}.test`, "a--b.held.test", "xn--fa-hia.test"];
    for (const host of hosts) {
      curl(at(host, "/%3Cimg%20src=x%20onerror=alert(1)%3E"), "<img src=x onerror=alert(1)>\u202e\u200bgnp");
      await page.locator(".card h2", { hasText: host }).waitFor();
    }
    assert.match(await card(page, "xn--pypal-4ve.test").locator(".warnings").textContent(), /Mixed scripts\..*Latin and Cyrillic/s);
    assert.equal(await card(page, "xn--pypal-4ve.test").locator(".unicode mark").textContent(), "а");
    assert.equal(await scroll(page), 0);

    // Whatever a field could hold, by a stream that exeat itself would not send.
    const odd = ["\u202egnp.exe", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\u200b\u200d\u2066\ufeff\u00ad", "a\u0301\u0301\u0301\u0301\u0301\u0301", "💩", "\u0000\u001b[2J\r\n", "javascript:alert(1)", "{{7*7}}", "&lt;b&gt;", "w".repeat(3000), "\ud800", "раураl"];
    const now = new Date().toISOString();
    const holds = odd.map((text, at_) => ({
      id: `odd${at_}`, agent: text, instance: text, host: text, unicode: text, registrable: text, mixed_script: true, port: 65535, scheme: "http", request: { method: text, path: text }, only: { method: text, path: text },
      rule: text, note: text, addresses: [text], process: { pid: 1, name: text, executable: text, called: text, user: text, holders: 2 }, preset: text, lookalike: { of: text }, risk: [{ code: text, text }],
      similar: { count: 2, ids: [text, text] }, first_time: true, approvers: 2, yes_by: [text], why: text, waiting: 1, opened_at: now, expires_at: now, facts: text,
    }));
    const body = `event: snapshot\ndata: ${JSON.stringify({ holds })}\n\n${odd.map((text, at_) => `event: hold-closed\ndata: ${JSON.stringify({ ...holds[at_], how: "approved", approver: text, scope: text, until: text })}\n\n`).slice(0, 4).join("")}`;
    const context = page.context();
    await context.route("**/api/v1/events", (route) => route.fulfill({ status: 200, contentType: "text/event-stream", body }));
    await page.reload();
    for (const [at_] of odd.entries()) await page.locator(`.card[data-id="odd${at_}"]`).waitFor();
    assert.equal(await page.locator(".card img, .card script, .card a, .card iframe, .card svg").count(), 0);
    const shown = await page.locator('.card[data-id="odd3"] h2').textContent();
    assert.match(shown, /U\+200BU\+200DU\+2066U\+FEFFU\+00AD|<U\+200B>/);
    const text = await page.locator("main").textContent();
    assert.doesNotMatch(text, /[\u202a-\u202e\u2066-\u2069\u200b-\u200f\ufeff\u00ad\u0000-\u0008\u001b]/);
    assert.equal(await scroll(page), 0);
  },

  async listings() {
    const page = await logIn(PAGE_MARIA, { viewport: { width: 360, height: 800 } });
    const odd = ["\u202egnp.exe", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\u200b\u2066\ufeff\u00ad", "\u0000\u001b[2J\r\n", "javascript:alert(1)", "</textarea><svg onload=alert(1)>", "w".repeat(3000), "\ud800"];
    const of = (make) => odd.map((text, at_) => ({ id: `id${at_}`, ...make(text) }));
    const now = new Date().toISOString();
    const place = (text) => ({ host: text, unicode: text, registrable: text, port: 443, agent: text, instance: text });
    const frozen = (text) => [{ by: text, since: now, note: text, everyone: false }, { by: text, everyone: true }];
    const told = (text) => ({ decision: text, reason: text, rule: text, because: text, addresses: [text], in_the_way: text, to_allow: text, others: [{ rule: text, why: text }], others_left_out: 3 });
    const fakes = {
      approvals: of((text) => ({ ...place(text), scope: text, until: text, open: 1, approver: text, at: text, note: text, addresses: [text], only: { method: text, path: text } })),
      attempts: of((text) => ({ ...place(text), at: text, front: text, method: text, path: text, decision: text, reason: text, rule: text, ended: { outcome: text } })),
      tunnels: of((text) => ({ ...place(text), since: now, bytes_up: 1, bytes_down: 2 })),
      agents: of((text) => ({ agent: text, stopped: true, frozen: frozen(text), last_seen: now, allowed: 1, blocked: 1, open: 1, pending: 1 })),
      policy: { hash: odd[0], files: odd, warnings: odd, faults: odd },
    };
    for (const [name, body] of Object.entries(fakes)) {
      await page.context().route((url) => url.pathname === `/api/v1/${name}`, (route) => route.fulfill({ status: 200, contentType: "application/json", body: JSON.stringify(body) }));
    }
    let last = 0;
    await page.context().route("**/api/v1/explain", (route) => route.fulfill({ status: 200, contentType: "application/json", body: JSON.stringify(told(odd[last++])) }));
    const isSafe = async (name) => {
      const panel = page.getByRole("tabpanel", { name });
      assert.equal(await panel.locator("img, script, a, iframe, svg, style, object, embed").count(), 0, name);
      assert.doesNotMatch(await panel.evaluate((one) => one.textContent), /[\u202a-\u202e\u2066-\u2069\u200b-\u200f\ufeff\u00ad\u0000-\u0008\u001b]/, name);
      assert.equal(await scroll(page), 0, name);
    };
    for (const name of ["Approvals", "Attempts", "Tunnels", "Agents", "Policy"]) {
      await page.getByRole("tab", { name }).click();
      await page.getByRole("tabpanel", { name }).locator("table, dl").getByText("javascript:alert(1)").first().waitFor();
      await isSafe(name);
    }
    for (const text of odd) {
      await page.locator("#explain-agent").fill("a");
      await page.getByLabel("Would like to").fill(text.replace(/[\r\n]/g, ""));
      await page.getByRole("button", { name: "Explain" }).click();
      await until(`it explains ${text}`, () => last === odd.indexOf(text) + 1);
      await page.locator(".found .outcome").waitFor();
      await isSafe("Policy");
    }
  },

  async floor() {
    expected.push("403 (Forbidden)");
    const page = await logIn(PAGE_MARIA);
    const asked = curl(at("held.test"));
    const one = card(page, "held.test");
    await one.waitFor();
    const off = await one.getByRole("radio").evaluateAll((radios) => radios.filter((radio) => radio.disabled).map((radio) => radio.value));
    assert.deepEqual(off, ["1h", "8h", "always"]);
    await one.getByText("Not offered: the floor lets no yes last").waitFor();
    // As where the floor came after the question was drawn.
    let beyond = true;
    await page.context().route("**/approve", (route) => {
      const body = { ...route.request().postDataJSON(), ...(beyond ? { seconds: 3600 } : {}) };
      beyond = false;
      return route.continue({ postData: JSON.stringify(body) });
    });
    await one.getByRole("radio", { name: "15 min" }).check();
    await press(one.getByRole("button", { name: "Allow for 15 minutes" }), () => one.getByText("lets no yes last 3600 s").first().isVisible());
    assert.equal(await one.getByRole("radio", { name: "15 min" }).isDisabled(), true);
    assert.equal(await one.getByRole("radio", { name: "Once" }).isChecked(), true);
    await press(one.getByRole("button", { name: "Allow once" }), isOver(one));
    assert.equal((await asked.ended).out, "plain /asked");
  },

  async changed() {
    expected.push("409 (Conflict)");
    const page = await logIn(PAGE_MARIA);
    const asked = curl(at("held.test"));
    const one = card(page, "held.test");
    await one.waitFor();
    let cited = 0;
    await page.context().route("**/approve", (route) => {
      const body = route.request().postDataJSON();
      assert.match(body.facts, /^[0-9a-f]{16}$/);
      return route.continue({ postData: JSON.stringify(cited++ === 0 ? { ...body, facts: "0000000000000000" } : body) });
    });
    await press(one.getByRole("button", { name: "Allow once" }), () => one.getByText("The question changed: look again.").isVisible());
    await page.locator("#link.live").waitFor();
    assert.equal(await isOver(one)(), false);
    // Nor does a page that is loaded again lose who waits.
    await page.reload();
    await one.getByText("1 attempt waiting").waitFor();
    await press(one.getByRole("button", { name: "Allow once" }), isOver(one));
    assert.equal((await asked.ended).out, "plain /asked");
  },

  async networks() {
    const page = await logIn(PAGE_MARIA);
    const asked = curl(at("held.test"));
    const one = card(page, "held.test");
    await one.waitFor();
    await one.getByRole("button", { name: "Networks" }).click();
    await one.getByLabel("Networks the name may lead to").fill("127.0.0.0/8");
    await one.getByRole("button", { name: "Use these" }).click();
    await press(one.getByRole("button", { name: "Allow once…" }), () => one.getByText("Private networks hold machines").isVisible());
    assert.deepEqual(page.posts, []);
    await press(one.getByRole("button", { name: "Yes, to these networks" }), isOver(one));
    assert.match(await one.locator(".became").textContent(), /^Allowed once by you/);
    assert.equal((await asked.ended).out, "plain /asked");
  },

  async together() {
    const [maria, otto] = await Promise.all([logIn(PAGE_MARIA), logIn(PAGE_OTTO)]);
    const asked = curl(at("held.test"));
    for (const page of [maria, otto]) await card(page, "held.test").getByText("A yes needs 2 people.").waitFor();
    const said = "1 of 2 so far, by maria.";
    await press(card(maria, "held.test").getByRole("button", { name: "Allow once" }), () => card(maria, "held.test").getByText(said).isVisible());
    await card(otto, "held.test").getByText(said).waitFor();
    assert.equal(await isOver(card(maria, "held.test"))(), false);
    await press(card(otto, "held.test").getByRole("button", { name: "Allow once" }), isOver(card(otto, "held.test")));
    assert.equal((await asked.ended).out, "plain /asked");
    await until("maria sees it", isOver(card(maria, "held.test")));
  },

  async acts() {
    const page = await logIn(PAGE_MARIA);
    const asked = curl(at("held.test"));
    const one = card(page, "held.test");
    await one.getByRole("radio", { name: "1 hour" }).check();
    await press(one.getByRole("button", { name: "Allow for 1 hour" }), isOver(one));
    assert.equal((await asked.ended).out, "plain /asked");
    const go = (name) => page.getByRole("tab", { name }).click();
    await go("Approvals");
    await page.getByRole("row").filter({ hasText: "held.test" }).getByRole("button", { name: "Revoke" }).click();
    await page.getByText("No yes is in force.").waitFor();

    await go("Agents");
    const row = page.getByRole("row").filter({ has: page.getByText("a", { exact: true }) });
    const freeze = row.getByRole("button", { name: "Freeze a" });
    await freeze.click();
    await freeze.getByText("Press again").waitFor();
    await freeze.click();
    await row.getByText("frozen", { exact: true }).waitFor();
    await row.getByText("by maria").waitFor();
    assert.match((await curl(at("plain.allowed.test")).ended).out, /"reason":\s*"frozen"/);
    const thaw = row.getByRole("button", { name: "Thaw a" });
    await thaw.click();
    await thaw.getByText("Press again").waitFor();
    await thaw.click();
    await freeze.waitFor();

    await go("Tunnels");
    const slow = curl(at("plain.allowed.test"), "curl", ["--limit-rate", "1k", "-H", "Expect:", "--data-binary", "@/proc/self/exe"]);
    await until("it is listed", async () => { await go("Tunnels"); return page.getByRole("button", { name: "Cut" }).isVisible(); });
    await page.getByRole("button", { name: "Cut" }).click();
    await page.getByText("Nothing is open.").waitFor();
    assert.notEqual((await slow.ended).out, "plain /asked");
  },

  async process() {
    const page = await logIn(PAGE_MARIA);
    // The look at a process is bounded in time, and this machine may be busy.
    let seen = null;
    for (let at_ = 0; at_ < 20 && seen === null; at_++) {
      curl(at(`seen${at_}.held.test`));
      const one = card(page, `seen${at_}.held.test`);
      await one.waitFor();
      const row = one.locator("dl > div", { has: page.locator("dt", { hasText: /^Process$/ }) });
      if ((await row.count()) > 0) seen = await row.locator("dd").textContent();
    }
    assert.match(seen, /curl, pid \d+, user \S+/);
  },

  async viewer() {
    const vera = await logIn(PAGE_VERA);
    const maria = await logIn(PAGE_MARIA);
    curl(at("held.test"));
    await card(maria, "held.test").waitFor();
    await card(vera, "held.test").waitFor();
    for (const name of ["Questions", "Approvals", "Tunnels", "Agents"]) {
      await vera.getByRole("tab", { name }).click();
      assert.equal(await vera.getByRole("tabpanel").getByRole("button").count(), 0, name);
      assert.equal(await vera.getByRole("tabpanel").getByRole("radio").count(), 0, name);
    }
    await vera.getByRole("tab", { name: "Questions" }).click();
    const before = vera.posts.length;
    for (const key of ["j", "y", "h", "a", "a", "n", "r", "u"]) await vera.keyboard.press(key);
    assert.deepEqual(vera.posts.slice(before), []);
    for (const name of ["Attempts", "Policy", "Agents", "Approvals", "Tunnels"]) {
      await maria.getByRole("tab", { name }).click();
      await maria.getByRole("tabpanel", { name }).waitFor();
      await until(`${name} is there`, async () => (await maria.getByRole("tabpanel").locator("table, .none, dl").count()) > 0);
    }
  },

  async login() {
    expected.push("401 (Unauthorized)");
    const page = await open();
    await page.goto(PAGE_LINK);
    await page.locator("#link.live").waitFor();
    assert.equal(page.url(), PAGE_URL);
    assert.match(await page.locator("#who").textContent(), / · admin$/);
    assert.equal(await page.evaluate(() => history.length), 2, "the blank page, and this one");
    await page.reload();
    await page.locator("#link.live").waitFor();
    const copy = await page.evaluate(() => sessionStorage.getItem("exeat-token"));
    const status = () => page.evaluate(async (token) => (await fetch("/api/v1/me", { headers: { authorization: `Bearer ${token}` } })).status, copy);
    assert.equal(await status(), 200);
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await until("the session is over at exeat too", async () => (await status()) === 401);

    const other = await open();
    await other.goto(PAGE_LINK);
    await other.getByRole("alert").filter({ hasText: "That link was used" }).waitFor();
    assert.equal(other.url(), PAGE_URL);
    await other.getByLabel("Token").fill("exeat_none");
    await other.getByRole("button", { name: "Log in" }).click();
    await other.getByRole("alert").filter({ hasText: "This token is not known." }).waitFor();
    assert.equal(await other.evaluate(() => sessionStorage.length), 0);
  },

  async narrow() {
    const page = await logIn(PAGE_MARIA, { viewport: { width: 360, height: 740 } });
    curl(at("held.test"));
    await card(page, "held.test").waitFor();
    for (const name of ["Questions", "Approvals", "Attempts", "Tunnels", "Agents", "Policy"]) {
      await page.getByRole("tab", { name }).click();
      await page.getByRole("tabpanel", { name }).waitFor();
      assert.equal(await scroll(page), 0, name);
    }
    await page.getByRole("tab", { name: "Questions" }).click();
    const one = card(page, "held.test");
    await one.getByRole("radio", { name: "Always" }).check();
    await press(one.getByRole("button", { name: "Allow always" }), () => one.getByText("Is this meant?").isVisible());
    assert.equal(await scroll(page), 0);
    await one.getByRole("button", { name: "Go back" }).click();
    await one.getByRole("button", { name: "Networks" }).click();
    await one.getByLabel("Networks the name may lead to").fill("10.0.0.0/8");
    await one.getByRole("button", { name: "Use these" }).click();
    await one.getByRole("radio", { name: "Once" }).check();
    await press(one.getByRole("button", { name: "Allow once…" }), () => one.getByText("Private networks hold machines").isVisible());
    assert.equal(await scroll(page), 0);
  },

  async lost() {
    expected.push("ERR_");
    const page = await logIn(PAGE_MARIA, { clock: true });
    curl(at("held.test"));
    await card(page, "held.test").waitFor();
    await page.keyboard.press("j");
    process.kill(Number(PAGE_PID), "SIGKILL");
    await page.getByText("The connection to exeat is lost").waitFor();
    assert.equal(await page.title(), "(1) exeat (not connected)");
    const before = page.posts.length;
    await page.clock.runFor(600);
    for (const key of ["y", "n", "h"]) await page.keyboard.press(key);
    assert.equal(await card(page, "held.test").locator(".actions").evaluate((actions) => actions.inert), true);
    assert.deepEqual(page.posts.slice(before), []);
  },

  // Not a test: the pictures of the documentation.
  async pictures() {
    const first = await logIn(PAGE_MARIA);
    const asked = [["https://api.stripe.com/", "api.stripe.com"], ["http://api.github.com/repos/acme/site/pulls", "api.github.com", ["-d", "{}"]], ["https://xn--pypal-4ve.com/", "xn--pypal-4ve.com"]];
    for (const [url, host, more] of asked) {
      curl(url, "curl", more);
      await card(first, host).waitFor();
    }
    const sizes = [["page", { width: 1100, height: 1180 }, "light"], ["page-dark", { width: 1100, height: 1180 }, "dark"], ["page-narrow", { width: 390, height: 1000 }, "light"]];
    for (const [name, viewport, colorScheme] of sizes) {
      const page = await logIn(PAGE_MARIA, { viewport, colorScheme });
      await page.locator(".card").nth(2).waitFor();
      await page.keyboard.press("j");
      await page.screenshot({ path: `${PAGE_DOCS}/${name}.png` });
    }
  },
};

browser = await chromium.launch({ executablePath: PAGE_CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
try {
  await scenarios[process.argv[2]]();
  assert.deepEqual(troubles, []);
} catch (error) {
  console.error(troubles.join("\n"));
  for (const context of browser.contexts()) for (const page of context.pages()) console.error(await page.locator("body").innerText().catch(() => "(gone)"));
  throw error;
} finally {
  for (const child of children) child.kill();
  await browser.close();
}
