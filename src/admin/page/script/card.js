// One question as a card. It is made once and changed in place, so that nothing is redrawn under a cursor.

import { button, el, say, show } from "./dom.js";
import { Stillness } from "./keys.js";
import { host, listed, others, plain, scripts, unicode } from "./names.js";
import { SCOPES, ago, became, beyond, count, covers, grant, secure, sentence } from "./words.js";

const NETWORK = /^[0-9a-fA-F:.]+(\/\d{1,3})?$/;

// `acts` is what a card may ask for: `yes(card, scope, networks)`, `no(card, reason)`, `undo(card)`, `dismiss(card)`; absent where whoever looks may not answer.
export class Card {
  constructor(hold, acts, now) {
    this.acts = acts;
    this.still = new Stillness(now);
    this.scope = "once";
    this.step = null;
    this.over = null;
    this.busy = false;
    this.refused = new Map();
    this.parts = { meta: el("p", { class: "meta" }), facts: el("div", { class: "facts" }), trouble: el("p", { class: "trouble", role: "alert", hidden: true }), end: el("div", { class: "end", hidden: true }) };
    const title = `question-${hold.id}`;
    this.parts.title = el("h2", { id: title });
    this.element = el("article", { class: "card", tabindex: "-1", "aria-labelledby": title, "data-id": hold.id });
    this.element.append(this.parts.meta, this.parts.title, this.parts.facts, this.parts.trouble);
    if (acts) this.element.append(this.#actions(hold.id));
    this.element.append(this.parts.end);
    this.update(hold);
  }

  get isOpen() {
    return this.over === null;
  }

  // Shows the question as it is by now. How many wait is no change that keys wait for: an agent that retries could keep them from acting.
  update(hold) {
    const print = JSON.stringify({ ...hold, waiting: 0, expires_at: "", similar: null });
    if (print !== this.print) this.still.changed();
    this.print = print;
    this.hold = hold;
    show(this.parts.title, wish(hold));
    show(this.parts.facts, warnings(hold), seen(hold), claimed(hold), soFar(hold));
    this.tick(Date.now());
    if (this.acts) this.#refresh();
  }

  tick(now) {
    const { hold } = this;
    const first = hold.first_time ? el("span", { class: "pill" }, "first time") : el("span", {}, "asked before");
    const waiting = hold.waiting === 0 ? "nobody waits any more" : `${count(hold.waiting, "attempt")} waiting`;
    const asked = el("time", { datetime: hold.opened_at, title: plain(hold.opened_at) }, ago(hold.opened_at, now));
    show(this.parts.meta, first, el("span", {}, waiting), el("span", { class: "since" }, asked, " · ", el("code", {}, others(hold.id))));
  }

  choose(scope) {
    this.scope = scope;
    this.parts.scopes.get(scope).checked = true;
    this.#refresh();
  }

  // The grant as it would be asked for: the scope, and networks where they were written.
  get networks() {
    const words = this.parts.networks.value.split(/[\s,]+/).filter(Boolean);
    return words.length === 0 ? null : words;
  }

  open(step) {
    this.step = step;
    this.still.changed();
    this.#refresh();
    const focus = { always: this.parts.alwaysTitle, reason: this.parts.reason, networks: this.parts.networks, both: this.parts.alwaysTitle }[step];
    (focus ?? this.element).focus();
  }

  trouble(text) {
    say(this.parts.trouble, text);
  }

  refuse(scope, why) {
    this.refused.set(scope, why);
    this.choose("once");
  }

  work(busy) {
    this.busy = busy;
    this.element.setAttribute("aria-busy", String(busy));
    this.#refresh();
  }

  // It is over: what became of it stays in its place.
  finish(closed, me, more = {}) {
    this.over = { at: performance.now(), ...this.over, ...more, closed };
    this.still.changed();
    this.busy = false;
    // As high as it was: nothing moves under a cursor.
    if (!this.element.classList.contains("over")) this.element.style.minHeight = `${this.element.getBoundingClientRect().height}px`;
    this.element.classList.add("over");
    this.element.classList.toggle("denied", closed.how === "denied");
    this.trouble(null);
    if (this.parts.actions) this.parts.actions.hidden = true;
    const { undo, undone, released, warnings = [] } = this.over;
    const told = released ? `, ${count(released, "attempt")} released` : "";
    const text = undone ? "Taken back. What had passed by then has passed." : `${became(closed, me)}${told}.`;
    const dismiss = this.acts ? button("Dismiss", "quiet", () => this.acts.dismiss(this)) : null;
    const back = this.acts && undo && !undone ? button("Undo", "plain", () => this.acts.undo(this), { "aria-describedby": this.element.getAttribute("aria-labelledby") }) : null;
    const focused = this.element.contains(document.activeElement);
    show(this.parts.end, el("div", { class: "became" }, el("p", {}, text), undone ? null : warnings.map((warning) => el("p", { class: "trouble" }, others(sentence(warning))))), back, dismiss);
    this.parts.end.hidden = false;
    if (focused) this.element.focus({ preventScroll: true });
  }

  #actions(id) {
    const { parts } = this;
    parts.scopes = new Map();
    const radio = ({ id: scope, label }) => {
      const input = el("input", { type: "radio", name: `scope-${id}`, value: scope, onchange: () => this.choose(scope) });
      parts.scopes.set(scope, input);
      return el("label", {}, input, el("span", {}, label));
    };
    parts.scopeBox = el("div", { class: "scopes", role: "radiogroup", "aria-label": "How long a yes lasts" }, SCOPES.map(radio));
    parts.yes = button("Allow once", "primary", (event) => this.acts.yes(this, event));
    parts.no = button("Deny", "plain", (event) => this.acts.no(this, event));
    parts.more = [button("Deny with a reason", "quiet", () => this.open("reason")), button("Networks", "quiet", () => this.open("networks"))];
    parts.grant = el("p", { class: "grant", id: `grant-${id}` });
    parts.yes.setAttribute("aria-describedby", parts.grant.id);
    parts.floor = el("p", { class: "grant", hidden: true });
    parts.row = el("div", { class: "answer" }, parts.scopeBox, el("div", { class: "buttons" }, parts.yes, parts.no), el("div", { class: "says" }, parts.grant, parts.floor), el("div", { class: "rest" }, parts.more));
    parts.actions = el("div", { class: "actions" }, parts.row, this.#always(), this.#reason(), this.#networks());
    parts.scopes.get("once").checked = true;
    return parts.actions;
  }

  #always() {
    const { parts } = this;
    parts.alwaysTitle = el("p", { class: "ask", tabindex: "-1" });
    parts.confirm = button("Yes", "primary", (event) => this.acts.yes(this, event, true));
    const back = button("Go back", "plain", () => this.open(null));
    return (parts.always = el("div", { class: "step", role: "group", "aria-label": "Second step", hidden: true }, parts.alwaysTitle, el("div", { class: "buttons" }, parts.confirm, back)));
  }

