// Who uses no mouse, or does not see the page, or sees it badly: order and ring of the focus, names and roles, contrast.

import assert from "node:assert/strict";

import { PAGE_MARIA, PAGE_URL, at, card, curl, isOver, logIn, open, press, until } from "./stage.mjs";

const SECTIONS = ["Questions", "Approvals", "Attempts", "Tunnels", "Agents", "Policy"];

// A page with something in every section: two questions, a yes, attempts, an open connection, a policy.
async function furnished(options) {
  const page = await logIn(PAGE_MARIA, options);
  const asked = curl(at("given.held.test"));
  const given = card(page, "given.held.test");
  await given.waitFor();
  await given.getByRole("radio", { name: "1 hour" }).check();
  await press(given.getByRole("button", { name: "Allow for 1 hour" }), isOver(given));
  await asked.ended;
  await given.getByRole("button", { name: "Dismiss" }).click();
  await curl(at("blocked.test")).ended;
  curl(at("plain.allowed.test"), "curl", ["--limit-rate", "1k", "-H", "Expect:", "--data-binary", "@/proc/self/exe"]);
  for (const host of ["one.held.test", "xn--pypal-4ve.test"]) {
    curl(at(host));
    await card(page, host).waitFor();
  }
  return page;
}

// Shows a section with what it lists.
async function show(page, name) {
  const panel = page.getByRole("tabpanel", { name });
  await until(`${name} lists something`, async () => {
    await page.getByRole("tab", { name }).click();
    return (await panel.locator("tbody tr, .card, .policy dd li").count()) > 0;
  });
  if (name !== "Policy") return;
  await panel.getByLabel("Agent").fill("a");
  await panel.getByLabel("Would like to").fill("blocked.test:443");
  await panel.getByRole("button", { name: "Explain" }).click();
  await panel.locator(".found summary").waitFor();
}

// Presses Tab until the focus leaves the page, and tells of each stop: what it is, where, and the ring around it.
async function walk(page, key = "Tab") {
  const stops = [];
  for (let steps = 0; steps < 80; steps++) {
    await page.keyboard.press(key);
    const stop = await page.evaluate(() => {
      const element = document.activeElement;
      if (element === document.body) return null;
      const known = (globalThis.known ??= []);
      if (!known.includes(element)) known.push(element);
      // A radio button is drawn by the word beside it.
      const ring = getComputedStyle(element.type === "radio" ? element.nextElementSibling : element);
      const { left, right, top, bottom } = element.getBoundingClientRect();
      const what = `${element.localName} ${element.id || element.getAttribute("aria-label") || element.textContent.trim().slice(0, 40)}`;
      return {
        id: known.indexOf(element), what, left, right, top: top + scrollY, bottom: bottom + scrollY, outline: [ring.outlineStyle, parseFloat(ring.outlineWidth), ring.outlineColor],
        isSeen: top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth && element.matches(":focus-visible"),
      };
    });
    // Out of the page, or around it by way of the browser.
    if (stop === null || stop.id === stops[0]?.id) return stops;
    stops.push(stop);
  }
  throw new Error(`the focus does not get out: ${stops.map(({ what }) => what).join(" | ")}`);
}

// How many stops there should be: every control that is drawn and can be used, one of each group of radio buttons and of the tabs.
const stopsDue = (page) => page.evaluate(() => {
  const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")].filter((one) => one.checkVisibility({ checkVisibilityCSS: true }) && !one.disabled && !one.closest("[inert]") && one.tabIndex >= 0);
  return all.filter((one) => one.type !== "radio" || one.checked).length;
});

const restart = (page) => page.evaluate(() => {
  document.activeElement.blur();
  getSelection().removeAllRanges();
  scrollTo(0, 0);
  // The walk begins where the last press was, unless that is nowhere.
  document.body.tabIndex = -1;
  document.body.focus();
  document.body.removeAttribute("tabindex");
});

function inOrder(stops, where) {
  for (const [at_, next] of stops.entries()) {
    assert.equal(next.isSeen, true, `${where}: ${next.what} has the focus and is not in sight`);
    assert.deepEqual([next.outline[0], next.outline[1] >= 2], ["solid", true], `${where}: no ring around ${next.what}: ${next.outline}`);
    const before = stops[at_ - 1];
    // The link that skips everything is drawn over the rest, so it has no place among it.
    if (!before || before.what.includes("Skip")) continue;
    const isBelow = next.top >= before.bottom - 1;
    const isRight = next.left >= before.right - 1 && next.bottom > before.top;
    assert(isBelow || isRight, `${where}: from ${JSON.stringify(before)} to ${JSON.stringify(next)}`);
  }
}

