// The axes and the numbers: session, upstream, farms, subscriptions, traffic.

import { amount, byId, element, length } from "./format.js";

const SESSION = { up: ["good", "up"], suspect: ["warn", "suspect"], opening: ["busy", "opening"], none: ["bad", "none"] };
const UPSTREAM = { up: ["good", "up"], assumed: ["good", "assumed up"], down: ["bad", "down"], unknown: ["none", "not known"] };

export function showPath(status) {
  showLink("session", SESSION[status.session]);
  showLink("upstream", UPSTREAM[status.upstream]);
  byId("client").textContent = `client ${status.client_id}`;
  const version = status.server_version ? `, protocol ${status.server_version}` : "";
  byId("gateway").textContent = status.endpoint + version;
  const readOnly = status.read_only ? ", read-only" : "";
  byId("accounts").textContent = status.accounts.length ? status.accounts.join(", ") + readOnly : "no account told";
  const farms = Object.entries(status.farms).sort();
  byId("farms").replaceChildren(
    ...farms.map(([name, state]) => element("li", state === "ok" ? name : `${name} ${state}`, { "data-farm": state })),
    ...(farms.length ? [] : [element("li", "none told yet", { class: "none" })]),
  );
}

function showLink(id, [tone, word]) {
  const link = byId(id);
  link.dataset.tone = tone;
  link.querySelector("b").textContent = word;
}

export function showCounts(stats) {
  const { live, sent, wanted, refused } = stats.subscriptions;
  const rows = [
    ["live", live],
    ["sent", sent],
    ["wanted", wanted],
    ["refused", refused, refused > 0],
    ["messages in", amount(stats.messages_in)],
    ["messages out", amount(stats.messages_out)],
    ["attempts", amount(stats.attempts)],
    ["loop stalled", stats.loop_stalls ? length(stats.loop_stall_seconds) : "never"],
  ];
  byId("counts").replaceChildren(
    ...rows.map(([name, value, isBad]) => {
      const row = element("div");
      row.append(element("dt", name), element("dd", String(value), isBad ? { class: "bad" } : {}));
      return row;
    }),
  );
}
