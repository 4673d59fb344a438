// The table of outages with their gap reports.

import { byId, dateAndTime, duration, element } from "./format.js";
import { gapReport } from "./gap_report.js";
import { serverNow } from "./header.js";

const MAX_OUTAGES = 100;
const FEW = 3; // this many fit on a screen below the state
let showsAll = false;
const CAUSES = {
  session_lost: "session lost",
  upstream_lost: "upstream lost",
  data_lost: "upstream was restored without our subscriptions",
  incomplete: "something required was missing",
  failed: "stopped trying",
  unreadable: "cannot be read",
};
const OUTCOMES = { disconnected: "ended by disconnecting", unknown: "the program ended first" };

let outages = []; // newest first; identified by their beginning

export function setOutages(rows) {
  outages = rows;
  draw();
}

export function addOutage(row) {
  const known = outages.findIndex((outage) => outage.began_at === row.began_at);
  if (known >= 0) outages[known] = { ...outages[known], ...row };
  else outages.unshift(row);
  outages.length = Math.min(outages.length, MAX_OUTAGES);
  draw();
}

// A gap report comes after the end of its outage; the next outage may have begun.
export function addGap(gap) {
  const outage = outages.find((each) => Date.parse(each.began_at) <= Date.parse(gap.start) + 50);
  if (!outage) return;
  outage.gap = gap;
  draw();
}

export function tickOutages() {
  const lasting = outages.find((outage) => !outage.ended_at && outage.cause !== "unreadable");
  const cell = document.querySelector("td .now");
  if (lasting && cell) cell.textContent = durationOf(lasting);
}

function draw() {
  byId("no-outages").hidden = outages.length > 0;
  byId("outages").hidden = !outages.length;
  // Open gap reports stay open.
  const open = new Set([...document.querySelectorAll("tr:has(details[open])")].map((row) => row.dataset.began));
  const shown = showsAll ? outages : outages.slice(0, FEW);
  byId("all-outages").hidden = outages.length <= FEW;
  byId("all-outages").textContent = showsAll ? `Show the last ${FEW}` : `Show all ${outages.length}`;
  byId("all-outages").setAttribute("aria-expanded", String(showsAll));
  byId("outage-rows").replaceChildren(...shown.map((outage) => rowOf(outage, open.has(outage.began_at))));
}

function rowOf(outage, isOpen) {
  const row = element("tr", "", { "data-began": outage.began_at });
  row.append(element("td", outage.began_at ? dateAndTime(new Date(outage.began_at)) : "?"));
  const span = element("td");
  span.append(element("span", durationOf(outage), outage.ended_at || outage.cause === "unreadable" ? {} : { class: "now" }));
  const reason = element("td", outage.reason);
  if (outage.last_error && !outage.reason.includes(outage.last_error)) reason.append(element("small", outage.last_error.replace(/^\w+: /, "")));
  if (OUTCOMES[outage.outcome]) reason.append(element("small", OUTCOMES[outage.outcome]));
  if (outage.gap) reason.append(gapReport(outage.gap, isOpen));
  row.append(span, element("td", CAUSES[outage.cause] ?? outage.cause), reason);
  return row;
}

function durationOf(outage) {
  if (outage.cause === "unreadable") return "?";
  return outage.ended_at ? duration(outage.seconds) : `${duration(Math.max(1, Math.floor((serverNow() - Date.parse(outage.began_at)) / 1000)))}, not over`;
}

byId("all-outages").addEventListener("click", () => {
  showsAll = !showsAll;
  draw();
});
