// The tables of subscriptions, orders and positions, and what their states mean.

import { byId, duration, setText } from "./format.js";
import { fill, matches, showMeanings, totalText } from "./table.js";

const STATES = [
  ["live", "good", "messages arrive"],
  ["paused", "warn", "it was live; nothing can arrive while the session or the link to IB is down"],
  ["sent", "busy", "requested, no message yet"],
  ["wanted", "busy", "not requested in this session yet; it will be requested"],
  ["silent", "warn", "it was live, was requested again, and sends nothing; markets may be closed"],
  ["withheld", "warn", "IB sends no data while this user is logged in elsewhere"],
  ["refused", "bad", "the gateway refuses it; it is requested again"],
];
const STAGES = [
  ["unconfirmed", "bad", "sent, but not acknowledged by a gateway: it may be at the broker"],
  ["waiting", "warn", "waits in this program to be sent"],
  ["sent", "busy", "sent, and not acknowledged yet"],
  ["open", "good", "the broker has it"],
];
const WORST_FIRST = ["refused", "withheld", "silent", "paused", "wanted", "sent", "live"];

let details = null;
let client = "";
const tones = (kinds) => Object.fromEntries(kinds.map(([name, tone]) => [name, tone]));
const STATE_TONES = tones(STATES);
const STAGE_TONES = tones(STAGES);
const number = (value) => (value === null ? "" : value.toLocaleString("en-GB", { maximumFractionDigits: 6 }));

export function showDetails(data, status) {
  details = data;
  client = status ? `client ${status.client_id}` : "this client";
  const isOff = status && (status.upstream === "down" || !["up", "suspect"].includes(status.session));
  for (const each of isOff ? details.subscriptions.rows : []) if (each.state === "live") each.state = "paused";
  showSubscriptions();
  showOrders();
  showPositions();
}

function showSubscriptions() {
  const { total, rows } = details.subscriptions;
  const filter = byId("subscriptions-filter").value;
  const sorted = rows.toSorted((a, b) => WORST_FIRST.indexOf(a.state) - WORST_FIRST.indexOf(b.state));
  const all = sorted.map((each) => ({ cells: [each.state, each.label, each.kind, ageOf(each.age), each.last_error], tone: STATE_TONES[each.state] }));
  const shown = filter ? all.filter(({ cells }) => matches(filter, cells)) : all;
  fill("subscriptions", shown);
  setText("subscriptions-total", totalText(shown.length, total));
  showMeanings("subscriptions-words", countedMeanings(STATES, rows, "state"));
  byId("no-subscriptions").hidden = shown.length > 0;
  setText("no-subscriptions", total ? "None matches the filter." : `${client} has no subscriptions. Those of other programs are not visible here.`);
}

function showOrders() {
  const { total, rows } = details.orders;
  fill("orders", rows.map((each) => ({ cells: orderCells(each), tone: STAGE_TONES[each.stage] })));
  setText("orders-total", totalText(rows.length, total));
  showMeanings("orders-words", countedMeanings(STAGES, rows, "stage"));
  byId("no-orders").hidden = total > 0;
  setText("no-orders", `No order of ${client} is open, waiting or unconfirmed. Orders of other programs and of TWS appear here only if the gateway reports them to ${client}.`);
}

function orderCells(each) {
  const limit = each.limit_price === null ? "" : ` at ${number(each.limit_price)}`;
  const stop = each.stop_price === null ? "" : `, stop ${number(each.stop_price)}`;
  const order = `${each.action} ${number(each.quantity)} ${each.symbol} ${each.order_type}${limit}${stop}`;
  const filled = each.filled ? `${number(each.filled)} at ${number(each.average_price)}` : "";
  return [each.stage, order, filled, each.status, `${each.client_id}, ${each.order_id}`, each.account, each.order_ref];
}

function showPositions() {
  const { total, rows } = details.positions;
  fill("positions", rows.map((each) => ({ cells: [each.symbol, number(each.quantity), number(each.average_cost), each.account] })));
  setText("positions-total", totalText(rows.length, total));
  byId("no-positions").hidden = total > 0;
  setText("no-positions", "None reported.");
}

function countedMeanings(kinds, rows, key) {
  return kinds.flatMap(([name, tone, meaning]) => {
    const count = rows.filter((row) => row[key] === name).length;
    return count ? [[tone, name, count, meaning]] : [];
  });
}

function ageOf(seconds) {
  if (seconds === null) return "none yet";
  return seconds < 1 ? "under 1 s ago" : `${duration(Math.floor(seconds))} ago`;
}

byId("subscriptions-filter").addEventListener("input", () => details && showSubscriptions());
