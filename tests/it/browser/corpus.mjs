// The corpus as it is drawn and as it is read aloud: what a text node, an attribute, the title and the accessibility tree hold.

import assert from "node:assert/strict";
import process from "node:process";

import { PAGE_MARIA, logIn, scroll, until } from "./stage.mjs";

// What steers what shows it, is drawn as nothing, or is a space that is none; told by code points, apart from how the page tells it.
const HIDDEN = /[\u0000-\u001f\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{e0000}-\u{e0fff}\u{f0000}-\u{10ffff}]/u;
const LETTER = /(?=[^\u0000-\u007f])[\p{L}\p{M}\p{N}\p{So}]/u;
const MADE = ":is(img, script, a, iframe, svg, style, object, embed, link, base, meta, video, audio)";

const shown = () => JSON.parse(process.env.PAGE_SHOWN);
const label = (char) => `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
// As people read it: what is hidden as its code point, and of marks that pile up the first two.
function spelled(text) {
  let marks = 0;
  return [...text].map((char) => {
    marks = /\p{M}/u.test(char) ? marks + 1 : 0;
    return HIDDEN.test(char) || marks > 2 ? label(char) : char;
  }).join("");
}

// Nothing hidden stands anywhere, no letter of other scripts outside `letters`, and nothing became an element or ran.
async function isPlain(page, letters) {
  const found = await page.evaluate(() => {
    const [texts, walker] = [[], document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)];
    while (walker.nextNode()) {
      const { data, parentElement } = walker.currentNode;
      if (data.trim() !== "" || !/^[ \n]*$/.test(data)) texts.push([data, parentElement.closest("#app") !== null, parentElement.closest(".unicode mark") ? "mark" : parentElement.closest("bdi[dir=ltr]") ? "bdi" : "none"]);
    }
    const attributes = [...document.querySelectorAll("*")].flatMap((one) => [...one.attributes].map(({ name, value }) => [`${one.localName}[${name}]`, value]));
    return { texts, attributes, title: document.title, inner: document.body.innerText, owned: window.owned };
  });
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  await session.detach();
  const heard = nodes.flatMap((node) => [node.name, node.value, node.description].map((one) => one?.value)).filter((text) => typeof text === "string");
  assert(found.texts.length > 10 && heard.length > 10 && found.attributes.length > 10, "there is something to look at");
  const is = (where, text) => assert(!HIDDEN.test(text), `${where}: ${JSON.stringify(text)} ${spelled(text)}`);
  for (const [text] of found.texts) is("a text", text);
  for (const [where, text] of found.attributes) is(where, text);
  for (const text of heard) is("read aloud", text.replaceAll("\n", " "));
  is("the title", found.title);
  is("what is drawn", found.inner.replace(/[\n\t]/g, " "));
  is("the snapshot of what is read aloud", (await page.locator("body").ariaSnapshot()).replaceAll("\n", " "));
  const stray = found.texts.filter(([text, inside, place]) => inside && LETTER.test(text) && !letters.includes(place));
  assert.deepEqual(stray, [], "letters of other scripts where nothing marks them");
  for (const [where, text] of found.attributes) assert(!LETTER.test(text) || letters.includes("bdi"), `${where}: ${text}`);
  assert.equal(found.owned, undefined);
  assert.equal(await page.locator(`#app ${MADE}`).count(), 0);
  assert.equal(await scroll(page), 0);
}

const cardOf = (page, id) => page.locator(`.card[data-id="${id}"]`);

async function section(page, name) {
  await page.getByRole("tab", { name }).click();
  const panel = page.getByRole("tabpanel", { name });
  await panel.locator("table, dl").first().waitFor();
  return panel;
}

