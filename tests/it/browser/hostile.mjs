// Text that somebody hostile chose, in every place that shows text.

import assert from "node:assert/strict";

import { PAGE_MARIA, at, card, curl, logIn, scroll, until } from "./stage.mjs";

export const scenarios = {
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
};
