// The other sections, the log-in, and what becomes of a page that is narrow or alone.

import assert from "node:assert/strict";
import process from "node:process";

import { PAGE_URL, PAGE_MARIA, PAGE_VERA, PAGE_LINK, PAGE_PID, at, card, curl, expected, isOver, logIn, open, press, scroll, until } from "./stage.mjs";

export const scenarios = {
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

    await go("Questions");
    curl(at("early.held.test"));
    const early = card(page, "early.held.test");
    await early.waitFor();
    await go("Agents");
    const row = page.getByRole("row").filter({ has: page.getByText("a", { exact: true }) });
    const freeze = row.getByRole("button", { name: "Freeze a" });
    await freeze.click();
    await freeze.getByText("Press again").waitFor();
    await freeze.click();
    await row.getByText("frozen", { exact: true }).waitFor();
    await row.getByText("by maria").waitFor();
    assert.match((await curl(at("plain.allowed.test")).ended).out, /"reason":\s*"frozen"/);
    await go("Questions");
    await press(early.getByRole("button", { name: "Allow once" }), isOver(early));
    await early.getByText("The agent is frozen: the yes takes effect when it is thawed, and its time runs meanwhile.").waitFor();
    await go("Agents");
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
};
