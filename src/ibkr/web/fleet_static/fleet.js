// The board of a fleet: loads it once a second, and shows all gateways and programs.

const DAY = 24 * 3600 * 1000;
const find = (id) => document.getElementById(id);

function element(tag, text = "", kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function row(program) {
  const cells = [
    [program.name],
    [`${program.host} (${program.pid})`],
    [program.role ?? "–"],
    [program.client_id],
    [program.is_lost ? "LOST" : program.state, program.is_lost ? "bad" : ""],
    [program.may_trade ? "may trade" : "may not trade", program.may_trade ? "good" : program.role === "leader" ? "bad" : ""],
    [`${Math.round(program.age)} s`],
    [program.may_trade ? "" : program.reason],
  ];
  const made = element("tr");
  made.append(...cells.map(([text, kind]) => element("td", String(text ?? ""), kind)));
  return made;
}

function gateway(board) {
  const section = element("section");
  const table = element("table");
  const head = element("tr");
  for (const title of ["Program", "Host", "Role", "Client id", "State", "Trading", "Last heartbeat", "Reason"]) {
    const cell = element("th", title);
    cell.scope = "col";
    head.append(cell);
  }
  table.append(head, ...board.programs.map(row));
  const frame = element("div", "", "table");
  frame.append(table);
  section.append(element("h2", `Gateway ${board.gateway}`), frame);
  return section;
}

function outages(found, now) {
  const programs = new Map();
  for (const outage of found) {
    const key = `${outage.name} at ${outage.gateway}`;
    programs.set(key, [...(programs.get(key) ?? []), outage]);
  }
  return [...programs].map(([key, list]) => {
    const line = element("li");
    const band = element("div", "", "band");
    for (const outage of list) {
      const begin = Math.max(now - DAY, Date.parse(outage.began_at));
      const end = outage.ended_at ? Date.parse(outage.ended_at) : now;
      if (end < now - DAY) continue;
      const mark = element("i");
      mark.style.left = `${((begin - now + DAY) / DAY) * 100}%`;
      mark.style.width = `${((end - begin) / DAY) * 100}%`;
      mark.title = `${outage.began_at}: ${outage.reason}`;
      band.append(mark);
    }
    band.setAttribute("role", "img");
    band.setAttribute("aria-label", `${list.length} outage${list.length === 1 ? "" : "s"} of ${key}`);
    line.append(element("span", key), band);
    return line;
  });
}

function show(board) {
  const programs = board.gateways.flatMap((each) => each.programs);
  const trading = programs.filter((each) => each.may_trade).length;
  const halted = board.halt ? `HALTED: ${board.halt.reason}. ` : "";
  const trouble = board.trouble ? `The servers do not answer: ${board.trouble}. ` : "";
  find("summary").textContent = `${trouble}${halted}${programs.length} programs, ${trading} may trade`;
  find("alerts").replaceChildren(...board.alerts.map((alert) => element("li", alert.words)));
  find("gateways").replaceChildren(...board.gateways.map(gateway));
  find("outages").replaceChildren(...outages(board.outages, Date.parse(board.as_of)));
}

let last = "";
async function load() {
  try {
    const answer = await fetch("/api/fleet", { headers: { accept: "application/json" } });
    if (answer.status === 401) throw new Error("this page needs the token: open the first page and enter it there");
    if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
    const text = await answer.text();
    if (text !== last) show(JSON.parse(text));
    last = text;
  } catch (error) {
    find("summary").textContent = `Not up to date: ${error.message}`;
    last = "";
  }
  setTimeout(load, 1000);
}

load();
