// Pages of agents, in the browser where somebody is logged in: a name that is led here, another port of this host, frames, forms, windows.
// Each scenario leaves one question open; the test reads in the journal that nobody answered it.

import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";

import { PAGE_LINK, PAGE_MARIA, PAGE_URL, at, card, curl, launch, logIn, until } from "./stage.mjs";

const PORT = new URL(PAGE_URL).port;
const HTML = { "content-type": "text/html", "cache-control": "no-store" };
const servers = [];

// A web server of an agent: the same page whatever is asked.
function serve(html) {
  const server = http.createServer((_, answer) => answer.writeHead(200, HTML).end(html));
  servers.push(server);
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));
}

// Begins as the agent's server at a name, and then leads to exeat: what DNS rebinding comes to.
function rebinder(html) {
  let isTurned = false;
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    if (isTurned) {
      const there = net.connect(PORT, "127.0.0.1");
      there.on("error", () => socket.destroy());
      socket.pipe(there).pipe(socket);
      return;
    }
    socket.once("data", () => socket.end(`HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${html.length}\r\nConnection: close\r\n\r\n${html}`));
  });
  servers.push(server);
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done({ port: server.address().port, turn: () => { isTurned = true; } })));
}

// What answers came to requests for exeat: `METHOD path status`, without what is fetched by itself.
function answersOf(page) {
  const seen = [];
  page.on("response", (response) => {
    const url = new URL(response.url());
    if (url.port === PORT && url.pathname !== "/favicon.ico") seen.push([response.request().method(), url.pathname, response.status()]);
  });
  return seen;
}

// In the page: one request, and all that a script can see of its answer.
const tried = (page, url, options) => page.evaluate(async ([to, how]) => {
  try {
    const answer = await fetch(to, how);
    return [answer.type, answer.status, await answer.text()];
  } catch (error) {
    return [error.name];
  }
}, [url, options]);

async function question(maria) {
  const asked = curl(at("held.test"));
  await card(maria, "held.test").waitFor();
  const id = await card(maria, "held.test").getAttribute("data-id");
  const [facts] = await maria.evaluate(async () => (await (await fetch("/api/v1/holds", { headers: { authorization: `Bearer ${sessionStorage.getItem("exeat-token")}` } })).json()).map((hold) => hold.facts));
  assert.match(facts, /^[0-9a-f]{16}$/);
  return { asked, id, body: JSON.stringify({ facts }) };
}

// The question is as it was, and the person it is for can still answer it.
async function isUntouched(maria, id) {
  await maria.reload();
  await maria.locator("#link.live").waitFor();
  assert.equal(await maria.locator(`.card[data-id="${id}"]`).getAttribute("class"), "card");
}

const bearer = (token) => ({ authorization: `Bearer ${token}`, "content-type": "application/json" });