export const scenarios = {
  async hosts() {
    const { holds, mixed, read } = shown();
    const page = await logIn(PAGE_MARIA, { viewport: { width: 360, height: 800 } });
    for (const hold of holds) {
      const one = cardOf(page, hold.id);
      await one.waitFor();
      assert.equal(await one.locator("h2 .where").innerText(), `${hold.host}:${hold.port}`);
      const warned = await one.locator(".warnings").allInnerTexts();
      assert.equal(/Mixed scripts\./.test(warned.join()), mixed.includes(hold.host), hold.host);
      assert.equal(/Look-alike\./.test(warned.join()), Boolean(hold.lookalike), hold.host);
      assert.equal(await one.locator(".unicode").count(), hold.unicode ? 1 : 0, hold.host);
      if (hold.unicode) assert.equal(await one.locator(".unicode").innerText(), spelled(hold.unicode));
    }
    for (const [host, reads] of read) {
      const { id } = holds.find((hold) => hold.host === host);
      const marked = (await cardOf(page, id).locator(".unicode mark").allInnerTexts()).join("");
      assert.equal(marked, [...reads].filter((char) => char > "\u007f" && !HIDDEN.test(char)).join(""), host);
    }
    await isPlain(page, ["mark"]);
  },

  // After a yes to all of them, of which those that lead anywhere stay open.
  async answered() {
    const { holds, read } = shown();
    const page = await logIn(PAGE_MARIA, { viewport: { width: 360, height: 800 } });
    for (const [name, some] of [["Approvals", holds], ["Attempts", holds], ["Tunnels", holds.filter((hold) => hold.port !== 9443)]]) {
      const panel = await section(page, name);
      const listed = async () => (await panel.locator(".where").allInnerTexts()).map((text) => text.trim());
      await until(`${name} lists all`, async () => { await section(page, name); const there = await listed(); return some.length > 0 && some.every(({ host, port }) => there.includes(`${host}:${port}`)); });
      const heard = await panel.getByRole("button").evaluateAll((buttons) => buttons.map((one) => one.getAttribute("aria-label")).filter(Boolean));
      if (name !== "Attempts") for (const { host, port } of some) assert(heard.some((text) => text.includes(`${host}:${port}`)), `${name} ${host}`);
      await isPlain(page, []);
    }
    await section(page, "Agents");
    await isPlain(page, []);
    await section(page, "Policy");
    for (const [host] of read) {
      await page.locator("#explain-agent").fill("a");
      await page.getByLabel("Would like to").fill(`${host}:22`);
      await page.getByRole("button", { name: "Explain" }).click();
      await page.locator(".found").getByText(host).first().waitFor();
      const drawn = await page.locator(".found").innerText();
      assert(!HIDDEN.test(drawn.replace(/[\n\t]/g, " ")) && !LETTER.test(drawn), `${host}: ${JSON.stringify(drawn)}`);
    }
    await isPlain(page, []);
  },

  async claims() {
    const { claims } = shown();
    const page = await logIn(PAGE_MARIA, { viewport: { width: 360, height: 800 } });
    for (const { id, part, text } of claims) {
      const one = cardOf(page, id).locator(part);
      await one.first().waitFor();
      const drawn = await one.first().innerText();
      assert(drawn.includes(spelled(text)), `${part} shows ${JSON.stringify(drawn)}, not ${spelled(text)}`);
    }
    await isPlain(page, ["bdi"]);
  },

  async notes() {
    const { notes } = shown();
    const page = await logIn(PAGE_MARIA, { viewport: { width: 360, height: 800 } });
    const told = { Approvals: notes, Agents: notes.slice(0, 1), Attempts: [], Tunnels: [], Policy: [] };
    for (const [name, wanted] of Object.entries(told)) {
      await page.getByRole("tab", { name }).click();
      const panel = page.getByRole("tabpanel", { name });
      await panel.locator("table, dl, .none").first().waitFor();
      const drawn = await panel.innerText();
      for (const note of wanted) assert(drawn.includes(spelled(note)), `${name} shows ${JSON.stringify(drawn)}, not ${spelled(note)}`);
      await isPlain(page, ["bdi"]);
    }
  },
};
