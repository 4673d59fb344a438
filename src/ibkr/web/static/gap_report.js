// Shows a gap report: what changed at the broker during an outage.

import { clock, element } from "./format.js";

const order = (each) => `${each.action.toLowerCase()} ${each.quantity} ${each.symbol} ${each.order_type}${each.status ? `, ${each.status}` : ""}`;
const text = (each) => each;

// key, singular, plural, text of an entry, whether somebody should look
const PARTS = [
  ["executions", "fill", "fills", (each) => `${each.side === "BOT" ? "bought" : "sold"} ${each.shares} ${each.symbol} at ${each.price}, ${clock(new Date(each.time))}`],
  ["orders_changed", "order changed", "orders changed", ({ before, after }) => `${order(after)} (was ${before.status}, filled ${before.filled}, now ${after.filled})`],
  ["orders_appeared", "new order", "new orders", order],
  ["orders_vanished", "order vanished", "orders vanished", order, true],
  ["orders_confirmed", "order found again", "orders found again", order],
  ["orders_unconfirmed", "order unconfirmed", "orders unconfirmed", order, true],
  ["positions", "position changed", "positions changed", (each) => `${each.symbol}: ${each.before}, now ${each.after}${each.is_explained ? "" : ", which the fills do not explain"}`],
  ["subscriptions_refused", "subscription refused", "subscriptions refused", text, true],
  ["bars", "list of bars filled up", "lists of bars filled up", (each) => `${each.subscription}: ${each.bars}`],
  ["subscriptions_restored", "subscription restored", "subscriptions restored", text],
  ["incomplete", "unknown item", "unknown items", text, true],
];
const MAX_SHOWN = 20;

export function gapReport(gap, isOpen) {
  const details = element("details");
  details.open = isOpen;
  const list = element("dl");
  const counts = [];
  for (const [key, one, many, describe, isBad] of PARTS) {
    const found = gap[key] ?? [];
    if (!found.length) continue;
    counts.push(`${found.length} ${found.length === 1 ? one : many}`);
    const value = element("dd");
    value.append(...found.slice(0, MAX_SHOWN).map((each) => element("div", describe(each))));
    if (found.length > MAX_SHOWN) value.append(element("div", `and ${found.length - MAX_SHOWN} more`));
    list.append(element("dt", found.length === 1 ? one : many, isBad ? { class: "bad" } : {}), value);
  }
  details.append(element("summary", `Gap report: ${counts.join(", ") || "no changes found"}`), list);
  return details;
}