export const scenarios = {
  // A page that came from evil.test, whose name then leads to exeat: the browser holds both for one origin.
  async rebinding() {
    const evil = await rebinder("<title>evil</title>");
    const browser = await launch([`--host-resolver-rules=MAP evil.test:${PORT} 127.0.0.1:${evil.port}`]);
    try {
      const maria = await logIn(PAGE_MARIA);
      const { id, body } = await question(maria);
      const page = await browser.newPage();
      const origin = `http://evil.test:${PORT}`;
      await page.goto(`${origin}/`);
      assert.equal(await page.title(), "evil");
      evil.turn();
      const seen = answersOf(page);
      const rows = [
        ["/", {}], ["/page/api.js", {}], ["/api/v1/holds", {}], ["/api/v1/events", {}], ["/api/v1/openapi.json", {}], ["/api/v1/login", { method: "POST", body: '{"code":"exeat-login_0"}' }],
        ["/api/v1/me", { headers: bearer(PAGE_MARIA) }], ["/api/v1/holds", { headers: bearer(PAGE_MARIA) }], [`/api/v1/holds/${id}/approve`, { method: "POST", body, headers: bearer(PAGE_MARIA) }],
        ["/api/v1/freeze", { method: "POST", body: "{}", headers: bearer(PAGE_MARIA) }],
      ];
      for (const [path, options] of rows) {
        const [type, status, text] = await tried(page, path, options);
        assert.deepEqual([type, status], ["basic", 421], `${path}: ${text}`);
        assert.doesNotMatch(text, /held\.test|maria|facts|script/, path);
      }
      assert.deepEqual(seen, rows.map(([path, { method = "GET" }]) => [method, path, 421]));
      // Nor as a page to look at.
      const visit = await page.goto(`${origin}/`);
      assert.equal(visit.status(), 421);
      await isUntouched(maria, id);
    } finally {
      await browser.close();
    }
  },

  // A page on another port: of this address, of a name that exeat answers to, and of no origin at all.
  async neighbour() {
    const html = "<title>neighbour</title><body>";
    const port = await serve(html);
    const browser = await launch(["--host-resolver-rules=MAP exeat.corp.example 127.0.0.1"]);
    try {
      const maria = await logIn(PAGE_MARIA);
      const { id, body } = await question(maria);
      const context = await browser.newContext();
      // Whoever is logged in has the page open beside it.
      const beside = await context.newPage();
      await beside.addInitScript((token) => sessionStorage.setItem("exeat-token", token), PAGE_MARIA);
      await beside.goto(PAGE_URL);
      await beside.locator("#link.live").waitFor();
      for (const [from, to] of [[`http://127.0.0.1:${port}/`, PAGE_URL], [`http://exeat.corp.example:${port}/`, `http://exeat.corp.example:${PORT}/`]]) {
        const page = await context.newPage();
        await page.goto(from);
        assert.equal(await page.title(), "neighbour");
        assert.deepEqual(await page.evaluate(() => [document.cookie, sessionStorage.length, localStorage.length]), ["", 0, 0]);
        await fetches(page, to, { id, body });
        await embeds(page, to);
        await forms(page, to, { id, body });
        await windows(page, to);
      }
      await isUntouched(maria, id);
    } finally {
      await browser.close();
      for (const server of servers) server.close();
    }
  },

  // Who looks at a link without being asked to takes nothing of it; the scenario `login` goes on with the same link.
  async preview() {
    const code = new URL(PAGE_LINK).hash;
    const port = await serve(`<title>bot</title><link rel="prefetch" href="${PAGE_URL}${code}"><link rel="preconnect" href="${PAGE_URL}"><a id="to" href="${PAGE_URL}${code}">see</a>`);
    const browser = await launch([]);
    try {
      const page = await browser.newPage();
      await page.goto(`http://127.0.0.1:${port}/`);
      for (const mode of ["no-cors", "cors"]) await tried(page, `${PAGE_URL}${code}`, { mode });
      const script = { javaScriptEnabled: false };
      const bot = await (await browser.newContext(script)).newPage();
      const looked = await bot.goto(PAGE_LINK);
      assert.equal(looked.status(), 200);
      assert.match(await bot.locator("noscript").first().innerText(), /This page needs its script/);
      for (const url of [PAGE_LINK, PAGE_LINK.replace("#", "%23"), PAGE_LINK.replace("#", "?")]) {
        for (const method of ["GET", "HEAD"]) {
          const answer = await page.context().request.fetch(url, { method, headers: { "user-agent": "Slackbot-LinkExpanding 1.0" } });
          assert([200, 404].includes(answer.status()), url);
          assert.doesNotMatch(await answer.text(), /exeat-session_|exeat-login_/);
        }
      }
    } finally {
      await browser.close();
      for (const server of servers) server.close();
    }
  },
};