  #reason() {
    const { parts } = this;
    parts.reason = el("input", { type: "text", maxlength: "500", id: `reason-${this.element.dataset.id}`, autocomplete: "off", placeholder: "Use the internal mirror instead" });
    const form = el("form", { onsubmit: (event) => { event.preventDefault(); this.acts.no(this, event, parts.reason.value.trim()); } });
    form.append(el("label", { for: parts.reason.id }, "Reason, told to the agent"), parts.reason, el("div", { class: "buttons" }, el("button", { type: "submit", class: "plain" }, "Deny with this reason"), button("Go back", "quiet", () => this.open(null))));
    return (parts.reasonStep = el("div", { class: "step", hidden: true }, form));
  }

  #networks() {
    const { parts } = this;
    parts.networks = el("input", { type: "text", id: `networks-${this.element.dataset.id}`, autocomplete: "off", spellcheck: "false", placeholder: "10.20.0.0/16", oninput: () => this.#refresh() });
    const bad = el("p", { class: "trouble", role: "alert", hidden: true });
    const set = (event) => {
      event.preventDefault();
      const wrong = (this.networks ?? []).find((word) => !NETWORK.test(word));
      say(bad, wrong === undefined ? null : `“${plain(wrong)}” is no network; write one like 10.20.0.0/16`);
      if (wrong === undefined) this.open(null);
    };
    const clear = () => { parts.networks.value = ""; say(bad, null); this.open(null); };
    const form = el("form", { onsubmit: set }, el("label", { for: parts.networks.id }, "Networks the name may lead to, in place of public ones"), parts.networks, bad);
    form.append(el("div", { class: "buttons" }, el("button", { type: "submit", class: "plain" }, "Use these"), button("Public addresses only", "quiet", clear)));
    return (parts.networksStep = el("div", { class: "step", hidden: true }, form));
  }

  #refresh() {
    const { parts, hold, step } = this;
    for (const [scope, input] of parts.scopes) {
      const why = this.refused.get(scope) ?? beyond(hold, scope);
      input.disabled = this.busy || why !== null;
      input.parentElement.title = why ?? "";
    }
    const reasons = new Set(SCOPES.map(({ id }) => this.refused.get(id) ?? beyond(hold, id)).filter(Boolean));
    say(parts.floor, reasons.size === 0 ? null : `Not offered: ${[...reasons].join("; ")}.`);
    const chosen = SCOPES.find(({ id }) => id === this.scope);
    parts.yes.textContent = this.networks && this.scope !== "always" ? `${chosen.button}…` : chosen.button;
    parts.grant.textContent = grant(hold, this.scope, this.networks);
    parts.alwaysTitle.textContent = sure(hold, this.scope, this.networks);
    parts.confirm.textContent = this.scope === "always" ? "Yes, without end" : "Yes, to these networks";
    const confirming = step === "always";
    for (const [part, shown] of [[parts.always, confirming], [parts.reasonStep, step === "reason"], [parts.networksStep, step === "networks"]]) part.hidden = !shown;
    parts.row.hidden = step !== null;
    for (const control of parts.actions.querySelectorAll("button")) control.disabled = this.busy;
  }
}

