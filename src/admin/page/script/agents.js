// The agents, and stopping one or all of them.

import { get, part, post } from "./api.js";
import { button, el, say, show, table } from "./dom.js";
import { others, plain } from "./names.js";
import { ago, clock } from "./words.js";

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
    const rows = agents.map(({ agent, stopped, frozen = [], last_seen, allowed, blocked, open, pending }) => [
      [el("b", {}, others(agent)), stopped ? el("span", { class: "pill" }, "frozen") : null, frozen.map(because)],
      last_seen ? ago(last_seen, now) : "not lately",
      [`${allowed} allowed, ${blocked} refused`, el("small", {}, `${open} open now`)],
      String(pending),
      ...(mayFreeze ? [frozen.some(isOwn) ? this.#asked("Thaw", `Thaw ${plain(agent)}`, `agents/${part(agent)}/thaw`) : this.#asked("Freeze", `Freeze ${plain(agent)}`, `agents/${part(agent)}/freeze`)] : []),
    ]);
    show(this.body, table("Agents", ["Agent", "Last seen", "Last attempts", "Questions", ...(mayFreeze ? [""] : [])], rows, "No agent is configured."));
  }

  // A button that asks once more in its own place.
  #asked(text, label, path) {
    let isSure = false;
    // Who hears the button is asked as well as who sees it.
    const said = (shown, heard) => { pressed.textContent = shown; pressed.setAttribute("aria-label", heard); };
    const pressed = button(text, "plain", async () => {
      if (!isSure) {
        isSure = true;
        said(`${text}? Press again`, `${label}? Press again`);
        pressed.addEventListener("blur", () => { isSure = false; said(text, label); }, { once: true });
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

// A freeze of this agent by a person: what thawing it by name ends.
const isOwn = (one) => Boolean(one.since) && !one.everyone;

function because({ by, since, note, everyone }) {
  const [whom, when] = [everyone ? "everyone, " : "", since ? `, ${clock(since)}` : ""];
  return el("small", {}, whom, "by ", others(by), when, note ? [": ", others(note)] : null);
}
