// What the page says of a question, an answer and a time. No elements and no clock here: `now` is an argument.

import { authority, listed, plain } from "./names.js";

export const SCOPES = [
  { id: "once", label: "Once", button: "Allow once", body: { scope: "once" } },
  { id: "15m", label: "15 min", button: "Allow for 15 minutes", body: { scope: "for", seconds: 900 } },
  { id: "1h", label: "1 hour", button: "Allow for 1 hour", body: { scope: "for", seconds: 3600 } },
  { id: "8h", label: "8 hours", button: "Allow for 8 hours", body: { scope: "for", seconds: 28800 } },
  { id: "always", label: "Always", button: "Allow always…", body: { scope: "always" } },
];

export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

// A span of milliseconds, roughly.
export function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return count(Math.floor(seconds / 86400), "day");
}

export const ago = (time, now) => `${span(now - Date.parse(time))} ago`;

export function clock(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return plain(time);
  const day = date.toDateString() === new Date().toDateString() ? "" : `${date.toLocaleDateString(undefined, { day: "numeric", month: "short" })} `;
  return day + date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}

// What an answer is about, besides where: every request, or the one that is shown.
export function what(hold) {
  if (hold.only) return `${plain(hold.only.method)} ${plain(hold.only.path)} and no other request`;
  if (hold.scheme === "http") return "any request";
  return "anything in the tunnel";
}

// One sentence: what this yes lets happen.
export function grant(hold, scope, addresses) {
  const who = `${plain(hold.agent)} (${plain(hold.instance)})`;
  const where = `${authority(hold)}: ${what(hold)}`;
  const to = addresses?.length ? ` It may lead only to ${listed(addresses, "or")}, private or not.` : "";
  if (scope === "once" && hold.waiting === 0) return `The next try of ${who} within 5 minutes reaches ${where}. Once.${to}`;
  if (scope === "once") return `The ${count(hold.waiting, "attempt")} of ${who} waiting ${hold.waiting === 1 ? "reaches" : "reach"} ${where}. Nothing after that.${to}`;
  if (scope === "always") return `Every instance of ${plain(hold.agent)} may reach ${where}. This has no end until somebody revokes it.${to}`;
  const lasting = SCOPES.find((one) => one.id === scope).button.replace("Allow for ", "");
  return `For ${lasting}, ${who} may reach ${where}. What is open then is cut.${to}`;
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
  const longest = hold.max_for ?? hold.longest ?? null;
  const seconds = SCOPES.find((one) => one.id === scope).body.seconds ?? (scope === "always" ? Infinity : 0);
  const bound = typeof longest === "number" ? longest : Infinity;
  if (scope === "always" && (hold.always === false || bound !== Infinity)) return "the floor lets no yes last without end";
  if (seconds > bound) return `the floor lets no yes last longer than ${span(bound * 1000)}`;
  return null;
}
