// The agents, and stopping one or all of them.

import { get, part, post } from "./api.js";
import { button, el, say, show, table } from "./dom.js";
import { others, plain } from "./names.js";
import { ago, count } from "./words.js";

export class Agents {
  constructor(panel, { me, told }) {
    this.me = me;
    this.told = told;
    this.trouble = el("p", { class: "trouble", role: "alert", hidden: true });
    this.all = el("div", { class: "buttons" });
    this.body = el("div", { tabindex: "-1" });
    panel.append(el("p", { class: "lead" }, "A frozen agent is refused everything, and what it has open is cut."), this.all, this.trouble, this.body);
  }

  async refresh() {
    try {
      this.#draw(await get("agents"));
      say(this.trouble, null);
    } catch (error) {
      this.told.failed(error, this.trouble);
    }
  }

  #draw(agents) {
    const mayFreeze = this.me.role === "admin";
    const now = Date.now();
    const isOverAll = mayFreeze && !Array.isArray(this.me.agents);
    const everyone = isOverAll ? [this.#asked("Freeze everyone", "Freeze every agent", "freeze"), this.#asked("Thaw everyone", "Thaw every agent", "thaw")] : [];
    show(this.all, everyone);
    const rows = agents.map((agent) => {
      const name = agent.name ?? agent.agent;
      const seen = agent.last_seen ? ago(agent.last_seen, now) : "never";
      const counts = agent.counts ?? agent;
      return [
        [el("b", {}, others(name)), agent.frozen ? el("span", { class: "pill" }, "frozen") : null],
        seen,
        counted(counts),
        String(agent.pending ?? 0),
        ...(mayFreeze ? [agent.frozen ? this.#asked("Thaw", `Thaw ${plain(name)}`, `agents/${part(name)}/thaw`) : this.#asked("Freeze", `Freeze ${plain(name)}`, `agents/${part(name)}/freeze`)] : []),
      ];
    });
    show(this.body, table("Agents", ["Agent", "Last seen", "Attempts", "Questions", ...(mayFreeze ? [""] : [])], rows, "No agent is configured."));
  }

  // A button that asks once more in its own place.
  #asked(text, label, path) {
    let isSure = false;
    const pressed = button(text, "plain", async () => {
      if (!isSure) {
        isSure = true;
        pressed.textContent = `${text}? Press again`;
        pressed.addEventListener("blur", () => { isSure = false; pressed.textContent = text; }, { once: true });
        return;
      }
      pressed.disabled = true;
      try {
        await post(path);
      } catch (error) {
        this.told.failed(error, this.trouble);
      }
      await this.refresh();
      this.body.focus();
    }, { "aria-label": label });
    return pressed;
  }
}

function counted(counts) {
  const words = ["allowed", "refused", "blocked", "held"].filter((word) => Number.isFinite(counts[word])).map((word) => `${counts[word]} ${word}`);
  const plainly = ["allow", "look", "block"].filter((word) => Number.isFinite(counts[word])).map((word) => `${counts[word]} ${word}`);
  if (words.length + plainly.length > 0) return [...words, ...plainly].join(", ");
  return Number.isFinite(counts.attempts) ? count(counts.attempts, "attempt") : "";
}
