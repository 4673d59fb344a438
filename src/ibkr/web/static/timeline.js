// The timeline: states of the last hour, day, week or month, or since watching began if that was later.

import { byId, clock, dateAndTime, duration, element } from "./format.js";
import { serverNow } from "./header.js";

const HOUR = 3600_000;
const MIN_SPAN = 1000;
const WIDTH = 1440;
const SVG = "http://www.w3.org/2000/svg";
const STATE_TEXTS = { NOT_WATCHED: "not watched" };
const LEGEND_ORDER = ["READY", "SYNCING", "CONNECTING", "DEGRADED", "RECONNECTING", "FAILED", "DISCONNECTED", "NOT_WATCHED"];
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 1440, 2880, 7200]; // minutes
const QUIET = ["READY", "NOT_WATCHED"];
const RANGES = { 1: "hour", 24: "24 hours", 168: "7 days", 720: "30 days" };
const textOf = (state) => STATE_TEXTS[state] ?? state;

const radios = [...document.querySelectorAll('input[name="range"]')];
const stored = radios.find((radio) => radio.value === localStorage.range);
if (stored) stored.checked = true;

export const hours = () => Number(radios.find((radio) => radio.checked).value);

export function onRange(load) {
  byId("ranges").addEventListener("change", () => {
    localStorage.range = String(hours());
    load();
  });
}

let segments = []; // {at, state}; the last one has no end
let seconds = { ready: 0, watched: 0, asOf: 0 };

// Whether watching began so recently that each second shows.
export const isYoung = () => seconds.watched < 60;

export function setTimeline(data, state) {
  segments = data.segments.map((segment) => ({ at: Date.parse(segment.at), state: segment.state }));
  seconds = { ready: data.ready_seconds, watched: data.watched_seconds, asOf: Date.parse(data.to) };
  addState(seconds.asOf, state);
  drawTimeline();
}

export function addState(at, state) {
  const last = segments[segments.length - 1];
  if (last && last.state !== state && at >= last.at) {
    addSeconds(at);
    segments.push({ at, state });
  }
}

export function drawTimeline() {
  if (!segments.length) return;
  const to = serverNow();
  const from = startOf(to);
  addSeconds(to);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} 1`);
  svg.setAttribute("preserveAspectRatio", "none");
  const x = (at) => (WIDTH * (at - from)) / (to - from);
  const minWidth = (3 * WIDTH) / Math.max(1, byId("band").clientWidth); // three pixels: problems must be visible
  for (const [begin, end, state] of periods(from, to)) {
    const rect = document.createElementNS(SVG, "rect");
    const width = Math.max(x(end) - x(begin), QUIET.includes(state) ? 0 : minWidth);
    rect.setAttribute("x", Math.min(x(begin), WIDTH - width).toFixed(2));
    rect.setAttribute("width", (width + 0.3).toFixed(2)); // no gap between two
    rect.setAttribute("height", "1");
    rect.dataset.state = state;
    svg.append(rect);
  }
  byId("band").replaceChildren(svg);
  const share = seconds.watched ? (100 * seconds.ready) / seconds.watched : 0;
  byId("day-share").textContent = seconds.watched >= 1 ? `${share === 100 ? "100" : (Math.floor(share * 100) / 100).toFixed(2)} %` : "–";
  byId("day-words").textContent = seconds.watched >= 1 ? `READY of the ${duration(Math.floor(seconds.watched))} watched in the last ${RANGES[hours()]}` : "not watched yet";
  drawMarks(from, to);
  drawLegend();
}

// Shows the state under the pointer.
export function readOut(event) {
  const box = byId("band").getBoundingClientRect();
  const to = serverNow();
  const from = startOf(to);
  const at = from + ((to - from) * (event.clientX - box.left)) / box.width;
  const found = [...periods(from, to)].find(([begin, end]) => begin <= at && at < end);
  if (!found) return;
  const [begin, end, state] = found;
  const until = end === to ? "now" : dateAndTime(new Date(end));
  byId("readout").textContent = `${dateAndTime(new Date(begin))} to ${until}: ${textOf(state)}, ${duration((end - begin) / 1000)}`;
}

function* periods(from, to) {
  const lead = from > to - hours() * HOUR ? segments.findIndex((segment) => segment.state !== "NOT_WATCHED") : 0;
  for (const [number, segment] of segments.entries()) {
    if (number < lead) continue;
    const begin = number === lead ? from : Math.max(segment.at, from);
    const end = Math.min(segments[number + 1]?.at ?? to, to);
    if (begin < end) yield [begin, end, segment.state];
  }
}

// Adds the time since the last answer of the server.
function addSeconds(to) {
  const elapsed = (to - seconds.asOf) / 1000;
  const state = segments[segments.length - 1].state;
  if (elapsed <= 0) return;
  if (state === "READY") seconds.ready += elapsed;
  if (state !== "NOT_WATCHED") seconds.watched += elapsed;
  seconds.asOf = to;
}

// The timeline starts where watching began: before that there is nothing to show.
function startOf(to) {
  const from = to - hours() * HOUR;
  const first = segments.find((segment) => segment.state !== "NOT_WATCHED");
  return first ? Math.max(from, Math.min(first.at, to - MIN_SPAN)) : from;
}

// Draws marks at whole minutes, hours or days, as many as have space.
function drawMarks(from, to) {
  const maxMarks = Math.max(2, Math.floor(byId("band").clientWidth / 90));
  const step = STEPS.find((minutes) => (to - from) / (minutes * 60_000) <= maxMarks) ?? STEPS[STEPS.length - 1];
  const isDays = step >= 1440;
  const first = new Date(from);
  first.setHours(0, 0, 0, 0);
  const marks = [];
  for (let at = first.getTime(); at < to; at += step * 60_000) {
    const place = (at - from) / (to - from);
    const edge = 20 / Math.max(1, byId("band").clientWidth);
    if (place < edge || place > 1 - edge) continue;
    const local = new Date(at + (isDays ? 2 * HOUR : 0)); // a day may have 23 hours
    const mark = element("span", isDays ? local.toLocaleDateString("en-GB", { day: "numeric", month: "short" }) : clock(local, false));
    mark.style.left = `${100 * place}%`;
    marks.push(mark);
  }
  byId("hours").replaceChildren(...marks);
}

function drawLegend() {
  const from = startOf(serverNow());
  const drawn = new Set([...periods(from, serverNow())].map(([, , state]) => state));
  const states = LEGEND_ORDER.filter((state) => drawn.has(state));
  byId("legend").replaceChildren(...states.map((state) => element("li", textOf(state), { "data-state": state })));
}