export const scenarios = {
  async tabs() {
    const login = await open();
    await login.goto(PAGE_URL);
    await login.getByLabel("Token").waitFor();
    await restart(login);
    const first = await walk(login);
    inOrder(first, "log-in");
    assert.deepEqual(first.map(({ what }) => what), ["a Skip to the content", "input token", "button Log in"]);

    for (const viewport of [{ width: 1100, height: 900 }, { width: 360, height: 740 }]) {
      const page = await (viewport.width === 1100 ? furnished({ viewport }) : logIn(PAGE_MARIA, { viewport }));
      for (const name of SECTIONS) {
        await show(page, name);
        await restart(page);
        const where = `${name} at ${viewport.width}`;
        const due = await stopsDue(page);
        const there = await walk(page);
        inOrder(there, where);
        assert.equal(there.length, due, `${where}: ${there.map(({ what }) => what).join(" | ")}`);
        const back = await walk(page, "Shift+Tab");
        assert.deepEqual(back.map(({ id }) => id), there.map(({ id }) => id).reverse(), `${where}, backwards`);
      }
      await page.getByRole("tab", { name: "Questions" }).click();
      await restart(page);
      const stops = (await walk(page)).map(({ what }) => what);
      const one = ["input", "button Allow once", "button Deny", "button Deny with a reason", "button Networks"];
      assert.deepEqual(stops.slice(-10).map((what) => what.replace(/^input .*/, "input").trim()), [...one, ...one], "each question by itself");
    }

    // The dialog keeps the focus while it is open and gives it back.
    const page = await logIn(PAGE_MARIA);
    await page.getByRole("button", { name: "Keys" }).focus();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog", { name: "Keys" });
    await dialog.waitFor();
    for (let steps = 0; steps < 3; steps++) {
      await page.keyboard.press("Tab");
      assert.equal(await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest("dialog") !== null), true, "behind the dialog");
    }
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    assert.equal(await page.evaluate(() => document.activeElement.id), "keys-open");
    // And the arrows move among the tabs, which are one stop.
    await page.getByRole("tab", { name: "Questions" }).focus();
    for (const [key, id] of [["ArrowRight", "tab-approvals"], ["End", "tab-policy"], ["ArrowRight", "tab-questions"], ["ArrowLeft", "tab-policy"], ["Home", "tab-questions"]]) {
      await page.keyboard.press(key);
      assert.equal(await page.evaluate(() => document.activeElement.id), id);
      assert.equal(await page.getByRole("tab", { selected: true }).getAttribute("id"), id);
    }
  },

  // The tree that a screen reader is given, as Chromium makes it.
  async names() {
    const page = await furnished();
    const session = await page.context().newCDPSession(page);
    const tree = async () => {
      const { nodes } = await session.send("Accessibility.getFullAXTree");
      return nodes.filter((node) => !node.ignored).map((node) => [node.role.value, node.name?.value ?? ""]);
    };
    const named = ["button", "textbox", "searchbox", "combobox", "radio", "radiogroup", "link", "tab", "tablist", "tabpanel", "dialog", "article", "feed", "search", "table", "heading", "list with a title"];
    for (const name of SECTIONS) {
      await show(page, name);
      const nodes = await tree();
      for (const [role, text] of nodes) assert(!named.includes(role) || text.trim() !== "", `${name}: a ${role} without a name`);
      const of = (role) => nodes.filter(([its]) => its === role).map(([, text]) => text);
      assert.deepEqual(of("tabpanel").map((text) => text.replace(/\s*\d+$/, "")), [name]);
      assert.deepEqual(of("tablist"), ["Sections"]);
      assert.deepEqual(of("tab").map((text) => text.replace(/\s*\d+$/, "")), SECTIONS);
      assert.deepEqual(nodes.filter(([role]) => ["main", "banner", "contentinfo"].includes(role)).map(([role]) => role).sort(), ["banner", "contentinfo", "main"]);
      if (name === "Questions") {
        assert.deepEqual(of("article").map((text) => text.replace(/\s+/g, "").replace(/:.*$/, "")), ["awantstoreachone.held.test", "awantstoreachxn--pypal-4ve.test"]);
        assert.deepEqual(of("radio").slice(0, 5), ["Once", "15 min", "1 hour", "8 hours", "Always"]);
        assert.deepEqual([...new Set(of("radiogroup"))], ["How long a yes lasts"]);
        continue;
      }
      // Outside of cards nothing around a button tells which it is.
      const buttons = of("button");
      assert.deepEqual(buttons.length, new Set(buttons).size, `${name}: ${buttons}`);
      const due = { Approvals: [/^Revoke given\.held\.test:\d+ for a$/], Attempts: [/^Pause$/], Tunnels: [/^Cut plain\.allowed\.test:\d+ of a$/], Agents: [/^Freeze every agent$/, /^Thaw every agent$/, /^Freeze a$/, /^Freeze b$/], Policy: [/^Explain$/] };
      const own = buttons.filter((text) => !["Keys", "Log out"].includes(text));
      assert.equal(own.length, due[name].length, `${name}: ${own}`);
      for (const [at_, pattern] of due[name].entries()) assert.match(own[at_], pattern);
    }
    // What asks once more says so to who hears it.
    await show(page, "Agents");
    await page.getByRole("button", { name: "Freeze b" }).click();
    assert((await tree()).some(([role, text]) => role === "button" && text === "Freeze b? Press again"));
    // What a field is for is said with it, and that it was wrong.
    assert.equal(await page.evaluate(() => document.documentElement.lang), "en");
    const login = await open();
    await login.goto(PAGE_URL);
    const token = login.getByRole("textbox", { name: "Token" });
    await token.waitFor();
    assert.match(await login.evaluate(() => document.getElementById("token").getAttribute("aria-describedby")), /log-in-help log-in-trouble/);
  },

  // As drawn: every text on what is behind it, by the formula of WCAG 2.2, and rings and borders of controls.
  async contrast() {
    for (const colorScheme of ["light", "dark"]) {
      const page = await (colorScheme === "light" ? furnished({ colorScheme, reducedMotion: "reduce" }) : logIn(PAGE_MARIA, { colorScheme, reducedMotion: "reduce" }));
      await page.keyboard.press("j");
      let texts = 0;
      const look = async (where) => {
        const { pale, seen, paper } = await page.evaluate(contrasts);
        assert.deepEqual(pale, [], `${colorScheme}, ${where}`);
        assert.equal(paper < 0.5, colorScheme === "dark", "the page is drawn in the scheme");
        texts += seen;
      };
      for (const name of SECTIONS) {
        await show(page, name);
        await look(name);
      }
      await show(page, "Questions");
      const one = card(page, "one.held.test");
      await one.getByRole("button", { name: "Networks" }).click();
      await one.getByLabel("Networks the name may lead to").fill("x");
      await one.getByRole("button", { name: "Use these" }).click();
      await one.getByText("is no network").waitFor();
      await look("a step of a question");
      await page.getByRole("button", { name: "Keys" }).click();
      await look("the keys");
      assert(texts > 150, `${texts} texts`);
    }
  },
};

