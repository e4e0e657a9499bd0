// The questions: their order never changes under whoever reads, and what is over stays where it was for a while.

import { Refused, part, post, remove } from "./api.js";
import { Card } from "./card.js";
import { by, el, isField, say } from "./dom.js";
import { Stillness, answers, meant } from "./keys.js";
import { authority, plain } from "./names.js";
import { count, sentence } from "./words.js";

// What is over goes after so long, if nobody moves.
const IDLE = 10_000;

// New questions are announced at most this often.
const ANNOUNCE = 4000;

const now = () => performance.now();

export class Questions {
  #cards = new Map();
  #order = new Stillness(now);
  #selection = new Stillness(now);
  #selected = null;
  #lastYes = null;
  #unsaid = [];
  #moved = 0;
  #live = false;

  constructor(panel, { me, told }) {
    this.me = me;
    this.told = told;
    this.mayAnswer = me.role !== "viewer";
    this.none = el("div", { class: "empty", hidden: true }, el("p", { class: "calm" }, "Nobody asks."), el("p", {}, this.mayAnswer ? "While this page is open, an agent that wants to go where no rule lets it waits for you here." : "You see questions here; others answer them."));
    this.list = el("div", { class: "cards", role: "feed", "aria-label": "Questions, oldest first" });
    panel.append(this.none, this.list);
    this.list.addEventListener("focusin", (event) => this.#select(this.#around(event.target), false));
    this.list.addEventListener("pointerdown", (event) => this.#select(this.#around(event.target), false));
    document.addEventListener("keydown", (event) => this.#key(event));
    for (const kind of ["pointermove", "keydown", "wheel", "touchmove"]) document.addEventListener(kind, () => { this.#moved = now(); }, { passive: true });
    this.timers = [setInterval(() => this.#tick(), 1000), setInterval(() => this.#announce(), ANNOUNCE)];
    this.#count();
  }

  // All questions as they stand: after the log-in, and after a connection was lost.
  snapshot(holds) {
    const ids = new Set(holds.map((hold) => hold.id));
    for (const card of this.#cards.values()) {
      if (card.isOpen && !ids.has(card.hold.id)) card.finish({ how: "gone" }, this.me.name);
    }
    const inOrder = [...holds].sort((a, b) => Date.parse(a.opened_at) - Date.parse(b.opened_at) || (a.id < b.id ? -1 : 1));
    for (const hold of inOrder) this.opened(hold);
    this.#count();
  }

  opened(hold) {
    const known = this.#cards.get(hold.id);
    if (known?.isOpen) {
      known.update(hold);
      this.#count();
      return;
    }
    if (known) this.#take(known);
    const card = new Card(hold, this.mayAnswer ? this.#acts() : null, now);
    this.#cards.set(hold.id, card);
    this.list.append(card.element);
    this.#unsaid.push(hold);
    this.#able(card);
    this.#count();
  }

  closed(closed) {
    const card = this.#cards.get(closed.id);
    if (!card || card.over?.closed.how === closed.how) return;
    card.finish(closed, this.me.name);
    if (card === this.#selected) this.#selection.changed();
    this.#count();
  }

  // Answers are off while what is shown may be old.
  live(isLive) {
    if (this.#live === isLive) return;
    this.#live = isLive;
    this.#order.changed();
    this.list.classList.toggle("stale", !isLive);
    for (const card of this.#cards.values()) this.#able(card);
  }

  #able(card) {
    for (const control of card.element.querySelectorAll(".actions, .end")) control.inert = !this.#live;
  }

  #around(target) {
    const element = target instanceof Element ? target.closest(".card") : null;
    return element ? this.#cards.get(element.dataset.id) ?? null : null;
  }

  #acts() {
    return {
      yes: (card, event, isSure = false) => this.#steady(card, event) && this.#yes(card, isSure),
      no: (card, event, reason) => this.#steady(card, event) && this.#no(card, reason),
      undo: (card) => this.#undo(card),
      dismiss: (card) => this.#take(card),
    };
  }

  // A click on what moved or changed in the last half second was meant for something else.
  #steady(card, event) {
    if (card.still.isStillAt(event.timeStamp) && this.#order.isStillAt(event.timeStamp)) return true;
    card.trouble("It changed just now. Look again, then answer.");
    return false;
  }

  async #yes(card, isSure) {
    if (!card.isOpen || card.busy || !this.#live) return;
    if ((card.scope === "always" || card.networks) && !isSure) {
      card.open("always");
      return;
    }
    const { scope, hold, networks } = card;
    const seconds = { "15m": 900, "1h": 3600, "8h": 28800 }[scope];
    const body = { scope: seconds ? "for" : scope, ...(seconds ? { seconds } : {}), ...(networks ? { addresses: networks, addresses_confirmed: isSure } : {}), ...facts(hold) };
    await this.#send(card, "approve", body, (answered) => {
      if (!answered?.approval) return;
      this.#lastYes = card;
      card.finish({ how: "approved", approver: this.me.name, scope: answered.scope, until: answered.until }, this.me.name, { undo: answered.approval, released: answered.released, warnings: answered.warnings });
    });
  }

  async #no(card, reason) {
    if (!card.isOpen || card.busy || !this.#live) return;
    const body = { ...(reason ? { note: reason } : {}), ...facts(card.hold) };
    await this.#send(card, "deny", body, () => card.finish({ how: "denied", approver: this.me.name }, this.me.name));
  }

  async #send(card, verb, body, done) {
    card.trouble(null);
    card.work(true);
    try {
      done(await post(`holds/${part(card.hold.id)}/${verb}`, body));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      card.work(false);
      this.#refused(card, error);
      return;
    }
    if (card.isOpen) {
      card.work(false);
      card.open(null);
    } else if (card === this.#selected) {
      this.#next();
    }
    this.#count();
  }

  #refused(card, error) {
    const byFloor = error.status === 403 && card.scope !== "once" && !card.networks;
    if (byFloor) card.refuse(card.scope, error.message);
    if (card.step === "always") card.open(null);
    card.trouble(sentence(error.status === 404 ? `too late: ${error.message}` : error.message));
    if (error.status === 401) this.told.unknown();
    if (error.status === 409) this.told.stale();
  }

  async #undo(card) {
    if (!card?.over?.undo || card.over.undone || !this.#live) return;
    try {
      await remove(`approvals/${part(card.over.undo)}`);
      card.finish(card.over.closed, this.me.name, { undone: true });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      card.trouble(error.status === 404 ? "Nothing to take back: the yes was used, or is over." : sentence(error.message));
    }
  }

  #take(card) {
    const open = [...this.#cards.values()];
    const hasMore = open.slice(open.indexOf(card) + 1).length > 0;
    if (hasMore) this.#order.changed();
    if (card === this.#selected) this.#next();
    if (card === this.#selected) this.#select(null, false);
    this.#cards.delete(card.hold.id);
    card.element.remove();
    this.#count();
  }

  #select(card, focus) {
    if (card === this.#selected) return;
    this.#selected?.element.removeAttribute("aria-current");
    this.#selected = card;
    this.#selection.changed();
    if (!card) return;
    card.element.setAttribute("aria-current", "true");
    if (focus) {
      card.element.focus({ preventScroll: true });
      card.element.scrollIntoView({ block: "nearest" });
    }
  }

  // The next open card after the selected one, else the one before; where there is none the selection stays.
  #next() {
    const all = [...this.#cards.values()];
    const at = all.indexOf(this.#selected);
    const next = all.slice(at + 1).find((card) => card.isOpen) ?? all.slice(0, Math.max(at, 0)).findLast((card) => card.isOpen);
    if (next) this.#select(next, true);
  }

  #step(by_) {
    const all = [...this.#cards.values()];
    if (all.length === 0) return;
    const at = all.indexOf(this.#selected);
    this.#select(all[at < 0 ? (by_ > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by_, 0), all.length - 1)], true);
  }

  #key(event) {
    if (this.list.closest("[role=tabpanel]").hidden || by("app").hidden) return;
    // A key that is held down may not press a button again and again.
    if (event.repeat && event.target instanceof Element && event.target.closest(".card button")) event.preventDefault();
    const card = this.#selected;
    if (event.key === "Escape" && card?.step) {
      card.open(null);
      return;
    }
    const meaning = meant(event, isField(event.target));
    if (meaning === null) return;
    if (!answers(meaning)) {
      this.#quiet(meaning, event);
      return;
    }
    if (!this.mayAnswer || !this.#live) return;
    event.preventDefault();
    const target = meaning === "undo" ? this.#lastYes : card;
    if (!target) return;
    const isStill = [target.still, this.#order, this.#selection].every((still) => still.isStillAt(event.timeStamp));
    if (isStill) this.#answer(meaning, target);
  }

  #quiet(meaning, event) {
    if (meaning === "help") by("keys").showModal();
    else if (meaning === "next" || meaning === "before") this.#step(meaning === "next" ? 1 : -1);
    else if (meaning === "dismiss" && this.#selected && !this.#selected.isOpen) this.#take(this.#selected);
    else return;
    event.preventDefault();
  }

  #answer(meaning, card) {
    if (meaning === "undo") return this.#undo(card);
    if (!card.isOpen || card.busy) return undefined;
    if (card.step === "always") {
      if (meaning === "always" && card.scope === "always") return this.#yes(card, true);
      return undefined;
    }
    if (card.step !== null) return undefined;
    if (meaning === "deny") return this.#no(card);
    if (meaning === "reason") return card.open("reason");
    const scope = { once: "once", hour: "1h", always: "always" }[meaning];
    if (card.parts.scopes.get(scope).disabled) return card.trouble(`Not offered: ${card.parts.scopes.get(scope).parentElement.title}.`);
    card.choose(scope);
    return this.#yes(card, false);
  }

  #tick() {
    const wall = Date.now();
    for (const card of this.#cards.values()) if (card.isOpen) card.tick(wall);
    const all = [...this.#cards.values()];
    const lastOpen = all.findLastIndex((card) => card.isOpen);
    const isIdle = now() - this.#moved >= IDLE;
    const isAway = document.hidden || !this.list.matches(":hover");
    for (const [at, card] of all.entries()) {
      const isOld = card.over !== null && now() - card.over.at >= IDLE;
      if (isOld && isIdle && (isAway || at > lastOpen)) this.#take(card);
    }
  }

  #announce() {
    const fresh = this.#unsaid.filter((hold) => this.#cards.get(hold.id)?.isOpen);
    this.#unsaid = [];
    if (fresh.length === 0) return;
    by("news").textContent = fresh.length === 1 ? `New question: ${plain(fresh[0].agent)} wants to reach ${authority(fresh[0])}` : count(fresh.length, "new question");
  }

  #count() {
    const open = [...this.#cards.values()].filter((card) => card.isOpen).length;
    this.none.hidden = this.#cards.size > 0;
    say(by("count"), open === 0 ? null : String(open));
    this.told.count(open);
  }

  stop() {
    this.timers.forEach(clearInterval);
  }
}

// What was shown, so that a question that changed meanwhile is not answered.
function facts(hold) {
  return hold.facts === undefined ? {} : { facts: hold.facts };
}
