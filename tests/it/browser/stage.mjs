// What every scenario stands on: agents, pages of people, and what counts as trouble.
// A violation of the page's policy, an error on its console and a dialog are failures of every scenario.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import process from "node:process";

export const { PAGE_URL, PAGE_PROXY, PAGE_PROXY_B, PAGE_PORT, PAGE_MARIA, PAGE_OTTO, PAGE_VERA, PAGE_LINK, PAGE_PID, PAGE_DOCS } = process.env;
const { PAGE_CHROMIUM, PAGE_PLAYWRIGHT } = process.env;
const { chromium } = createRequire(`${PAGE_PLAYWRIGHT}/`)("playwright-core");
export const PATIENCE = 20_000;

export const troubles = [];
export const expected = [];
export const children = [];

// A browser of its own, which knows names as it is told.
export const launch = (more) => chromium.launch({ executablePath: PAGE_CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", ...more] });

export const browser = await launch([]);

// --- Agents ----------------------------------------------------------------------------------------------------

// A curl that goes through exeat. `ended` is its exit code and what it printed.
export function curl(url, name = "curl", more = []) {
  const argv = ["-sS", "--max-time", "45", "-x", PAGE_PROXY, ...more, url];
  const child = spawn("/usr/bin/env", ["bash", "-c", 'exec -a "$0" curl "$@"', name, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  let out = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => { out += data; });
  const ended = new Promise((done) => child.on("close", (code) => done({ code, out })));
  return { ended };
}

export const at = (host, path = "/asked") => `http://${host}:${PAGE_PORT}${path}`;

// --- Pages -----------------------------------------------------------------------------------------------------

export async function open(options = {}) {
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
export async function logIn(token, { clock = false, ...options } = {}) {
  const page = await open(options);
  if (clock) await page.clock.install();
  await page.goto(PAGE_URL);
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.locator("#link.live").waitFor();
  return page;
}

export const card = (page, host) => page.locator(".card", { hasText: host });
export const ids = (page) => page.locator(".card").evaluateAll((cards) => cards.map((one) => one.dataset.id));

// Looks again until it holds; nothing sleeps longer than the page needs to draw.
export async function until(what, holds) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    if (await holds()) return;
    assert(Date.now() < deadline, `never: ${what}`);
    await new Promise((go) => setTimeout(go, 20));
  }
}

// Presses a button as a person would: again, where the page says that it changed just now.
export async function press(button, done) {
  await until("the button acts", async () => {
    if (await done()) return true;
    await button.click({ timeout: 2000 }).catch(() => {});
    return done();
  });
}

export const isOver = (one) => async () => (await one.getAttribute("class")).includes("over");

export const scroll = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
