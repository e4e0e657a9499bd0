// What sections show of a policy in force and of attempts that real agents make: nothing here is made up on the way to the page.

import assert from "node:assert/strict";
import fs from "node:fs";
import process from "node:process";

import { PAGE_MARIA, PAGE_OTTO, PAGE_PORT, PAGE_PROXY, PAGE_PROXY_B, at, card, curl, expected, isOver, logIn, press, until } from "./stage.mjs";

const { PAGE_HASH, PAGE_ALLOWLIST } = process.env;

// The rows of the section that shows: agent, host, decision, reason, rule.
const listed = (page) => page.getByRole("tabpanel").locator("tbody tr").evaluateAll((rows) => rows.map((row) => {
  const [, agent, where, decision, rule] = [...row.cells];
  return [agent.textContent, where.querySelector(".host")?.textContent ?? where.textContent, decision.querySelector(".ruling").textContent, decision.querySelector("small").textContent, rule.textContent.replace(/^.*\//, "")];
}));

export const scenarios = {
  async attempts() {
    const [page, otto] = await Promise.all([logIn(PAGE_MARIA, { clock: true }), logIn(PAGE_OTTO)]);
    await page.getByRole("tab", { name: "Attempts" }).click();
    await page.getByText("Nothing was tried yet.").waitFor();
    const rows = [];
    const comes = async (row) => {
      rows.unshift(row);
      await until(`it shows ${row}`, async () => JSON.stringify(await listed(page)) === JSON.stringify(rows));
    };
    await curl(at("plain.allowed.test")).ended;
    await comes(["a", "plain.allowed.test", "allowed", "listed, completed", "a.toml:7"]);
    await curl(at("blocked.test")).ended;
    await comes(["a", "blocked.test", "refused", "blocked, refused", "a.toml:15"]);
    await curl(at("evil.test"), "curl", ["-x", PAGE_PROXY_B]).ended;
    await comes(["b", "evil.test", "refused", "unlisted, refused", ""]);
    await curl(at("evil.test"), "curl", ["-x", PAGE_PROXY.replace("//a:", "//a:no")]).ended;
    await comes(["not identified", "evil.test", "refused", "unknown-agent, refused", ""]);
    // Answered by somebody else, while this section shows.
    const asked = curl(at("held.test"));
    await card(otto, "held.test").waitFor();
    await press(card(otto, "held.test").getByRole("button", { name: "Allow once" }), isOver(card(otto, "held.test")));
    assert.equal((await asked.ended).out, "plain /asked");
    await comes(["a", "held.test", "allowed", "approved, completed", ""]);

    const panel = page.getByRole("tabpanel", { name: "Attempts" });
    const shows = async (hosts, words) => {
      assert.deepEqual((await listed(page)).map(([agent, host]) => `${agent} ${host}`), hosts);
      assert.equal(await panel.getByRole("status").textContent(), words);
    };
    await shows(["a held.test", "not identified evil.test", "b evil.test", "a blocked.test", "a plain.allowed.test"], "5 attempts");
    await panel.getByLabel("Agent").selectOption("a");
    await shows(["a held.test", "a blocked.test", "a plain.allowed.test"], "3 attempts");
    await panel.getByLabel("Decision").selectOption({ label: "allowed" });
    await shows(["a held.test", "a plain.allowed.test"], "2 attempts");
    await panel.getByLabel("Host").fill(" Plain.ALL");
    await shows(["a plain.allowed.test"], "1 attempt");
    await panel.getByLabel("Agent").selectOption("b");
    assert.deepEqual(await listed(page), []);
    await panel.getByLabel("Host").fill("");
    await panel.getByLabel("Decision").selectOption({ label: "refused" });
    await shows(["b evil.test"], "1 attempt");
    await panel.getByLabel("Agent").selectOption({ label: "every agent" });
    await shows(["not identified evil.test", "b evil.test", "a blocked.test"], "3 attempts");

    // Filters hold for what comes: of two attempts the one that fits is shown.
    await curl(at("plain.allowed.test", "/second")).ended;
    await curl(at("late.evil.test"), "curl", ["-x", PAGE_PROXY_B]).ended;
    await panel.getByText("late.evil.test").waitFor();
    await shows(["b late.evil.test", "not identified evil.test", "b evil.test", "a blocked.test"], "4 attempts");
    await panel.getByLabel("Decision").selectOption({ label: "every decision" });
    assert.equal((await listed(page)).length, 7);
  },

  async pause() {
    const page = await logIn(PAGE_MARIA, { clock: true });
    await page.getByRole("tab", { name: "Attempts" }).click();
    await curl(at("plain.allowed.test")).ended;
    const panel = page.getByRole("tabpanel", { name: "Attempts" });
    await panel.getByText("listed, completed").waitFor();
    await panel.getByRole("button", { name: "Pause" }).click();
    const status = panel.getByRole("status");
    assert.equal(await status.textContent(), "1 attempt, paused");
    await curl(at("blocked.test")).ended;
    // Both come by one stream, the attempt first.
    curl(at("held.test"));
    await until("the page has the question", async () => (await page.title()) === "(1) exeat");
    const hosts = async () => (await listed(page)).map(([, host]) => host);
    await page.clock.runFor(2000);
    assert.deepEqual(await hosts(), ["plain.allowed.test"]);
    // Nor does a filter, or a look elsewhere, bring in what came meanwhile.
    await panel.getByLabel("Decision").selectOption({ label: "refused" });
    assert.deepEqual(await hosts(), []);
    await panel.getByLabel("Decision").selectOption({ label: "every decision" });
    assert.deepEqual(await hosts(), ["plain.allowed.test"]);
    await page.getByRole("tab", { name: "Policy" }).click();
    const refreshed = page.waitForResponse((response) => response.url().includes("/api/v1/attempts"));
    await page.getByRole("tab", { name: "Attempts" }).click();
    await refreshed;
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    assert.deepEqual(await hosts(), ["plain.allowed.test"]);
    assert.equal(await status.textContent(), "1 attempt, paused");
    await panel.getByRole("button", { name: "Go on" }).click();
    assert.deepEqual((await hosts()).includes("blocked.test"), true);
    assert.doesNotMatch(await status.textContent(), /paused/);
  },

  async policy() {
    const page = await logIn(PAGE_MARIA);
    await page.getByRole("tab", { name: "Policy" }).click();
    const panel = page.getByRole("tabpanel", { name: "Policy" });
    const told = (name) => panel.locator(".policy > div", { has: page.locator("dt", { hasText: name }) }).locator("dd");
    await told("Hash").waitFor();
    assert.equal(await told("Hash").textContent(), PAGE_HASH);
    const files = await told("Files").locator("li").allTextContents();
    assert.deepEqual(files.map((file) => file.replace(/^.*\//, "")).sort(), ["a.toml", "b.toml"]);
    const warnings = await told("Warnings").locator("li").allTextContents();
    for (const words of [/a\.toml:\d+.*GTE.*no registered method, but nearly GET/, /a\.toml:\d+.*this allow rule never speaks/, /b\.toml:\d+.*more private space than one site has/]) {
      assert.equal(warnings.filter((warning) => words.test(warning)).length, 1, `${words} in ${warnings}`);
    }
    assert.equal(await told("Faults").textContent(), "none");

    // What is changed comes without being asked for.
    const kept = fs.readFileSync(PAGE_ALLOWLIST, "utf8");
    fs.writeFileSync(PAGE_ALLOWLIST, kept.replace('"GTE"', '"GET"'));
    process.kill(Number(process.env.PAGE_PID), "SIGHUP");
    await until("another policy is shown", async () => (await told("Hash").textContent()) !== PAGE_HASH);
    await until("one warning less", async () => (await told("Warnings").locator("li").count()) === warnings.length - 1);
    assert.doesNotMatch(await told("Warnings").textContent(), /GTE/);
    fs.writeFileSync(PAGE_ALLOWLIST, `${kept}\n[[allow]]\nhots = "typo.test"\n`);
    process.kill(Number(process.env.PAGE_PID), "SIGHUP");
    await until("the fault is shown", async () => {
      await page.getByRole("tab", { name: "Policy" }).click();
      return (await told("Faults").locator("li").count()) > 0;
    });
    assert.match((await told("Faults").locator("li").allTextContents()).join(" "), /a\.toml:\d+.*hots/);
  },

  async explain() {
    expected.push("404 (Not Found)", "400 (Bad Request)");
    const page = await logIn(PAGE_MARIA);
    await page.getByRole("tab", { name: "Policy" }).click();
    const panel = page.getByRole("tabpanel", { name: "Policy" });
    const names = page.locator("#explain-agents option");
    await until("it offers the agents", async () => (await names.count()) === 2);
    assert.deepEqual(await names.evaluateAll((options) => options.map((option) => option.value)), ["a", "b"]);
    const found = panel.locator(".found");
    const ask = async (agent, attempt) => {
      await panel.getByLabel("Agent").fill(agent);
      await panel.getByLabel("Would like to").fill(attempt);
      const answered = page.waitForResponse((response) => response.url().endsWith("/api/v1/explain"));
      await panel.getByLabel("Would like to").press("Enter");
      await (await answered).finished();
      await until("it is drawn", async () => (await found.textContent()) !== "…");
      return found.innerText();
    };
    const plain = `plain.allowed.test:${PAGE_PORT}`;
    assert.match(await ask("a", `GET http://${plain}/`), /^Allowed \(listed\) by a\.toml:7\b[^]*May lead to .*127\.0\.0\.0\/8/);
    assert.match(await ask("a", `GET http://blocked.test:${PAGE_PORT}/`), /^Refused \(blocked\) by a\.toml:15\b[^]*Told to the agent: blocked in the tests; use plain\.allowed\.test/);
    assert.match(await ask("a", "POST http://held.test/new"), /^Held: a person is asked[^]*What would allow it:[^]*host = "held\.test"/);
    assert.match(await ask("b", plain), /^Refused \(unlisted\)[^]*What would allow it:[^]*plain\.allowed\.test/);
    await found.getByText("Why the other rules do not speak").click();
    assert.match(await found.locator("details li").first().innerText(), /b\.toml:\d+/);
    for (const [agent, attempt, words] of [["nobody", plain, /^No agent has that name\.$/], ["a", "http://[", /\S+ \S+.*\.$/]]) {
      assert.match(await ask(agent, attempt), words);
      assert.equal(await found.locator(".outcome").count(), 0);
    }
    // It asks nobody and is no attempt.
    assert.deepEqual(page.posts.filter((post) => post !== "POST /api/v1/explain"), []);
    await page.getByRole("tab", { name: "Questions" }).click();
    await page.getByText("Nobody asks.").waitFor();
    await page.getByRole("tab", { name: "Attempts" }).click();
    await page.getByText("Nothing was tried yet.").waitFor();
  },
};