// Runs in the page.
function contrasts() {
  const parse = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\d.]+/g).map(Number);
    return { channels: [red, green, blue], alpha };
  };
  const over = (top, below) => top.channels.map((channel, at) => channel * top.alpha + below[at] * (1 - top.alpha));
  const luminance = (channels) => {
    const [red, green, blue] = channels.map((channel) => channel / 255).map((share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (element) => {
    if (element === null) return [255, 255, 255];
    const own = parse(getComputedStyle(element).backgroundColor);
    return own.alpha === 1 ? own.channels : over(own, ground(element.parentElement));
  };
  const isOff = (element) => element.closest(":disabled, [inert], label:has(:disabled), .unseen") !== null;
  const pale = [];
  let seen = 0;
  const judge = (what, colour, behind, least) => {
    seen += 1;
    const found = ratio(over(parse(colour), behind), behind);
    if (found < least) pale.push(`${what}: ${found.toFixed(2)}`);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const within = document.querySelector("dialog[open]") ?? document.body;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (texts.currentNode.textContent.trim() === "" || !within.contains(element) || !element.checkVisibility({ checkVisibilityCSS: true }) || isOff(element)) continue;
    const style = getComputedStyle(element);
    const isLarge = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    judge(texts.currentNode.textContent.trim().slice(0, 40), style.color, ground(element), isLarge ? 3 : 4.5);
  }
  for (const field of within.querySelectorAll("input:not([type=radio]), select")) {
    if (!field.checkVisibility() || isOff(field)) continue;
    const style = getComputedStyle(field);
    judge(`edge of ${field.id}`, style.borderTopColor, ground(field.parentElement), 3);
    judge(`text of ${field.id}`, style.color, ground(field), 4.5);
    if (field.placeholder) judge(`hint of ${field.id}`, getComputedStyle(field, "::placeholder").color, ground(field), 4.5);
  }
  const accent = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(accent.slice(at, at + 2), 16));
  for (const control of within.querySelectorAll("button, input, select, a, summary")) {
    if (control.checkVisibility() && !isOff(control) && control.parentElement) judge(`ring around ${control.id || control.textContent}`, `rgb(${red}, ${green}, ${blue})`, ground(control.parentElement), 3);
  }
  return { pale, seen, paper: luminance(ground(document.documentElement)) };
}
