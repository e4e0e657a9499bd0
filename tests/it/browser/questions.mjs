// Questions: asked, answered by several people and by keys, changed, bounded by the floor.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";

import { PAGE_LINK, PAGE_MARIA, PAGE_OTTO, at, card, curl, expected, ids, isOver, logIn, open, press, until } from "./stage.mjs";

export const scenarios = {
  // As the README says: the link is opened, the command is run in another terminal, and waits for a click.
  async readme() {
    const page = await open();
    await page.goto(PAGE_LINK);
    await page.locator("#link.live").waitFor();
    const child = spawn("sh", ["-c", process.env.PAGE_COMMAND], { cwd: process.env.PAGE_FOLDER, stdio: ["ignore", "pipe", "inherit"] });
    let out = "";
    child.stdout.on("data", (data) => { out += data; });
    const ended = new Promise((done) => child.on("close", done));
    const one = card(page, "example.com");
    await one.waitFor();
    await press(one.getByRole("button", { name: "Allow once" }), isOver(one));
    assert.equal(await ended, 0);
    assert.equal(out.trim(), process.env.PAGE_SAYS);
  },

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
};
