// Entry point: passes the events of the stream to the modules that show them.

import "./actions.js";
import { get, pathOf, post } from "./api.js";
import { addAnswers, addRoundTrips, setAnswers, setRoundTrips } from "./latency.js";
import { showDetails } from "./details.js";
import { byId, clock } from "./format.js";
import { setServerTime, showHalt, showStatus, showStream, status, tick, tickClock } from "./header.js";
import { addMessages, setMessages } from "./messages.js";
import { addGap, addOutage, setOutages, tickOutages } from "./outages.js";
import { showCounts, showLinkStatus } from "./link_status.js";
import { showGatewayProcess } from "./gateway_process.js";
import { Stream } from "./stream.js";
import { showConnectors } from "./connector_switch.js";
import { addState, drawTimeline, hours, isYoung, onRange, readOut, setTimeline } from "./timeline.js";

const handlers = {
  status(data) {
    setServerTime(data.as_of);
    addState(Date.parse(data.since), data.state);
    showStatus(data);
    showStream(true);
    showLinkStatus(data);
    showGatewayProcess(data.gateway);
    drawTimeline();
  },
  stats(stats) {
    setServerTime(stats.as_of);
    byId("quiet").hidden = true;
    showCounts(stats);
    showHalt(stats.halted);
    addRoundTrips(stats.new_round_trips);
    addAnswers(stats.new_answers);
  },
  quiet({ since }) {
    byId("quiet").hidden = false;
    byId("quiet").textContent = `The program has not run its event loop since ${clock(new Date(since))}: this page shows the state at that time.`;
  },
  messages: ({ messages }) => addMessages(messages),
  outage: addOutage,
  gap: addGap,
};

const isLive = () => document.documentElement.dataset.stream === "live";

const streamHandlers = {
  onLive() {
    document.documentElement.dataset.stream = "live";
    byId("stream-words").textContent = "live";
    showStream(true);
    loadPast();
    loadDetails();
  },
  onLost() {
    if (document.documentElement.dataset.stream === "lost") return;
    document.documentElement.dataset.stream = "lost";
    byId("stream-words").textContent = `No data from the server since ${clock(new Date())}. Trying again`;
    showStream(false);
  },
  onRefused: askForToken,
};

// Loads the past, which the stream does not contain. This is done again after each interruption.
async function loadPast() {
  const [trips, outages, counts, messages] = await Promise.all(["round-trips", "outages", "status", "messages"].map(get));
  if (trips) setRoundTrips(trips.round_trips);
  if (trips) setAnswers(trips.answers);
  if (outages) setOutages(outages.outages);
  if (counts) showCounts(counts.stats);
  if (messages) setMessages(messages.messages);
  await loadTimeline();
}

async function loadTimeline() {
  const requested = hours();
  const timeline = await get(`timeline?hours=${requested}`);
  if (timeline && requested === hours()) setTimeline(timeline, status()?.state ?? "NOT_WATCHED");
}
onRange(loadTimeline);

// A hidden page does not load the details. The server reads the details from the connector at most once a second.
async function loadDetails() {
  if (document.hidden) return;
  const details = await get("details");
  if (details) showDetails(details, status());
}

const loadConnectors = async () => showConnectors((await fetch("/api/connectors").then((answer) => answer.json()).catch(() => null))?.connectors ?? []);

async function start() {
  const answer = await fetch(pathOf("status"), { method: "HEAD" }).catch(() => null);
  if (answer?.status === 401) askForToken();
  else show();
}

function show() {
  byId("login").hidden = true;
  byId("content").hidden = false;
  loadConnectors();
  new Stream(handlers, streamHandlers);
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
  byId("login-words").textContent = answer?.ok ? "" : answer?.status === 401 ? "That is not the token." : "The server did not answer as expected.";
  if (answer?.ok) show();
});

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
document.addEventListener("visibilitychange", () => isLive() && loadDetails());
// While there is no stream, nothing on the page may move: old data must not look current.
const whileLive = (work, every) => setInterval(() => isLive() && work(), every);
whileLive(tick, 100);
whileLive(tickOutages, 1000);
whileLive(loadDetails, 2000);
whileLive(loadConnectors, 5000);
whileLive(drawTimeline, 30_000);
whileLive(() => isYoung() && drawTimeline(), 1000);
whileLive(loadPast, 300_000);
setInterval(tickClock, 500);
start();