// Every way of a script to send a request and to read the answer.
async function fetches(page, to, { id, body }) {
  const api = `${to}api/v1/`;
  // What came back over the wire, also where the browser keeps it from the page.
  const session = await page.context().newCDPSession(page);
  const statuses = [];
  session.on("Network.responseReceivedExtraInfo", ({ statusCode }) => statuses.push(statusCode));
  await session.send("Network.enable");
  const approve = `${api}holds/${id}/approve`;
  const rows = [
    [to, {}], [`${to}page/api.js`, {}], [`${api}holds`, {}], [`${api}events`, {}], [`${api}me`, {}], [`${api}openapi.json`, {}],
    [approve, { method: "POST", body }], [approve, { method: "POST", body, headers: { "content-type": "text/plain" } }], [`${api}freeze`, { method: "POST", body: "{}" }],
    [`${api}login`, { method: "POST", body: '{"code":"exeat-login_0"}' }],
  ];
  // To a name over plain HTTP Chromium does not say where such a GET comes from: it gets what needs no token, and keeps it from the page.
  const isUnsaid = (url, mode, { method }) => mode === "no-cors" && method === undefined && !url.includes("//127.0.0.1");
  const open = (url) => (url.startsWith(api) && !url.endsWith("openapi.json") ? 401 : 200);
  for (const mode of ["cors", "no-cors"]) {
    for (const [url, options] of rows) {
      const [before, got] = [statuses.length, await tried(page, url, { ...options, mode, credentials: "include" })];
      assert.deepEqual(got, ["TypeError"], `${mode} ${url}`);
      await until(`${mode} ${url} was answered`, () => statuses.length > before);
      assert.deepEqual(statuses.slice(before), [isUnsaid(url, mode, options) ? open(url) : 403], `${mode} ${url}`);
    }
  }
  // A stolen token does not help a page: it may not even ask.
  for (const [url, options] of rows) {
    const [before, got] = [statuses.length, await tried(page, url, { ...options, headers: bearer(PAGE_MARIA) })];
    assert.deepEqual(got, ["TypeError"], `with a token ${url}`);
    await until(`with a token ${url} was answered`, () => statuses.length > before);
    assert.deepEqual(statuses.slice(before), [405], `with a token ${url}`);
  }
  const others = await page.evaluate(async ([url, stream, script, said]) => {
    const ended = (make, good, bad) => new Promise((done) => {
      const made = make();
      for (const kind of good) made.addEventListener(kind, () => done("reached"));
      for (const kind of bad) made.addEventListener(kind, () => done("refused"));
    });
    const tag = (name, attributes) => () => document.body.appendChild(Object.assign(document.createElement(name), attributes));
    return [
      await ended(() => new WebSocket(stream.replace("http", "ws")), ["open", "message"], ["error"]),
      await ended(() => new EventSource(stream), ["open", "message"], ["error"]),
      await ended(tag("script", { src: script }), ["load"], ["error"]),
      await ended(tag("img", { src: stream }), ["load"], ["error"]),
      await ended(tag("link", { rel: "stylesheet", href: script.replace(/[^/]*$/, "page.css") }), ["load"], ["error"]),
      await import(script).then(() => "reached", () => "refused"),
      navigator.sendBeacon(url, said) ? "sent" : "not sent",
    ];
  }, [approve, `${api}events`, `${to}page/page.js`, body]);
  assert.deepEqual(others, ["refused", "refused", "refused", "refused", "refused", "refused", "sent"]);
}

