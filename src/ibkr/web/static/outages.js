// The list of outages: when, how long, why, what changed meanwhile.

import { byId, element, length, when } from "./format.js";
import { gapOf } from "./gap.js";
import { serverNow } from "./hero.js";

const KEPT = 100;
const CAUSES = {
  session_lost: "session lost",
  upstream_lost: "upstream lost",
  data_lost: "upstream came back without our subscriptions",
  incomplete: "something required was missing",
  failed: "given up",
};
const OUTCOMES = { disconnected: "ended by disconnecting", unknown: "the program ended first" };

let outages = []; // the latest first; one is known by its beginning

export function setOutages(rows) {
  outages = rows;
  draw();
}

export function addOutage(row) {
  const known = outages.findIndex((outage) => outage.began_at === row.began_at);
  if (known >= 0) outages[known] = { ...outages[known], ...row };
  else outages.unshift(row);
  outages.length = Math.min(outages.length, KEPT);
  draw();
}

// A gap report comes once an outage is over; the next one may have begun.
export function addGap(gap) {
  const outage = outages.find((each) => Date.parse(each.began_at) <= Date.parse(gap.start) + 50);
  if (!outage) return;
  outage.gap = gap;
  draw();
}

export function tickOutages() {
  const lasting = outages.find((outage) => !outage.ended_at);
  const cell = document.querySelector("td .now");
  if (lasting && cell) cell.textContent = lengthOf(lasting);
}

function draw() {
  byId("no-outages").hidden = outages.length > 0;
  byId("outages").hidden = !outages.length;
  // A gap report that was opened stays open.
  const open = new Set([...document.querySelectorAll("tr:has(details[open])")].map((row) => row.dataset.began));
  byId("outage-rows").replaceChildren(...outages.map((outage) => rowOf(outage, open.has(outage.began_at))));
}

function rowOf(outage, isOpen) {
  const row = element("tr", "", { "data-began": outage.began_at });
  row.append(element("td", when(new Date(outage.began_at))));
  const span = element("td");
  span.append(element("span", lengthOf(outage), outage.ended_at ? {} : { class: "now" }));
  const said = element("td", outage.reason);
  if (outage.last_error && !outage.reason.includes(outage.last_error)) said.append(element("small", outage.last_error.replace(/^\w+: /, "")));
  if (OUTCOMES[outage.outcome]) said.append(element("small", OUTCOMES[outage.outcome]));
  if (outage.gap) said.append(gapOf(outage.gap, isOpen));
  row.append(span, element("td", CAUSES[outage.cause] ?? outage.cause), said);
  return row;
}

function lengthOf(outage) {
  return outage.ended_at ? length(outage.seconds) : `${length(Math.max(1, Math.floor((serverNow() - Date.parse(outage.began_at)) / 1000)))}, and lasts`;
}
