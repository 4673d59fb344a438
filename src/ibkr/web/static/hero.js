// The state, large: what, why, since when, may the program trade, when is the next attempt.

import { byId, clock, lasting } from "./format.js";

const CIRCLE = "M12 2.75a9.25 9.25 0 1 0 0 18.5 9.25 9.25 0 1 0 0-18.5";
const TURNING = "M20.5 12A8.5 8.5 0 0 1 5.6 17.6M3.5 12A8.5 8.5 0 0 1 18.4 6.4M18.9 2.9v3.7h-3.7M5.1 21.1v-3.7h3.7";
const GLYPHS = {
  READY: `${CIRCLE}M7.6 12.4l3 3 5.8-6.2`,
  SYNCING: TURNING,
  CONNECTING: TURNING,
  RECONNECTING: TURNING,
  DEGRADED: "M12 3.2 22 20.4H2Z M12 9.5v5 M12 17.4v.1",
  FAILED: "M8 2.8h8l5.2 5.2v8L16 21.2H8L2.8 16V8Z M9 9l6 6 M15 9l-6 6",
  DISCONNECTED: `${CIRCLE}M8 12h8`,
};
const COLOURS = { READY: "#1fb57e", SYNCING: "#3d8fe0", CONNECTING: "#3d8fe0", DEGRADED: "#e0a420", RECONNECTING: "#e2643a", FAILED: "#d93a4c" };

let shown = null;
let skew = 0;
let waitBegan = 0;

export const serverNow = () => Date.now() + skew;

export function setServerTime(text) {
  skew = Date.parse(text) - Date.now();
}

export function showStatus(status) {
  const root = document.documentElement;
  root.dataset.state = status.state;
  if (status.next_retry_at !== shown?.next_retry_at) waitBegan = serverNow();
  shown = status;
  setText("state", status.state);
  setText("reason", status.reason);
  setText("cure", status.cure);
  byId("glyph").setAttribute("d", GLYPHS[status.state] ?? CIRCLE);
  setText("attempt", status.attempt ? `attempt ${status.attempt}` : "");
  setText("endpoint", `${status.endpoint}, client ${status.client_id}`);
  // The reason for the state says it already, where it is the same.
  const why = status.may_trade_reason === status.reason ? "" : status.may_trade_reason;
  showTrade(status.may_trade ? "yes" : "no", status.may_trade ? "Orders may be sent" : "No orders", why);
  byId("alert").hidden = !status.alert;
  setText("alert", status.alert && `Look at this: ${status.alert}.`);
  byId("unconfirmed").hidden = !status.unconfirmed.length;
  setText("unconfirmed", unconfirmedWords(status.unconfirmed));
  const isTrying = status.next_retry_at !== null || status.session === "opening";
  setText("reconnect", status.is_connected ? "Reconnect" : isTrying ? "Try now" : "Connect");
  byId("reconnect").classList.toggle("quiet", status.is_connected);
  tick();
}

function unconfirmedWords(orders) {
  const words = orders.map((each) => `${each.action} ${each.quantity} ${each.symbol} ${each.order_type} (order ${each.order_id})`);
  return words.length ? `Sent, and acknowledged by no gateway: ${words.join("; ")}.` : "";
}

function showTrade(may, word, why) {
  byId("trade").dataset.may = may;
  setText("trade-word", word);
  setText("trade-reason", why);
}

export function showStream(isLive) {
  const state = isLive && shown ? shown.state : "UNKNOWN";
  setText("kicker", isLive ? "Connection" : "Last known, now out of date");
  if (!isLive) showTrade("unknown", "May orders be sent? Not known", "");
  document.title = isLive && shown ? `${shown.state} · ibkr` : "no news · ibkr";
  const colour = COLOURS[state] ?? "#7f8b9d";
  byId("icon").href = `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="${colour}"/></svg>`)}`;
}

export function tickClock() {
  byId("clock").textContent = clock(new Date());
}

export function tick() {
  if (!shown) return;
  const now = serverNow();
  const since = Date.parse(shown.since);
  setText("since", `${lasting((now - since) / 1000)}, since ${clock(new Date(since))}`);
  const due = shown.next_retry_at && Date.parse(shown.next_retry_at);
  // Between short waits it stays in its place: nothing jumps four times a second.
  byId("next").hidden = !due && shown.session !== "opening";
  setText("next-words", due ? "next attempt in" : "attempt under way");
  byId("wait").value = due ? byId("wait").value : 1;
  if (!due) return setText("countdown", "");
  const left = Math.max(0, due - now);
  setText("countdown", `${(left / 1000).toFixed(1)} s`);
  byId("wait").value = due > waitBegan ? 1 - left / (due - waitBegan) : 1;
}

// Only what changed: a screen reader reads out what is written anew.
function setText(id, text) {
  const target = byId(id);
  if (target.textContent !== text) target.textContent = text;
}