// No frame shows the page, so no click on it can be had by a picture over it.
async function embeds(page, to) {
  const kinds = [["iframe", { src: to }], ["iframe", { src: to, sandbox: "allow-scripts allow-forms" }], ["object", { data: to }], ["embed", { src: to }]];
  for (const [name, attributes] of kinds) {
    const answered = page.waitForResponse(to);
    await page.evaluate(([kind, how]) => {
      const made = document.createElement(kind);
      for (const [attribute, value] of Object.entries(how)) made.setAttribute(attribute, value);
      document.body.append(made);
    }, [name, attributes]);
    assert.equal((await answered).headers()["x-frame-options"], "DENY");
  }
  // Chromium shows its own page of an error in place of a frame, and nothing in place of an object.
  const frames = () => page.frames().slice(1).map((frame) => frame.url());
  await until("frames are refused", () => frames().filter((url) => url.startsWith("chrome-error:")).length >= 2);
  // A sandbox sends the origin `null`.
  const answer = await page.evaluate(([url]) => new Promise((done) => {
    addEventListener("message", ({ data }) => done(data), { once: true });
    const made = Object.assign(document.createElement("iframe"), { srcdoc: `<script>fetch(${JSON.stringify(url)}, { method: "POST", body: "{}" }).then((answer) => answer.text(), (error) => error.name).then((said) => parent.postMessage(said, "*"))</script>` });
    made.setAttribute("sandbox", "allow-scripts");
    document.body.append(made);
  }), [`${to}api/v1/freeze`]);
  assert.equal(answer, "TypeError");
  assert.deepEqual(frames().filter((url) => url.startsWith("http")), [], "a frame shows exeat");
}

// A form may be sent anywhere; what comes back is shown, and nothing is done.
async function forms(page, to, { id, body }) {
  const rows = [[`holds/${id}/approve`, "text/plain"], ["freeze", "application/x-www-form-urlencoded"], [`holds/${id}/deny`, "multipart/form-data"]];
  const form = await page.context().newPage();
  for (const [route, kind] of rows) {
    await form.goto(page.url());
    const answered = form.waitForResponse((response) => response.url() === `${to}api/v1/${route}`);
    await form.evaluate(([action, enctype, said]) => {
      const made = Object.assign(document.createElement("form"), { action, enctype, method: "post" });
      // Sent as text it is the JSON that was meant, and a name for what is left of it.
      made.append(Object.assign(document.createElement("input"), { name: said.slice(0, -1) + ', "x": "', value: '"}' }));
      document.body.append(made);
      made.submit();
    }, [`${to}api/v1/${route}`, kind, body]);
    assert.equal((await answered).status(), 403, `${kind} to ${route}`);
    await form.waitForURL((url) => url.pathname.startsWith("/api/"));
  }
  // Nor does a link to what only a POST may do.
  await form.goto(page.url());
  const answered = form.waitForResponse(`${to}api/v1/holds/${id}/approve`);
  await form.evaluate((url) => { location.href = url; }, `${to}api/v1/holds/${id}/approve`);
  assert.equal((await answered).status(), to.includes("//127.0.0.1") ? 403 : 401);
}

// The page opens when somebody follows a link to it, and has nothing to do with who opened it.
async function windows(page, to) {
  const opened = page.context().waitForEvent("page");
  await page.evaluate((url) => {
    globalThis.told = [];
    addEventListener("message", ({ data }) => globalThis.told.push(data));
    globalThis.other = open(url, "exeat");
  }, to);
  const there = await opened;
  await there.getByRole("heading", { name: "Log in" }).waitFor();
  // Browsers part windows of origins that can be trusted, which a name over plain HTTP is not; nor may that one be read or spoken for.
  const isParted = to.includes("//127.0.0.1");
  assert.equal(await there.evaluate(() => opener === null), isParted, "the page knows who opened it");
  const held = await page.evaluate(() => {
    const { other } = globalThis;
    const read = (what) => { try { return what(); } catch (error) { return error.name; } };
    for (const said of [{ type: "approve" }, "approve"]) read(() => other.postMessage(said, "*"));
    return [other.closed, read(() => other.document.title), read(() => other.sessionStorage.length), read(() => other.location.href)];
  });
  assert.deepEqual(held.slice(0, 1), [isParted]);
  assert.deepEqual(held.slice(1).filter((got) => got !== "SecurityError"), [], "who opened it reads it");
  if (isParted) await page.evaluate(() => { try { globalThis.other.location = "about:blank"; } catch { /* As it should. */ } });
  await there.getByRole("heading", { name: "Log in" }).waitFor();
  assert.equal(there.url(), to);
  assert.deepEqual(await page.evaluate(() => globalThis.told), []);
}
