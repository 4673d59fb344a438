// Round-trips of the last half hour.

import { byId, clock, element, milliseconds } from "./format.js";
import { serverNow } from "./hero.js";

const SPAN = 30 * 60_000;
const GAP = 60_000; // no line across a longer silence
const SVG = "http://www.w3.org/2000/svg";

let points = [];

export function setRoundTrips(rows) {
  points = rows.map(([at, seconds]) => [Date.parse(at), seconds]);
  draw();
}

export function addRoundTrips(rows) {
  if (!rows.length) return;
  points.push(...rows.map(([at, seconds]) => [Date.parse(at), seconds]));
  draw();
}

function draw() {
  const to = serverNow();
  points = points.filter(([at]) => at > to - SPAN);
  if (!points.length) return;
  const seconds = points.map((point) => point[1]).sort((a, b) => a - b);
  const median = seconds[Math.floor(seconds.length / 2)];
  const most = seconds[seconds.length - 1];
  byId("trip-last").textContent = milliseconds(points[points.length - 1][1]);
  byId("trip-words").textContent = `median ${milliseconds(median)}, longest ${milliseconds(most)}`;
  const from = Math.max(points[0][0], to - SPAN);
  const top = niceAbove(most);
  const x = (at) => (1000 * (at - from)) / Math.max(1, to - from);
  const y = (value) => 100 - (100 * value) / top;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 1000 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true"); // the words above say it
  for (const level of [0, 50, 100]) add(svg, "path", "grid", `M0 ${level}H1000`);
  for (const run of runs()) {
    const line = run.map(([at, value]) => `${x(at).toFixed(1)} ${y(value).toFixed(2)}`).join("L");
    add(svg, "path", "area", `M${x(run[0][0]).toFixed(1)} 100L${line}L${x(run[run.length - 1][0]).toFixed(1)} 100Z`);
    add(svg, "path", "curve", `M${line}${run.length === 1 ? "h2" : ""}`);
  }
  byId("trip-plot").replaceChildren(
    svg,
    element("span", milliseconds(top), { class: "top" }),
    element("span", clock(new Date(from), false), { class: "from" }),
    element("span", "now", { class: "to" }),
  );
}

function runs() {
  const found = [];
  for (const point of points) {
    const last = found[found.length - 1];
    if (last && point[0] - last[last.length - 1][0] < GAP) last.push(point);
    else found.push([point]);
  }
  return found;
}

// Some room above the highest: of 9.6 it takes more than 10.
function niceAbove(value) {
  const size = 10 ** Math.floor(Math.log10(Math.max(value, 1e-4)));
  return size * [1, 1.5, 2, 3, 4, 5, 7.5, 10, 15].find((factor) => factor * size >= value * 1.05);
}

function add(svg, name, kind, d) {
  const made = document.createElementNS(SVG, name);
  made.setAttribute("class", kind);
  made.setAttribute("d", d);
  svg.append(made);
}
