// The plot of the latency in the last half hour: probes as a line, requests of the program as points.

import { byId, clock, element, milliseconds } from "./format.js";
import { serverNow } from "./header.js";

const SPAN = 30 * 60_000;
const MAX_GAP = 90_000; // no line across a longer gap; while data flows, there is a probe every 30 s
const MAX_ANSWERS = 500;
const SVG = "http://www.w3.org/2000/svg";

let points = [];
let answers = []; // [at, seconds, name]

export function setRoundTrips(rows) {
  points = rows.map(([at, seconds]) => [Date.parse(at), seconds]);
  draw();
}

export function addRoundTrips(rows) {
  if (!rows.length) return;
  points.push(...rows.map(([at, seconds]) => [Date.parse(at), seconds]));
  draw();
}

export function setAnswers(rows) {
  answers = rows.map(([at, seconds, name]) => [Date.parse(at), seconds, name]);
  draw();
}

export function addAnswers(rows) {
  if (!rows.length) return;
  answers.push(...rows.map(([at, seconds, name]) => [Date.parse(at), seconds, name]));
  draw();
}

function draw() {
  const to = serverNow();
  points = points.filter(([at]) => at > to - SPAN);
  answers = answers.filter(([at]) => at > to - SPAN).slice(-MAX_ANSWERS);
  if (!points.length && !answers.length) return;
  showSummary("trip", points, (last) => `last probe; ${last}`);
  showSummary("request", answers, (last) => `${answers[answers.length - 1][2]}, the last request; ${last} of ${answers.length}`);
  const all = [...points, ...answers];
  const from = Math.max(Math.min(to - 60_000, ...all.map(([at]) => at - 1000)), to - SPAN);
  const top = axisLimit(Math.max(...all.map(([, seconds]) => seconds)));
  const x = (at) => (1000 * (at - from)) / Math.max(1, to - from);
  const y = (value) => 100 - (100 * value) / top;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 1000 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true"); // the text says the same
  for (const level of [0, 50, 100]) add(svg, "path", "grid", `M0 ${level}H1000`);
  for (const run of lines()) {
    const line = run.map(([at, value]) => `${x(at).toFixed(1)} ${y(value).toFixed(2)}`).join("L");
    if (run.length > 1) add(svg, "path", "area", `M${x(run[0][0]).toFixed(1)} 100L${line}L${x(run[run.length - 1][0]).toFixed(1)} 100Z`);
    add(svg, "path", "curve", `M${line}${run.length === 1 ? "h0" : ""}`);
  }
  // A line of length 0 with round ends is a round dot, even if the plot is stretched.
  const dots = (rows) => rows.map(([at, value]) => `M${x(at).toFixed(1)} ${y(value).toFixed(2)}h0`).join("");
  add(svg, "path", "dots", dots(points));
  add(svg, "path", "dots request", dots(answers));
  byId("trip-plot").replaceChildren(
    svg,
    element("span", milliseconds(top), { class: "top" }),
    element("span", clock(new Date(from), false), { class: "from" }),
    element("span", "now", { class: "to" }),
  );
}

function showSummary(name, rows, text) {
  if (!rows.length) return;
  const seconds = rows.map((row) => row[1]).sort((a, b) => a - b);
  byId(`${name}-last`).textContent = milliseconds(rows[rows.length - 1][1]);
  byId(`${name}-words`).textContent = text(`median ${milliseconds(seconds[Math.floor(seconds.length / 2)])}, longest ${milliseconds(seconds[seconds.length - 1])}`);
}

function lines() {
  const found = [];
  for (const point of points) {
    const last = found[found.length - 1];
    if (last && point[0] - last[last.length - 1][0] < MAX_GAP) last.push(point);
    else found.push([point]);
  }
  return found;
}

// Leaves some space above the highest point: for 9.6, 10 would be too little.
function axisLimit(value) {
  const size = 10 ** Math.floor(Math.log10(Math.max(value, 1e-4)));
  return size * [1, 1.5, 2, 3, 4, 5, 7.5, 10, 15].find((factor) => factor * size >= value * 1.05);
}

function add(svg, name, kind, d) {
  const made = document.createElementNS(SVG, name);
  made.setAttribute("class", kind);
  made.setAttribute("d", d);
  svg.append(made);
}
