// The header: state, reason, since when, whether orders may be sent, halt, next attempt.

import { byId, clock, forDuration, setText } from "./format.js";

const CIRCLE = "M12 2.75a9.25 9.25 0 1 0 0 18.5 9.25 9.25 0 1 0 0-18.5";
const ARROWS = "M20.5 12A8.5 8.5 0 0 1 5.6 17.6M3.5 12A8.5 8.5 0 0 1 18.4 6.4M18.9 2.9v3.7h-3.7M5.1 21.1v-3.7h3.7";
const GLYPHS = {
  READY: `${CIRCLE}M7.6 12.4l3 3 5.8-6.2`,
  SYNCING: ARROWS,
  CONNECTING: ARROWS,
  RECONNECTING: ARROWS,
  DEGRADED: "M12 3.2 22 20.4H2Z M12 9.5v5 M12 17.4v.1",
  FAILED: "M8 2.8h8l5.2 5.2v8L16 21.2H8L2.8 16V8Z M9 9l6 6 M15 9l-6 6",
  DISCONNECTED: `${CIRCLE}M8 12h8`,
};
const COLOURS = { READY: "#1fb57e", SYNCING: "#3d8fe0", CONNECTING: "#3d8fe0", DEGRADED: "#e0a420", RECONNECTING: "#e2643a", FAILED: "#d93a4c" };

let current = null;
let clockOffset = 0;
let waitStart = 0;

export const serverNow = () => Date.now() + clockOffset;

export function setServerTime(text) {
  clockOffset = Date.parse(text) - Date.now();
}

export const status = () => current;
// This is true during start-up, too: a reconnect would end that session.
export const hasSession = () => ["up", "suspect"].includes(current?.session);

export function showStatus(update) {
  const root = document.documentElement;
  root.dataset.state = update.state;
  if (update.next_retry_at !== current?.next_retry_at) waitStart = serverNow();
  current = update;
  setText("state", update.state);
  setText("reason", update.reason);
  setText("cure", update.cure);
  byId("glyph").setAttribute("d", GLYPHS[update.state] ?? CIRCLE);
  setText("attempt", update.attempt ? `attempt ${update.attempt}` : "");
  setText("endpoint", `${update.endpoint}, client ${update.client_id}`);
  setText("gateway", `${update.endpoint}, client ${update.client_id}`);
  // The text is not shown if it is the same as the reason of the state.
  const why = update.may_trade_reason === update.reason ? "" : update.may_trade_reason;
  showTrade(update.may_trade ? "yes" : "no", update.may_trade ? "Orders may be sent" : "New orders are refused", why);
  showHalt(update.halted);
  byId("alert").hidden = !update.alert;
  setText("alert", update.alert && `Needs attention: ${update.alert}.`);
  byId("unconfirmed").hidden = !update.unconfirmed.length;
  setText("unconfirmed", unconfirmedText(update.unconfirmed));
  const isTrying = update.next_retry_at !== null || update.session === "opening";
  setText("reconnect", hasSession() ? "Reconnect" : isTrying ? "Try now" : "Connect");
  byId("reconnect").classList.toggle("quiet", hasSession());
  tick();
}

// The halt of another program changes without a new status.
export function showHalt(reason) {
  if (!current) return;
  current.halted = reason;
  byId("halt-fact").dataset.halted = reason ? "yes" : "no";
  const unknown = "no program that trades is known here";
  setText("halt-words", reason ? `halted: ${reason}` : current.can_halt ? "not halted" : unknown);
  byId("halt").hidden = !current.can_halt;
  setText("halt", reason ? "Resume" : "Halt");
  byId("halt").classList.toggle("danger", !reason);
}

function unconfirmedText(orders) {
  const words = orders.slice(0, 20).map((each) => `${each.action} ${each.quantity} ${each.symbol} ${each.order_type} (order ${each.order_id})`);
  if (orders.length > words.length) words.push(`and ${orders.length - words.length} more`);
  return words.length ? `Sent, but not acknowledged by a gateway: ${words.join("; ")}. Check in TWS whether they exist.` : "";
}

function showTrade(may, word, why) {
  byId("trade").dataset.may = may;
  setText("trade-word", word);
  setText("trade-reason", why);
}

export function showStream(isLive) {
  const state = isLive && current ? current.state : "UNKNOWN";
  byId("kicker").hidden = isLive;
  if (!isLive) showTrade("unknown", "Not known whether orders may be sent", "");
  document.title = isLive && current ? `${current.state} · ibkr` : "no data · ibkr";
  const colour = COLOURS[state] ?? "#7f8b9d";
  byId("icon").href = `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="${colour}"/></svg>`)}`;
}

export function tickClock() {
  byId("clock").textContent = clock(new Date());
}

export function tick() {
  if (!current) return;
  const now = serverNow();
  const since = Date.parse(current.since);
  setText("since", `${forDuration((now - since) / 1000)}, since ${clock(new Date(since))}`);
  const due = current.next_retry_at && Date.parse(current.next_retry_at);
  // This stays visible between short waits: nothing on the page should move four times a second.
  byId("next").hidden = !due && current.session !== "opening";
  setText("next-words", due ? "next attempt in" : "attempt in progress");
  byId("wait").value = due ? byId("wait").value : 1;
  if (!due) return setText("countdown", "");
  const left = Math.max(0, due - now);
  setText("countdown", `${(left / 1000).toFixed(1)} s`);
  byId("wait").value = due > waitStart ? 1 - left / (due - waitStart) : 1;
}
