// Wires the page: what the stream brings goes to those who show it.

import { addState, drawDay, readOut, setDay } from "./band.js";
import { addRoundTrips, setRoundTrips } from "./chart.js";
import { byId, clock } from "./format.js";
import { setServerTime, showStatus, showStream, tick, tickClock } from "./hero.js";
import { addGap, addOutage, setOutages, tickOutages } from "./outages.js";
import { showCounts, showPath } from "./path.js";
import { showProcess } from "./process.js";
import { Stream } from "./stream.js";

let status = null;

const handlers = {
  status(news) {
    setServerTime(news.as_of);
    addState(Date.parse(news.since), news.state);
    status = news;
    showStatus(news);
    showStream(true);
    showPath(news);
    showProcess(news.gateway);
    drawDay();
  },
  stats(stats) {
    setServerTime(stats.as_of);
    showCounts(stats);
    addRoundTrips(stats.new_round_trips);
  },
  outage: addOutage,
  gap: addGap,
};

const life = {
  onLive() {
    document.documentElement.dataset.stream = "live";
    byId("stream-words").textContent = "live";
    showStream(true);
    load();
  },
  onLost() {
    if (document.documentElement.dataset.stream === "lost") return;
    document.documentElement.dataset.stream = "lost";
    byId("stream-words").textContent = `No news from ibkr serve since ${clock(new Date())}. Trying again`;
    showStream(false);
  },
  onRefused: askForToken,
};

// What the stream does not bring: the past. After a loss it is read again, for it may have gone on.
async function load() {
  const [day, trips, outages, counts] = await Promise.all(
    ["timeline", "round-trips", "outages", "status"].map((name) => fetch(`/api/${name}`).then((answer) => (answer.ok ? answer.json() : null)).catch(() => null)),
  );
  if (day) setDay(day, status?.state ?? "NOT_WATCHED");
  if (trips) setRoundTrips(trips.round_trips);
  if (outages) setOutages(outages.outages);
  if (counts) showCounts(counts.stats);
}

async function start() {
  const answer = await fetch("/api/status").catch(() => null);
  if (answer?.status === 401) askForToken();
  else show();
}

function show() {
  byId("login").hidden = true;
  byId("content").hidden = false;
  new Stream(handlers, life);
}

function askForToken() {
  byId("content").hidden = true;
  byId("login").hidden = false;
  byId("stream-words").textContent = "waiting for the token";
  byId("token").focus();
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = byId("token");
  const answer = await post("/api/token", { token: field.value });
  field.value = "";
  byId("login-words").textContent = answer?.ok ? "" : answer?.status === 401 ? "That is not the token." : "ibkr serve did not answer as it should.";
  if (answer?.ok) show();
});

byId("reconnect").addEventListener("click", () => {
  if (status?.is_connected) byId("sure").showModal();
  else reconnect();
});
byId("sure").addEventListener("close", () => {
  if (byId("sure").returnValue === "yes") reconnect();
  byId("sure").returnValue = "";
});

async function reconnect() {
  const answer = await post("/api/reconnect");
  byId("answer").textContent = answer?.ok ? "" : answer?.status === 409 ? "The program wants no connection: it has to connect first." : "ibkr serve did not take that.";
}

function post(path, body) {
  return fetch(path, { method: "POST", body: body && JSON.stringify(body) }).catch(() => null);
}

function theme(wanted) {
  const isDark = wanted ? wanted === "dark" : !matchMedia("(prefers-color-scheme: light)").matches;
  if (wanted) document.documentElement.dataset.theme = wanted;
  byId("theme").textContent = isDark ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", isDark ? "Light colours" : "Dark colours");
  return isDark;
}
byId("theme").addEventListener("click", () => {
  const next = theme(localStorage.theme) ? "light" : "dark";
  localStorage.theme = next;
  theme(next);
});
theme(localStorage.theme);

byId("band").addEventListener("pointermove", readOut);
byId("band").addEventListener("pointerleave", () => (byId("readout").textContent = ""));
// Nothing goes on by itself while no news comes: what is old must not pass for fresh.
const whileLive = (work, every) => setInterval(() => document.documentElement.dataset.stream === "live" && work(), every);
whileLive(tick, 100);
whileLive(tickOutages, 1000);
whileLive(drawDay, 30_000);
whileLive(load, 300_000);
setInterval(tickClock, 500);
start();
