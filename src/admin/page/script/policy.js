// The policy in force, where it comes from, what is wrong with it; and what it would say to an attempt.

import { get, post } from "./api.js";
import { el, say, show } from "./dom.js";
import { listed, others, plain } from "./names.js";

export class PolicyPanel {
  constructor(panel, { told }) {
    this.told = told;
    this.trouble = el("p", { class: "trouble", role: "alert", hidden: true });
    this.body = el("div", { tabindex: "-1" });
    this.agent = el("input", { id: "explain-agent", type: "text", list: "explain-agents", autocomplete: "off", spellcheck: "false", required: true });
    this.agents = el("datalist", { id: "explain-agents" });
    this.tried = el("input", { id: "explain-try", type: "text", placeholder: "GET http://example.com/ or example.com:443", autocomplete: "off", spellcheck: "false", required: true });
    this.found = el("div", { class: "found", "aria-live": "polite" });
    const field = (control, name) => el("div", { class: "field" }, el("label", { for: control.id }, name), control);
    const form = el("form", { class: "filters", onsubmit: (event) => { event.preventDefault(); this.#explain(); } }, field(this.agent, "Agent"), this.agents, field(this.tried, "Would like to"), el("button", { type: "submit", class: "primary" }, "Explain"));
    panel.append(el("h2", {}, "What would it say?"), form, this.found, el("h2", {}, "In force"), this.trouble, this.body);
  }

  async refresh() {
    try {
      this.#draw(await get("policy"));
      say(this.trouble, null);
    } catch (error) {
      this.told.failed(error, this.trouble);
    }
  }

  agentsAre(names) {
    show(this.agents, names.map((name) => el("option", { value: name })));
    if (!this.agent.value && names.length === 1) this.agent.value = names[0];
  }

  #draw(policy) {
    const line = (name, what) => el("div", {}, el("dt", {}, name), el("dd", {}, what));
    const list = (name, items, none) => line(name, items.length === 0 ? none : el("ul", {}, items.map((item) => el("li", {}, others(worded(item), 1000)))));
    show(this.body, el("dl", { class: "policy" },
      line("Hash", el("code", {}, others(policy.hash, 200))),
      list("Files", policy.files, "told to who sees all agents"),
      list("Warnings", policy.warnings, "none"),
      list("Faults", policy.faults, "none")));
  }

  async #explain() {
    show(this.found, el("p", {}, "…"));
    try {
      this.#say(await post("explain", { agent: this.agent.value.trim(), try: this.tried.value.trim() }));
    } catch (error) {
      const box = el("p", { class: "trouble" });
      show(this.found, box);
      this.told.failed(error, box);
    }
  }

  #say(told) {
    const word = { allow: "Allowed", look: "Looked into: each request in it is judged by itself", hold: "Held: a person is asked", block: "Refused" }[told.decision] ?? plain(told.decision);
    const rest = (told.others ?? []).slice(0, 5).map((other) => el("li", {}, others(worded(other), 600)));
    const left = (told.others ?? []).length - rest.length + (told.others_left_out ?? 0);
    show(this.found,
      el("p", { class: "outcome" }, el("b", {}, word), told.reason ? [" (", el("code", {}, others(told.reason)), ")"] : null, told.rule ? [" by ", el("code", {}, others(told.rule))] : null),
      told.because ? el("p", {}, "Told to the agent: ", others(told.because)) : null,
      told.through ? el("p", {}, "Inside TLS, which exeat looks into by ", el("code", {}, others(told.through)), ".") : null,
      told.credentials ? el("p", {}, told.credentials.length ? ["Exeat puts in ", others(listed(told.credentials)), "."] : "Credentials of the agent's own are taken out.") : null,
      told.addresses?.length ? el("p", {}, "May lead to ", others(listed(told.addresses)), ".") : null,
      told.in_the_way ? el("p", {}, others(told.in_the_way, 1000)) : null,
      told.to_allow ? [el("p", {}, "What would allow it:"), el("pre", {}, others(told.to_allow, 2000))] : null,
      rest.length > 0 ? el("details", {}, el("summary", {}, "Why the other rules do not speak"), el("ul", {}, rest, left > 0 ? el("li", {}, `and ${left} more`) : null)) : null);
  }
}

// An item of a listing as words, whatever its shape.
function worded(item) {
  if (item === null || typeof item !== "object") return String(item);
  const place = item.file ? `${item.file}${item.line ? `:${item.line}` : ""}` : item.rule ?? item.path ?? item.agent ?? "";
  const said = item.message ?? item.why ?? item.found ?? item.text ?? item.detail ?? "";
  return place || said ? [place, said, item.wanted ? `wanted ${item.wanted}` : "", item.fix ?? ""].filter(Boolean).map(String).join(" · ") : JSON.stringify(item);
}
