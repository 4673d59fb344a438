// The switch between the connectors of a site.

import { chosen } from "./api.js";
import { byId, element } from "./format.js";

let shown = "";

export function showConnectors(connectors) {
  byId("switch").hidden = connectors.length < 2 && !chosen;
  byId("endpoint").hidden = !byId("switch").hidden;
  const data = JSON.stringify(connectors);
  if (data === shown || document.activeElement === byId("connector")) return; // an open list must not change
  shown = data;
  const options = connectors.map((each) => {
    const trade = each.may_trade ? "" : ", orders refused";
    return element("option", `${each.endpoint}, client ${each.client_id}: ${each.state}${trade}`, { value: each.number });
  });
  const first = connectors.length ? String(connectors[0].number) : "";
  if (chosen && !connectors.some((each) => String(each.number) === chosen)) options.push(element("option", `connector ${chosen} has ended`, { value: chosen }));
  byId("connector").replaceChildren(...options);
  byId("connector").value = chosen || first;
}

byId("connector").addEventListener("change", (event) => (location.search = `?connector=${event.target.value}`));