function sure(hold, scope, networks) {
  return networks ? `${grant(hold, scope, networks)} Private networks hold machines that trust their neighbours. Is this meant?` : `${grant(hold, scope, networks)} Is this meant?`;
}

function wish(hold) {
  const kind = hold.only ?? hold.request;
  const agent = el("span", { class: "asks" }, el("b", {}, others(hold.agent)), " wants to reach");
  const where = el("span", { class: "where" }, el("span", { class: "port" }, secure(hold)), host(hold), el("span", { class: "port" }, `:${hold.port}`));
  const request = kind ? el("span", { class: "request" }, el("b", {}, others(kind.method, 40)), " ", others(kind.path)) : el("span", { class: "request unseen-kind" }, "a tunnel: what is sent in it is not seen");
  return [agent, where, request];
}

function warnings(hold) {
  const found = [];
  if (hold.lookalike) found.push(["Look-alike. ", "This is not ", el("code", {}, others(hold.lookalike.of)), ", which it resembles."]);
  if (hold.mixed_script) {
    found.push(["Mixed scripts. ", `One word of the name has ${scripts(hold.unicode ?? "") || "several kinds of"} letters, as names made to be mistaken for others do.`]);
  }
  for (const risk of hold.risk ?? []) found.push(["Known risk. ", others(risk.text)]);
  if (found.length === 0) return null;
  return el("ul", { class: "warnings", "aria-label": "Warnings" }, found.map(([title, ...words]) => el("li", {}, el("b", {}, title), words)));
}

function row(name, ...what) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, what));
}

// What exeat saw for itself.
function seen(hold) {
  const { process, preset, similar, addresses } = hold;
  return el("dl", {},
    hold.unicode ? row("Reads as", unicode(hold)) : null,
    row("Instance", others(hold.instance)),
    process ? row("Process", ran(process)) : null,
    hold.only ? row("Covers", covers(hold)) : null,
    row("Asked by", hold.rule ? [el("code", {}, others(hold.rule)), hold.note ? [" — ", others(hold.note)] : null] : "no rule lists this host"),
    preset ? row("Preset", others(preset), " lists it. To settle this for good, add ", el("code", {}, `include = ["preset:${plain(preset)}"]`), " to the allowlist.") : null,
    addresses?.some((one) => one !== "public") ? row("May lead to", others(listed(addresses))) : null,
    similar?.count ? row("Similar", `${count(similar.count, "more question")} nearly like this: `, el("code", {}, others(similar.ids.join(" ")))) : null);
}

// What comes from the agent, and nobody vouches for.
function claimed(hold) {
  const words = [alias(hold.process) ? ["The process calls itself ", others(alias(hold.process))] : null, hold.why ? [others(hold.why)] : null].filter(Boolean);
  if (words.length === 0) return null;
  return el("figure", { class: "claimed" }, el("figcaption", {}, "The agent’s own words, unchecked"), words.map((line) => el("blockquote", {}, line)));
}

// What was observed of the process at the other end.
function ran({ executable, pid, user, holders }) {
  const file = executable ? [el("code", {}, others(executable)), ", "] : "its file may not be read, ";
  return [file, `pid ${pid}`, user ? [", user ", others(user)] : null, holders > 1 ? `; ${holders} processes hold the connection` : null];
}

// The name a process gives itself, where that tells more than its file.
function alias(process) {
  const last = (path) => String(path).split("/").at(-1);
  const called = process?.called ?? process?.name;
  return called && !last(process.executable ?? "").startsWith(last(called)) ? called : null;
}

function soFar(hold) {
  const names = (hold.yes_by ?? []).map((name) => plain(name));
  const needed = hold.approvers ?? 1;
  if (!(needed > 1)) return null;
  return el("p", { class: "so-far" }, names.length === 0 ? `A yes needs ${needed} people.` : `${names.length} of ${needed} so far, by ${listed(names)}.`);
}
