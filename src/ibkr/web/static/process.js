// The gateway's process: how it and its login stand, and its restart.

import { byId, when } from "./format.js";

const WORDS = {
  stopped: "is stopped",
  starting: "is starting",
  needs_second_factor: "waits for your second factor: approve it in IBKR Mobile",
  login_failed: "could not log in",
  running: "is running",
  restarting: "is restarting",
  unknown_window: "shows a window that it does not handle",
  exited: "has ended",
};

export function showProcess(gateway) {
  byId("process").hidden = !gateway;
  if (!gateway) return;
  const detail = gateway.detail ? `: ${gateway.detail}` : "";
  const code = gateway.exit_code === null ? "" : ` (exit code ${gateway.exit_code})`;
  const restarts = gateway.restarts ? ` Restarts in 24 hours: ${gateway.restarts}.` : "";
  const login = gateway.next_login ? ` Next login with the second factor: ${when(new Date(gateway.next_login))}.` : "";
  setText("process-words", `${WORDS[gateway.state] ?? gateway.state}${detail}${code}, since ${when(new Date(gateway.since))}.${restarts}${login}`);
  byId("process-restart").hidden = !gateway.supervised;
  byId("process-restart").disabled = gateway.state === "needs_second_factor" || gateway.state === "restarting";
}

byId("process-restart").addEventListener("click", () => byId("sure-process").showModal());
byId("sure-process").addEventListener("close", async () => {
  const isWanted = byId("sure-process").returnValue === "yes";
  byId("sure-process").returnValue = "";
  if (!isWanted) return;
  setText("process-answer", "Asking the supervisor");
  const answer = await fetch("/api/gateway/restart", { method: "POST" }).catch(() => null);
  const words = answer?.ok ? (await answer.json()).message : answer?.status === 409 ? await answer.text() : "ibkr serve did not take that";
  setText("process-answer", `${words.trim()}.`);
});

function setText(id, text) {
  const target = byId(id);
  if (target.textContent !== text) target.textContent = text;
}
