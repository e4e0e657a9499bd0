// A page in Chromium, from an origin that exeat looks into: one line of JSON says what the page had of it. Usage: node inspected.mjs, told by environment.
// What Chromium trusts is in the home folder that it is given. A line `asks` is printed before the request that waits for a person.

import { createRequire } from "node:module";
import process from "node:process";

const { PAGE_URL, PAGE_PROXY, PAGE_AGENT, PAGE_TOKEN, PAGE_SWITCHES, PAGE_CHROMIUM, PAGE_PLAYWRIGHT } = process.env;
const { chromium } = createRequire(`${PAGE_PLAYWRIGHT}/`)("playwright-core");

const stuck = setTimeout(() => process.exit(3), 90_000);
const proxy = { server: PAGE_PROXY, username: PAGE_AGENT, password: PAGE_TOKEN };
const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", ...PAGE_SWITCHES.split(" ").filter(Boolean)];
const browser = await chromium.launch({ executablePath: PAGE_CHROMIUM, args, proxy });

async function had(page) {
  const answer = await page.goto(`${PAGE_URL}/page`).catch((error) => error);
  if (answer instanceof Error) return { error: answer.message.match(/net::[A-Z_]+/)?.[0] ?? answer.message };
  const { issuer, subjectName } = await answer.securityDetails();
  const first = { status: answer.status(), text: await answer.text(), issuer, subject: subjectName };
  const protocol = await page.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol);
  const socket = await page.evaluate((url) => new Promise((done) => {
    const socket = new WebSocket(url);
    const said = [];
    socket.onopen = () => socket.send("one");
    socket.onmessage = (event) => {
      said.push(event.data);
      if (said.length === 2) socket.close(1000); else socket.send("two");
    };
    socket.onclose = (event) => done({ said, code: event.code });
  }), `${PAGE_URL.replace("https:", "wss:")}/ws`);
  const asked = (path) => page.evaluate(async (path) => {
    const answer = await fetch(path, { method: "POST", body: "x" });
    return { status: answer.status, type: answer.headers.get("content-type"), body: await answer.json() };
  }, path);
  const blocked = await asked("/echo");
  console.log("asks");
  return { page: first, protocol, socket, blocked, held: await asked("/held") };
}

console.log(JSON.stringify(await had(await browser.newPage())));
clearTimeout(stuck);
await browser.close();
process.exit(0);
