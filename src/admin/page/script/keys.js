// When a key may act. Nothing here knows of elements or of the time: both are asked for, so that it can be tried without a browser.

// How long what is answered must have stood still.
export const STILL = 500;

const MEANING = { j: "next", ArrowDown: "next", k: "before", ArrowUp: "before", y: "once", h: "hour", a: "always", n: "deny", r: "reason", u: "undo", x: "dismiss", "?": "help", Escape: "back" };

// What answers, and so waits until all stands still. The others change nothing at exeat.
const ANSWERS = new Set(["once", "hour", "always", "deny", "reason", "undo"]);

// What a key press means, or null. `inField` is whether what is typed is text.
export function meant(event, inField) {
  if (event.defaultPrevented || event.isComposing || event.repeat || inField) return null;
  if (event.ctrlKey || event.altKey || event.metaKey) return null;
  if (event.shiftKey && event.key !== "?") return null;
  return Object.hasOwn(MEANING, event.key) ? MEANING[event.key] : null;
}

export const answers = (meaning) => ANSWERS.has(meaning);

// Knows when what an answer would be about last changed. `now` is a monotonic clock in milliseconds.
export class Stillness {
  #now;
  #changed = -Infinity;

  constructor(now) {
    this.#now = now;
  }

  changed() {
    this.#changed = this.#now();
  }

  // Whether it stood still when an input came, by the clock of `now`; later than it came does not count.
  isStillAt(time) {
    return Math.min(time, this.#now()) - this.#changed >= STILL;
  }
}
