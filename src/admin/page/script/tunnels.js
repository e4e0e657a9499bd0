// What is open now, and cutting one.

import { get, part, remove } from "./api.js";
import { button, el, say, show, table } from "./dom.js";
import { authority, host, others, plain } from "./names.js";
import { bytes, span } from "./words.js";

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
    const mayCut = this.me.role === "admin";
    const now = Date.now();
    const rows = tunnels.map((tunnel) => [
      tunnel.agent ? [el("b", {}, others(tunnel.agent)), el("small", {}, others(tunnel.instance))] : el("i", {}, "not identified"),
      tunnel.host ? el("span", { class: "where" }, host(tunnel), el("span", { class: "port" }, `:${tunnel.port}`)) : el("i", {}, "not readable"),
      span(now - Date.parse(tunnel.since)),
      `${bytes(tunnel.bytes_up)} up, ${bytes(tunnel.bytes_down)} down`,
      ...(mayCut ? [button("Cut", "plain", (event) => this.#cut(tunnel, event.target), { "data-id": tunnel.id, "aria-label": `Cut ${tunnel.host ? authority(tunnel) : "what is not readable"} of ${plain(tunnel.agent ?? "nobody known")}` })] : []),
    ]);
    show(this.body, table("Open connections", ["Agent", "To", "Open for", "Carried", ...(mayCut ? [""] : [])], rows, "Nothing is open."));
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
