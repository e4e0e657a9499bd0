// What the page says of a question, an answer and a time. No elements and no clock here: `now` is an argument.

import { authority, listed, plain } from "./names.js";

export const SCOPES = [
  { id: "once", label: "Once", button: "Allow once", body: { scope: "once" } },
  { id: "15m", label: "15 min", button: "Allow for 15 minutes", body: { scope: "for", seconds: 900 } },
  { id: "1h", label: "1 hour", button: "Allow for 1 hour", body: { scope: "for", seconds: 3600 } },
  { id: "8h", label: "8 hours", button: "Allow for 8 hours", body: { scope: "for", seconds: 28800 } },
  { id: "always", label: "Always", button: "Allow always…", body: { scope: "always" } },
];

// What exeat says of an error, as a sentence.
export const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;

export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

// A span of milliseconds, roughly.
export function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return count(Math.floor(seconds / 86400), "day");
}

// A number of bytes, roughly.
export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, number < 1 ? 0 : Math.floor(Math.log2(number) / 10));
  const share = number / 1024 ** power;
  return `${power === 0 || share >= 100 ? Math.round(share) : share.toFixed(1)} ${units[power]}`;
}

export const ago = (time, now) => `${span(now - Date.parse(time))} ago`;

export function clock(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return plain(time);
  const day = date.toDateString() === new Date().toDateString() ? "" : `${date.toLocaleDateString(undefined, { day: "numeric", month: "short" })} `;
  return day + date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}

const REST = "whatever query and body come with it";

// What a yes to a question about one request lets pass beside what is shown.
export const covers = (hold) => (hold.only ? `this method and path, ${REST}` : null);

// How a name begins where the way to it is TLS that is looked into.
export const secure = (hold) => (hold.scheme === "https" ? "https://" : "");

// What an answer is about, besides where: every request, or the one that is shown.
export function what(hold) {
  if (hold.only) return `only with ${plain(hold.only.method)} ${plain(hold.only.path)}${hold.scheme === "https" ? " inside TLS" : ""}, ${REST}`;
  return hold.scheme ? "with any request" : "with anything in the tunnel";
}

// One sentence or two: what this yes lets happen.
export function grant(hold, scope, networks) {
  const who = `${plain(hold.agent)} (${plain(hold.instance)})`;
  const to = networks?.length ? ` The name may lead to ${listed(networks, "or")}, and nowhere else.` : "";
  const reach = `reach ${authority(hold)}, ${what(hold)}`;
  if (scope === "once" && hold.waiting === 0) return `Lets the next try of ${who} within 5 minutes ${reach}. Nothing after it.${to}`;
  if (scope === "once") return `Lets the ${hold.waiting === 1 ? "waiting attempt" : `${hold.waiting} waiting attempts`} of ${who} ${reach}. Nothing after that.${to}`;
  if (scope === "always") return `Lets every instance of ${plain(hold.agent)} ${reach}. It has no end: it holds until somebody revokes it.${to}`;
  const lasting = SCOPES.find((one) => one.id === scope).button.replace("Allow for ", "");
  return `Lets ${who} ${reach}, for ${lasting}. What is open at the end is cut.${to}`;
}

// What became of a question, from its closing event.
export function became(closed, me) {
  const who = closed.approver ? (closed.approver === me ? "you" : plain(closed.approver)) : null;
  switch (closed.how) {
    case "approved": return `Allowed ${lasting(closed)}${who ? ` by ${who}` : ""}`;
    case "denied": return `Denied${who ? ` by ${who}` : ""}`;
    case "expired": return "Nobody answered in time. It is asked again when the agent tries again";
    case "withdrawn": return "Not asked any more: the policy changed";
    default: return "Over; it ended while the connection was lost";
  }
}

export function lasting({ scope, until }) {
  if (scope === "always") return "always";
  if (scope === "for") return until ? `until ${clock(until)}` : "for a while";
  return "once";
}

// Whether a yes of this scope is beyond the floor, as far as the question says; the reason, or null.
export function beyond(hold, scope) {
  const longest = hold.max_for ?? null;
  const seconds = SCOPES.find((one) => one.id === scope).body.seconds ?? (scope === "always" ? Infinity : 0);
  const bound = typeof longest === "number" ? longest : Infinity;
  if (scope === "always" && (hold.always === false || bound !== Infinity)) return "the floor lets no yes last without end";
  if (seconds > bound) return `the floor lets no yes last longer than ${span(bound * 1000)}`;
  return null;
}
