// The API as the page uses it: every call with the token as a header, and the stream of events with back-off.

const KEY = "exeat-token";
const BASE = "/api/v1/";

// The stream sends something at least this often, or the connection is taken for dead.
const SILENCE = 20_000;
const BACK_OFF = [1000, 2000, 4000, 8000, 15_000];

let held = null;

export function token() {
  try {
    return held ?? sessionStorage.getItem(KEY);
  } catch {
    return held;
  }
}

export function keep(value) {
  held = value;
  try {
    if (value === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, value);
  } catch {
    // Without storage the token lives as long as this page.
  }
}

// What exeat refused, in its own words.
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

function headers(body) {
  const with_body = body === undefined ? {} : { "content-type": "application/json" };
  return token() === null ? with_body : { authorization: `Bearer ${token()}`, ...with_body };
}

export async function call(method, path, body) {
  let response;
  try {
    response = await fetch(BASE + path, { method, headers: headers(body), body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store", credentials: "omit", redirect: "error" });
  } catch {
    throw new Refused(0, "exeat cannot be reached");
  }
  const text = await response.text().catch(() => "");
  let said = null;
  try {
    said = text === "" ? null : JSON.parse(text);
  } catch {
    said = null;
  }
  if (!response.ok) throw new Refused(response.status, said?.detail ?? said?.title ?? `exeat answered ${response.status}`);
  return said;
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);
export const remove = (path) => call("DELETE", path);
// Half a character would make it throw.
export const part = (text) => encodeURIComponent(String(text).replace(/[\ud800-\udfff]/gu, "\ufffd"));

// Follows the events until `stop` is called. `told(kind, data)` gets each, `lost(seconds, refused)` every end of the connection.
export function follow({ told, lost }) {
  let stopped = false;
  let abort = new AbortController();
  let tries = 0;
  const once = async () => {
    abort = new AbortController();
    const opened = await fetch(`${BASE}events`, { headers: headers(), cache: "no-store", credentials: "omit", redirect: "error", signal: abort.signal });
    if (!opened.ok) throw new Refused(opened.status, `exeat answered ${opened.status}`);
    await read(opened.body, abort, (kind, data) => {
      tries = 0;
      if (!stopped) told(kind, data);
    });
  };
  const run = async () => {
    while (!stopped) {
      let refused = null;
      try {
        await once();
      } catch (error) {
        refused = error instanceof Refused ? error : null;
      }
      if (stopped) return;
      const wait = BACK_OFF[Math.min(tries++, BACK_OFF.length - 1)];
      lost(wait / 1000, refused);
      await new Promise((go) => setTimeout(go, wait));
    }
  };
  run();
  return { stop: () => { stopped = true; abort.abort(); } };
}

// Reads server-sent events as the HTML standard frames them.
async function read(body, abort, event) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const silent = setTimeout(() => abort.abort(), SILENCE);
    const { done, value } = await reader.read().finally(() => clearTimeout(silent));
    if (done) return;
    const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) dispatch(block, event);
  }
}

function dispatch(block, event) {
  let kind = "message";
  const data = [];
  for (const line of block.split("\n")) {
    const at = line.indexOf(":");
    if (at < 1) continue;
    const value = line.slice(at + 1).replace(/^ /, "");
    if (line.slice(0, at) === "event") kind = value;
    if (line.slice(0, at) === "data") data.push(value);
  }
  if (data.length === 0) return;
  try {
    event(kind, JSON.parse(data.join("\n")));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
}
