// Requests to the server, for the connector that the page shows.

const number = new URLSearchParams(location.search).get("connector");
export const chosen = number && /^\d{1,9}$/.test(number) ? number : "";
const base = chosen ? `/c/${chosen}` : "";

export const pathOf = (name) => `${base}/api/${name}`;

// Returns the answer as JSON; null if the request failed.
export async function get(name) {
  const answer = await fetch(pathOf(name)).catch(() => null);
  return answer?.ok ? answer.json().catch(() => null) : null;
}

export function post(path, body) {
  return fetch(path, { method: "POST", body: body && JSON.stringify(body) }).catch(() => null);
}

// Returns why a command failed; empty if it succeeded.
export async function errorText(answer) {
  if (answer?.ok) return "";
  if (!answer || ![409, 500, 503].includes(answer.status)) return "The server did not accept the request.";
  return (await answer.text()).trim().slice(0, 300);
}
