// The approvals in force, and taking one back.

import { get, part, remove } from "./api.js";
import { button, el, say, show, table } from "./dom.js";
import { host, others } from "./names.js";
import { clock, lasting } from "./words.js";

export class Approvals {
  constructor(panel, { me, told }) {
    this.me = me;
    this.told = told;
    this.trouble = el("p", { class: "trouble", role: "alert", hidden: true });
    this.body = el("div", { tabindex: "-1" });
    panel.append(el("p", { class: "lead" }, "Every yes that still counts. Revoking one cuts what is open under it."), this.trouble, this.body);
  }

  async refresh() {
    try {
      this.#draw(await get("approvals"));
      say(this.trouble, null);
    } catch (error) {
      this.told.failed(error, this.trouble);
    }
  }

  #draw(approvals) {
    const mayRevoke = this.me.role !== "viewer";
    const columns = ["Agent", "May reach", "Until", "Open now", "Said by", ...(mayRevoke ? [""] : [])];
    const rows = approvals.map((approval) => [
      [el("b", {}, others(approval.agent)), el("small", {}, approval.instance ? others(approval.instance) : "every instance")],
      [el("span", { class: "where" }, host(approval), el("span", { class: "port" }, `:${approval.port}`)), el("small", {}, covers(approval))],
      approval.scope === "for" && approval.until ? clock(approval.until) : lasting(approval),
      String(approval.open),
      [others(approval.approver), el("small", {}, clock(approval.at), approval.note ? [": ", others(approval.note)] : null)],
      ...(mayRevoke ? [button("Revoke", "plain", (event) => this.#revoke(approval, event.target), { "data-id": approval.id })] : []),
    ]);
    show(this.body, table("Approvals", columns, rows, "No yes is in force."));
  }

  async #revoke(approval, pressed) {
    pressed.disabled = true;
    try {
      await remove(`approvals/${part(approval.id)}`);
    } catch (error) {
      this.told.failed(error, this.trouble);
    }
    await this.refresh();
    pressed.disabled = false;
    this.body.focus();
  }
}

function covers(approval) {
  if (approval.only) return ["only ", others(`${approval.only.method} ${approval.only.path}`)];
  const to = (approval.addresses ?? []).filter((one) => one !== "public");
  return [approval.scheme ? "any request" : "tunnels", to.length > 0 ? [", at ", others(to.join(", "))] : null];
}

