// The page: who looks, whether exeat is there, and which section shows.

import { Agents } from "./agents.js";
import { Refused, call, follow, get, keep, token } from "./api.js";
import { Approvals } from "./approvals.js";
import { Attempts } from "./attempts.js";
import { by, say } from "./dom.js";
import { plain } from "./names.js";
import { PolicyPanel } from "./policy.js";
import { Questions } from "./questions.js";
import { Tunnels } from "./tunnels.js";
import { sentence } from "./words.js";

const SECTIONS = ["questions", "approvals", "attempts", "tunnels", "agents", "policy"];

let session = null;
let isLive = false;
let open = 0;

// --- Who looks -------------------------------------------------------------------------------------------------

// The code of a log-in link, taken out of the address bar and the history before anything else happens.
function linkCode() {
  const found = /^#login=([\x21-\x7e]{1,200})$/.exec(location.hash);
  if (found) history.replaceState(null, "", location.pathname);
  return found ? found[1] : null;
}

async function begin(code) {
  if (code !== null) {
    end();
    try {
      const begun = await call("POST", "login", { code });
      keep(begun.token);
    } catch (error) {
      logIn(error.status === 0 ? "exeat cannot be reached. The link may still be good: open it again." : sentence(error.message));
      return;
    }
  }
  if (token() === null) {
    logIn(null);
    return;
  }
  try {
    start(await get("me"));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401 || error.status === 403) keep(null);
    logIn(error.status === 401 ? "This token is not known. It may have been taken back, or the session is over." : sentence(error.message));
  }
}

function logIn(trouble) {
  end();
  by("app").hidden = true;
  by("log-in").hidden = false;
  say(by("log-in-trouble"), trouble);
  by("token").value = "";
  by("token").setAttribute("aria-invalid", String(trouble !== null));
  by("token").focus();
}

function end() {
  session?.stream.stop();
  session?.stop();
  session = null;
  isLive = false;
  open = 0;
  for (const id of ["link", "who"]) say(by(id), null);
  for (const id of ["log-out", "keys-open", "lost"]) by(id).hidden = true;
  title();
}

// --- What shows ------------------------------------------------------------------------------------------------

function start(me) {
  by("log-in").hidden = true;
  by("app").hidden = false;
  say(by("who"), `${plain(me.name)} · ${plain(me.role)}${Array.isArray(me.agents) ? ` for ${me.agents.map((name) => plain(name)).join(", ") || "no agent"}` : ""}`);
  by("log-out").hidden = false;
  by("keys-open").hidden = me.role === "viewer";
  const told = { count: (number) => { open = number; title(); }, unknown: () => logIn("The session is over. Log in again."), stale: () => restart(), failed };
  const context = { me, told };
  const panel = (id) => {
    const section = by(id);
    while (section.children.length > 1) section.lastElementChild.remove();
    return section;
  };
  const parts = {
    questions: new Questions(panel("questions"), context), approvals: new Approvals(panel("approvals"), context), attempts: new Attempts(panel("attempts"), context),
    tunnels: new Tunnels(panel("tunnels"), context), agents: new Agents(panel("agents"), context), policy: new PolicyPanel(panel("policy"), context),
  };
  // A row under the keyboard's focus is not drawn anew.
  const isFree = () => !by(shown()).contains(document.activeElement) || document.activeElement.matches("[tabindex='-1']");
  const timer = setInterval(() => { if (isLive && ["tunnels", "agents"].includes(shown()) && isFree()) parts[shown()].refresh(); }, 5000);
  session = { me, parts, stop: () => { clearInterval(timer); parts.questions.stop(); }, stream: stream() };
  live(false);
  select(SECTIONS.includes(location.hash.slice(1)) ? location.hash.slice(1) : "questions", false);
}

const stream = () => follow({ told: happened, lost });

function restart() {
  session.stream.stop();
  session.stream = stream();
}

function failed(error, where) {
  if (!(error instanceof Refused)) throw error;
  if (error.status === 401) logIn("The session is over. Log in again.");
  else say(where, sentence(error.message));
}

function happened(kind, data) {
  const { parts } = session;
  if (kind === "snapshot") {
    parts.questions.snapshot(data.holds);
    live(true);
    parts[shown()].refresh?.();
    return;
  }
  live(true);
  if (kind === "hold-opened" || kind === "hold-changed") parts.questions.opened(data);
  if (kind === "hold-closed") parts.questions.closed(data);
  if (kind === "attempt" && shown() === "attempts") parts.attempts.happened(data);
  const about = { "hold-closed": ["approvals"], "approval-ended": ["approvals", "tunnels"], frozen: ["agents", "tunnels"], policy: ["policy"] }[kind] ?? [];
  if (about.includes(shown())) parts[shown()].refresh();
}

function live(now) {
  isLive = now;
  session.parts.questions.live(now);
  by("link").className = `link ${now ? "live" : "waiting"}`;
  say(by("link"), now ? "live" : "connecting");
  if (now) say(by("lost"), null);
  title();
}

function lost(seconds, refused) {
  if (refused?.status === 401) {
    logIn("The session is over. Log in again.");
    return;
  }
  live(false);
  say(by("link"), "not connected");
  const why = refused ? ` (${refused.message})` : "";
  say(by("lost"), `The connection to exeat is lost${why}. What is shown may be old, so answers are off. Trying again every ${seconds} s.`);
}

function title() {
  const state = session !== null && !isLive ? " (not connected)" : "";
  document.title = `${open > 0 ? `(${open}) ` : ""}exeat${state}`;
}

// --- Tabs ------------------------------------------------------------------------------------------------------

const shown = () => SECTIONS.find((id) => !by(id).hidden) ?? "questions";

function select(id, focus) {
  for (const section of SECTIONS) {
    const tab = by(`tab-${section}`);
    by(section).hidden = section !== id;
    tab.setAttribute("aria-selected", String(section === id));
    tab.tabIndex = section === id ? 0 : -1;
  }
  if (focus) by(`tab-${id}`).focus();
  by(`tab-${id}`).scrollIntoView({ block: "nearest", inline: "nearest" });
  history.replaceState(null, "", id === "questions" ? location.pathname : `#${id}`);
  if (session === null) return;
  session.parts[id].refresh?.();
  if (id === "policy") get("agents").then((agents) => session?.parts.policy.agentsAre(agents.map((agent) => agent.agent)), () => {});
}

for (const id of SECTIONS) by(`tab-${id}`).addEventListener("click", () => select(id, false));
document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
  const at = SECTIONS.indexOf(shown());
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: SECTIONS.length - 1 }[event.key];
  if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  select(SECTIONS[(to + SECTIONS.length) % SECTIONS.length], true);
});

by("log-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keep(by("token").value.trim());
  begin(null);
});
by("log-out").addEventListener("click", () => {
  // A session ends at exeat too: a copy of its token is worth nothing.
  call("POST", "logout", {}).catch(() => {});
  keep(null);
  logIn(null);
});
by("keys-open").addEventListener("click", () => by("keys").showModal());
addEventListener("hashchange", () => {
  const code = linkCode();
  if (code !== null) begin(code);
});

begin(linkCode());
