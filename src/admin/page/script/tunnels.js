// What is open now, and cutting one.

import { get, part, remove } from "./api.js";
import { button, el, say, show, table } from "./dom.js";
import { host, others } from "./names.js";
import { span } from "./words.js";

export class Tunnels {
  constructor(panel, { me, told }) {
    this.me = me;
    this.told = told;
    this.trouble = el("p", { class: "trouble", role: "alert", hidden: true });
    this.body = el("div", { tabindex: "-1" });
    panel.append(el("p", { class: "lead" }, "Connections that are open now. Cutting one does not keep the agent from trying again; deny or freeze does."), this.trouble, this.body);
  }

  async refresh() {
    try {
      this.#draw(await get("tunnels"));
      say(this.trouble, null);
    } catch (error) {
      this.told.failed(error, this.trouble);
    }
  }

  #draw(tunnels) {
    const mayCut = this.me.role !== "viewer";
    const now = Date.now();
    const rows = tunnels.map((tunnel) => {
      const where = tunnel.destination ?? tunnel;
      const since = tunnel.since ?? tunnel.opened_at ?? tunnel.at;
      return [
        others(tunnel.agent ?? ""),
        el("span", { class: "where" }, host(where), el("span", { class: "port" }, `:${where.port}`)),
        since ? span(now - Date.parse(since)) : "",
        tunnel.rule ? el("code", {}, others(tunnel.rule)) : tunnel.approval ? "an approval" : others(tunnel.reason ?? ""),
        ...(mayCut ? [button("Cut", "plain", (event) => this.#cut(tunnel, event.target), { "data-id": tunnel.id })] : []),
      ];
    });
    show(this.body, table("Open connections", ["Agent", "To", "Open for", "By leave of", ...(mayCut ? [""] : [])], rows, "Nothing is open."));
  }

  async #cut(tunnel, pressed) {
    pressed.disabled = true;
    try {
      await remove(`tunnels/${part(tunnel.id)}`);
    } catch (error) {
      this.told.failed(error, this.trouble);
    }
    await this.refresh();
    pressed.disabled = false;
    this.body.focus();
  }
}
