// The connection to IB: session, upstream, data farms; and the traffic.

import { byId, duration, element, setText, shortNumber } from "./format.js";

const SESSION = { up: ["good", "up"], suspect: ["warn", "suspect"], opening: ["busy", "opening"], none: ["bad", "none"] };
const UPSTREAM = { up: ["good", "up"], assumed: ["good", "assumed up"], down: ["bad", "down"], unknown: ["none", "not known"] };

export function showLinkStatus(status) {
  showLink("session", SESSION[status.session]);
  showLink("upstream", UPSTREAM[status.upstream]);
  byId("client").textContent = `client ${status.client_id}`;
  byId("version").textContent = status.server_version ? `protocol ${status.server_version}` : "no session";
  const readOnly = status.read_only ? ", read-only" : "";
  byId("accounts").textContent = status.accounts.length ? status.accounts.join(", ") + readOnly : "no account reported";
  showFarms(status);
}

// While the link is down, the last known states of the farms are grey.
function showFarms(status) {
  const why = status.session !== "up" && status.session !== "suspect" ? "there is no session" : status.upstream === "down" ? "the link to IB is down" : "";
  const farms = Object.entries(status.farms).sort();
  byId("farms-words").hidden = !why || !farms.length;
  setText("farms-words", why && `Not known: ${why}. Last known:`);
  byId("farms").replaceChildren(
    ...farms.map(([name, state]) => element("li", state === "ok" ? name : `${name} ${state}`, { "data-farm": why ? "unknown" : state })),
    ...(farms.length ? [] : [element("li", "none reported yet", { class: "none" })]),
  );
}

function showLink(id, [tone, word]) {
  const link = byId(id);
  link.dataset.tone = tone;
  link.querySelector("b").textContent = word;
}

export function showCounts(stats) {
  const rows = [
    ["messages received", shortNumber(stats.messages_in)],
    ["messages sent", shortNumber(stats.messages_out)],
    ["connection attempts", shortNumber(stats.attempts)],
    ["event loop blocked", stats.loop_stalls ? `${stats.loop_stalls === 1 ? "once" : `${stats.loop_stalls} times`}, ${duration(stats.loop_stall_seconds)}` : "never"],
  ];
  byId("counts").replaceChildren(
    ...rows.map(([name, value]) => {
      const row = element("div");
      row.append(element("dt", name), element("dd", String(value)));
      return row;
    }),
  );
}
