// The gateway's process: its state, its login, and the button that restarts it.

import { pathOf, post } from "./api.js";
import { byId, dateAndTime, setText } from "./format.js";

const STATE_TEXTS = {
  stopped: "is stopped",
  starting: "is starting",
  needs_second_factor: "waits for your second factor: approve it in IBKR Mobile",
  login_failed: "could not log in",
  running: "is running",
  restarting: "is restarting",
  unknown_window: "shows a window that it does not handle",
  exited: "has ended",
};

export function showGatewayProcess(gateway) {
  byId("process").hidden = !gateway;
  if (!gateway) return;
  const detail = gateway.detail ? `: ${gateway.detail}` : "";
  const code = gateway.exit_code === null ? "" : ` (exit code ${gateway.exit_code})`;
  const restarts = gateway.restarts ? ` Restarts in 24 hours: ${gateway.restarts}.` : "";
  const login = gateway.next_login ? ` Next login with the second factor: ${dateAndTime(new Date(gateway.next_login))}.` : "";
  setText("process-words", `${STATE_TEXTS[gateway.state] ?? gateway.state}${detail}${code}, since ${dateAndTime(new Date(gateway.since))}.${restarts}${login}`);
  byId("process-restart").hidden = !gateway.supervised;
  byId("process-restart").disabled = gateway.state === "needs_second_factor" || gateway.state === "restarting";
}

byId("process-restart").addEventListener("click", () => byId("sure-process").showModal());
byId("sure-process").addEventListener("close", async () => {
  const isConfirmed = byId("sure-process").returnValue === "yes";
  byId("sure-process").returnValue = "";
  if (!isConfirmed) return;
  setText("process-answer", "Asking the supervisor");
  const answer = await post(pathOf("gateway/restart"));
  const text = answer?.ok ? (await answer.json()).message : answer?.status === 409 ? await answer.text() : "the server did not accept the request";
  setText("process-answer", `${text.trim()}.`);
});
