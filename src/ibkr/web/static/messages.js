// The table of the last messages of the gateway.

import { byId, setText, dateAndTime } from "./format.js";
import { fill, matches, totalText } from "./table.js";

const MAX_MESSAGES = 500;
const FEW = 20;
const TONES = { "good news": "good", warning: "warn", error: "bad" };

let messages = []; // oldest first
let showsAll = false;

export function setMessages(rows) {
  messages = rows;
  draw();
}

export function addMessages(rows) {
  const last = messages.length ? messages[messages.length - 1].number : 0;
  messages = [...messages, ...rows.filter((each) => each.number > last)].slice(-MAX_MESSAGES);
  draw();
}

function draw() {
  const filter = byId("messages-filter").value;
  const all = messages.toReversed().map((each) => ({
    cells: [dateAndTime(new Date(each.at)), String(each.code), each.severity, each.text, each.request_id < 0 ? "" : String(each.request_id)],
    tone: TONES[each.severity],
  }));
  const found = filter ? all.filter(({ cells }) => passesFilter(filter, cells)) : all;
  const shown = showsAll || filter ? found : found.slice(0, FEW);
  fill("messages", shown);
  setText("messages-total", totalText(shown.length, messages.length));
  byId("no-messages").hidden = shown.length > 0;
  setText("no-messages", messages.length ? "None matches the filter." : "None yet.");
  byId("more-messages").hidden = Boolean(filter) || found.length <= FEW;
  setText("more-messages", showsAll ? `Show the last ${FEW}` : `Show all ${found.length}`);
}

// Numbers are codes: one of them must match. Words must all be in the row.
function passesFilter(filter, cells) {
  const parts = filter.split(/[\s,]+/).filter(Boolean);
  const codes = parts.filter((part) => /^\d+$/.test(part));
  const words = parts.filter((part) => !/^\d+$/.test(part));
  return (!codes.length || codes.includes(cells[1])) && matches(words.join(" "), cells);
}

byId("messages-filter").addEventListener("input", draw);
byId("more-messages").addEventListener("click", () => {
  showsAll = !showsAll;
  draw();
});
