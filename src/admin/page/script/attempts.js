// What agents tried, newest first, as it happens.

import { get } from "./api.js";
import { button, el, say, show, table } from "./dom.js";
import { host, others, plain } from "./names.js";
import { clock, count } from "./words.js";

const MOST = 300;

// How often the listing may be drawn while attempts come in.
const PACE = 500;

export class Attempts {
  #all = [];
  #paused = null;
  #drawing = null;

  constructor(panel, { told }) {
    this.told = told;
    this.trouble = el("p", { class: "trouble", role: "alert", hidden: true });
    this.agent = el("select", { id: "filter-agent", onchange: () => this.#draw() }, el("option", { value: "" }, "every agent"));
    const words = { "": "every decision", allow: "allowed", look: "looked into", block: "refused" };
    this.decision = el("select", { id: "filter-decision", onchange: () => this.#draw() }, Object.entries(words).map(([value, text]) => el("option", { value }, text)));
    this.host = el("input", { id: "filter-host", type: "search", placeholder: "part of a host", autocomplete: "off", spellcheck: "false", oninput: () => this.#draw() });
    this.pause = button("Pause", "plain", () => this.#toggle());
    this.shown = el("p", { class: "lead", role: "status" });
    this.body = el("div", { tabindex: "-1" });
    const field = (control, name) => el("div", { class: "field" }, el("label", { for: control.id }, name), control);
    panel.append(el("div", { class: "filters", role: "search", "aria-label": "Attempts" }, field(this.agent, "Agent"), field(this.decision, "Decision"), field(this.host, "Host"), this.pause), this.shown, this.trouble, this.body);
  }

  async refresh() {
    try {
      this.#all = await get(`attempts?limit=${MOST}`);
      say(this.trouble, null);
      this.#draw();
    } catch (error) {
      this.told.failed(error, this.trouble);
    }
  }

  happened(attempt) {
    const at = this.#all.findIndex((known) => known.id === attempt.id);
    if (at < 0) this.#all.unshift(attempt);
    else this.#all[at] = attempt;
    this.#all.length = Math.min(this.#all.length, MOST);
    if (this.#paused !== null || this.#drawing !== null) return;
    this.#drawing = setTimeout(() => { this.#drawing = null; this.#draw(); }, PACE);
  }

  #toggle() {
    // What stands still is a copy: filters act on it too, and nothing new comes into it.
    this.#paused = this.#paused === null ? [...this.#all] : null;
    this.pause.textContent = this.#paused === null ? "Pause" : "Go on";
    this.#draw();
  }

  #draw() {
    const all = this.#paused ?? this.#all;
    for (const name of new Set(all.map((attempt) => attempt.agent).filter(Boolean))) {
      if (![...this.agent.options].some((option) => option.value === name)) this.agent.append(el("option", { value: name }, plain(name)));
    }
    const [agent, decision, part] = [this.agent.value, this.decision.value, this.host.value.trim().toLowerCase()];
    const wanted = all.filter((attempt) => (!agent || attempt.agent === agent) && (!decision || attempt.decision === decision) && (!part || (attempt.host ?? "").includes(part)));
    say(this.shown, `${count(wanted.length, "attempt")}${this.#paused === null ? "" : ", paused"}`);
    const rows = wanted.slice(0, MOST).map((attempt) => {
      return [
        el("time", { datetime: attempt.at, title: plain(attempt.at) }, seconds(attempt.at)),
        attempt.agent ? others(attempt.agent) : el("i", {}, "not identified"),
        attempt.host ? [el("span", { class: "where" }, host(attempt), el("span", { class: "port" }, `:${attempt.port}`)), attempt.method ? el("small", {}, others(`${attempt.method} ${attempt.path ?? ""}`)) : null] : el("i", {}, "not readable"),
        [el("span", { class: `ruling ${attempt.decision === "block" ? "refused" : "passed"}` }, ruling(attempt.decision)), el("small", {}, others(attempt.reason), attempt.ended ? [", ", others(attempt.ended.outcome)] : ", open")],
        attempt.rule ? el("code", {}, others(attempt.rule)) : "",
      ];
    });
    show(this.body, table("Attempts, newest first", ["Time", "Agent", "Where", "Decision", "Rule"], rows, "Nothing was tried yet."));
  }
}

const ruling = (decision) => ({ allow: "allowed", look: "looked into", block: "refused" })[decision] ?? plain(decision);

function seconds(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? clock(time) : date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
