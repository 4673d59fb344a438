// The buttons Reconnect, Halt and Resume, with their confirmation dialogs.

import { pathOf, post, errorText } from "./api.js";
import { byId } from "./format.js";
import { hasSession, status } from "./header.js";

byId("reconnect").addEventListener("click", () => {
  if (hasSession()) byId("sure").showModal();
  else reconnect();
});
onConfirmed("sure", reconnect);

byId("halt").addEventListener("click", () => {
  if (!status()) return;
  byId("resume-reason").textContent = `It was halted with the reason “${status().halted}”.`;
  byId(status().halted ? "sure-resume" : "sure-halt").showModal();
});
onConfirmed("sure-halt", async () => {
  const reason = byId("halt-reason").value.trim() || "the page";
  const answer = await post(pathOf("halt"), { reason, cancel_all: byId("halt-cancel").checked });
  byId("halt-reason").value = "";
  byId("halt-cancel").checked = false;
  showAnswer(await errorText(answer));
});
onConfirmed("sure-resume", async () => showAnswer(await errorText(await post(pathOf("resume")))));

async function reconnect() {
  showAnswer(await errorText(await post(pathOf("reconnect"))));
}

function onConfirmed(id, act) {
  byId(id).addEventListener("close", () => {
    if (byId(id).returnValue === "yes") act();
    byId(id).returnValue = "";
  });
}

function showAnswer(text) {
  byId("answer").textContent = text;
}
