// Plays a scenario of the page in Chromium, against a running exeat. Usage: node page.mjs SCENARIO, the rest by environment.

import assert from "node:assert/strict";
import process from "node:process";

import * as access from "./access.mjs";
import * as attacks from "./attacks.mjs";
import * as corpus from "./corpus.mjs";
import * as hostile from "./hostile.mjs";
import * as live from "./live.mjs";
import * as pictures from "./pictures.mjs";
import * as questions from "./questions.mjs";
import * as sections from "./sections.mjs";
import { browser, children, troubles } from "./stage.mjs";

const scenarios = Object.assign({}, ...[access, attacks, corpus, hostile, live, pictures, questions, sections].map((one) => one.scenarios));

// What never ends is a failure.
const stuck = setTimeout(() => process.exit(3), 90_000);

try {
  await scenarios[process.argv[2]]();
  assert.deepEqual(troubles, []);
} catch (error) {
  console.error(troubles.join("\n"));
  for (const context of browser.contexts()) for (const page of context.pages()) console.error(await page.locator("body").innerText().catch(() => "(gone)"));
  throw error;
} finally {
  for (const child of children) child.kill();
  clearTimeout(stuck);
  await browser.close();
}
// Whatever a scenario left open.
process.exit(0);
