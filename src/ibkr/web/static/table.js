// Tables that change only the cells that differ, so that nothing moves and a screen reader stays silent.

import { byId, element } from "./format.js";

// rows: each {cells: [text, ...], tone}
export function fill(id, rows) {
  const table = byId(id);
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  table.hidden = !rows.length;
  while (body.rows.length > rows.length) body.lastElementChild.remove();
  rows.forEach(({ cells, tone = "" }, at) => {
    const row = body.rows[at] ?? body.appendChild(newRow(headings));
    if (row.dataset.tone !== tone) row.dataset.tone = tone;
    cells.forEach((text, column) => {
      const cell = row.cells[column];
      if (cell.textContent !== text) cell.textContent = text;
    });
  });
}

function newRow(headings) {
  const row = element("tr");
  row.append(...headings.map((heading) => element("td", "", { "data-label": heading })));
  return row;
}

// Returns "3 of 120", "120", or an empty text.
export function totalText(shown, total) {
  return shown === total ? (total ? String(total) : "") : `${shown} of ${total}`;
}

// Whether a row has every word of a filter.
export function matches(filter, cells) {
  const text = cells.join(" ").toLowerCase();
  return filter.toLowerCase().split(/[\s,]+/).filter(Boolean).every((word) => text.includes(word));
}

export function showMeanings(id, meanings) {
  byId(id).replaceChildren(...meanings.map(([tone, name, count, meaning]) => {
    const item = element("li", "", { "data-tone": tone });
    item.append(element("b", `${count} ${name}`), `: ${meaning}`);
    return item;
  }));
}
