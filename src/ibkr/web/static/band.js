// The last 24 hours as a band of states.

import { byId, clock, element, length } from "./format.js";
import { serverNow } from "./hero.js";

const DAY = 24 * 3600_000;
const WIDTH = 1440;
const SVG = "http://www.w3.org/2000/svg";
const WORDS = { NOT_WATCHED: "not watched" };
const ORDER = ["READY", "SYNCING", "CONNECTING", "DEGRADED", "RECONNECTING", "FAILED", "DISCONNECTED", "NOT_WATCHED"];
const QUIET = ["READY", "NOT_WATCHED"];
const word = (state) => WORDS[state] ?? state;

let segments = []; // {at, state}, the last one lasts
let seconds = { ready: 0, watched: 0, asOf: 0 };

export function setDay(day, state) {
  segments = day.segments.map((segment) => ({ at: Date.parse(segment.at), state: segment.state }));
  seconds = { ready: day.ready_seconds, watched: day.watched_seconds, asOf: Date.parse(day.to) };
  addState(seconds.asOf, state);
  drawDay();
}

export function addState(at, state) {
  const last = segments[segments.length - 1];
  if (last && last.state !== state && at >= last.at) {
    count(at);
    segments.push({ at, state });
  }
}

export function drawDay() {
  if (!segments.length) return;
  const to = serverNow();
  const from = to - DAY;
  count(to);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} 1`);
  svg.setAttribute("preserveAspectRatio", "none");
  const x = (at) => (WIDTH * (at - from)) / DAY;
  const least = (3 * WIDTH) / Math.max(1, byId("band").clientWidth); // three pixels: what went wrong must show
  for (const [begin, end, state] of stretches(from, to)) {
    const rect = document.createElementNS(SVG, "rect");
    const width = Math.max(x(end) - x(begin), QUIET.includes(state) ? 0 : least);
    rect.setAttribute("x", Math.min(x(begin), WIDTH - width).toFixed(2));
    rect.setAttribute("width", (width + 0.3).toFixed(2)); // no hairline between two
    rect.setAttribute("height", "1");
    rect.dataset.state = state;
    svg.append(rect);
  }
  byId("band").replaceChildren(svg);
  const share = seconds.watched ? (100 * seconds.ready) / seconds.watched : 0;
  byId("day-share").textContent = seconds.watched ? `${share === 100 ? "100" : (Math.floor(share * 100) / 100).toFixed(2)} %` : "–";
  byId("day-words").textContent = seconds.watched ? `READY of the ${length(Math.floor(seconds.watched))} watched` : "not watched yet";
  drawHours(from, to);
  drawLegend();
}

// Pointing at a moment reads it out.
export function readOut(event) {
  const box = byId("band").getBoundingClientRect();
  const to = serverNow();
  const at = to - DAY + (DAY * (event.clientX - box.left)) / box.width;
  const found = [...stretches(to - DAY, to)].find(([begin, end]) => begin <= at && at < end);
  if (!found) return;
  const [begin, end, state] = found;
  const until = end === to ? "now" : clock(new Date(end));
  byId("readout").textContent = `${clock(new Date(begin))} to ${until}: ${word(state)}, ${length((end - begin) / 1000)}`;
}

function* stretches(from, to) {
  for (const [number, segment] of segments.entries()) {
    const begin = Math.max(segment.at, from);
    const end = Math.min(segments[number + 1]?.at ?? to, to);
    if (begin < end) yield [begin, end, segment.state];
  }
}

// Between two answers of the server the shares go on from the last one.
function count(to) {
  const passed = (to - seconds.asOf) / 1000;
  const state = segments[segments.length - 1].state;
  if (passed <= 0) return;
  if (state === "READY") seconds.ready += passed;
  if (state !== "NOT_WATCHED") seconds.watched += passed;
  seconds.asOf = to;
}

function drawHours(from, to) {
  const marks = [];
  const hour = new Date(from);
  hour.setMinutes(0, 0, 0);
  for (let at = hour.getTime() + 3600_000; at < to; at += 3600_000) {
    const local = new Date(at);
    const place = (at - from) / DAY;
    if (local.getHours() % 4 || place < 0.02 || place > 0.98) continue;
    const mark = element("span", clock(local, false));
    mark.style.left = `${100 * place}%`;
    marks.push(mark);
  }
  byId("hours").replaceChildren(...marks);
}

function drawLegend() {
  const states = ORDER.filter((state) => segments.some((segment) => segment.state === state));
  byId("legend").replaceChildren(...states.map((state) => element("li", word(state), { "data-state": state })));
}
