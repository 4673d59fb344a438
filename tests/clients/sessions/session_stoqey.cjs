// One whole session of @stoqey/ib: `node session_stoqey.cjs PORT`.
// Prints one JSON document: what the client received in each step, and everything that it logged.

const { EventName, IBApi, OrderAction, OrderType, SecType, TimeInForce } = require("@stoqey/ib");

const TIMEOUT = 10_000;
const TAGS = "NetLiquidation,TotalCashValue,BuyingPower";
const KEPT = /^(nextValidId|managedAccounts|currentTime|position|positionEnd|accountSummary|accountSummaryEnd|contractDetails|contractDetailsEnd|tickPrice|historicalData|openOrder|openOrderEnd|orderStatus|execDetails|commissionReport|error|info|disconnected)$/;

const log = [];
for (const level of ["log", "info", "warn", "error", "debug"]) {
  console[level] = (...args) => log.push([level.toUpperCase(), args.join(" ")]);
}
process.on("warning", (warning) => log.push(["WARNING", String(warning)]));

const api = new IBApi({ host: "127.0.0.1", port: Number(process.argv[2]), clientId: 7 });
const heard = new Map();
const waiting = new Set();

for (const name of Object.values(EventName).filter((name) => KEPT.test(name))) {
  api.on(name, (...args) => {
    heard.set(name, [...(heard.get(name) ?? []), args]);
    waiting.forEach((look) => look());
  });
}

const all = (name) => heard.get(name) ?? [];

/** Wait for the first event of this name whose arguments begin with these. Resolves with its arguments. */
function until(name, ...start) {
  const find = () => all(name).find((args) => start.every((value, i) => args[i] === value));
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${name} ${start}: ${JSON.stringify([...heard])}`)), TIMEOUT);
    const look = () => {
      const found = find();
      if (found) {
        clearTimeout(timer);
        waiting.delete(look);
        resolve(found);
      }
    };
    waiting.add(look);
    look();
  });
}

const stock = (symbol) => ({ symbol, secType: SecType.STK, exchange: "SMART", currency: "USD" });

async function account() {
  api.reqCurrentTime();
  api.reqPositions();
  api.reqAccountSummary(101, "All", TAGS);
  const [now] = await until(EventName.currentTime);
  await until(EventName.positionEnd);
  await until(EventName.accountSummaryEnd, 101);
  api.cancelAccountSummary(101);
  api.cancelPositions();
  const [accounts] = await until(EventName.managedAccounts);
  return {
    server_version: api.serverVersion,
    time: now,
    accounts: accounts.split(","),
    positions: all(EventName.position).map(([held, contract, quantity, cost]) => [
      held,
      contract.symbol,
      contract.secType,
      quantity,
      cost,
    ]),
    summary: Object.fromEntries(
      all(EventName.accountSummary).map(([, , tag, value, currency]) => [tag, [value, currency]]),
    ),
  };
}

async function data() {
  api.reqContractDetails(201, stock("AAPL"));
  api.reqContractDetails(202, stock("NOSUCH"));
  api.reqMktData(203, stock("AAPL"), "", false, false);
  api.reqHistoricalData(204, stock("AAPL"), "", "5 D", "1 day", "TRADES", 1, 1, false);
  const [, found] = await until(EventName.contractDetails, 201);
  await until(EventName.contractDetailsEnd, 201);
  await until(EventName.error);
  const ticks = [];
  for (const kind of [1, 2, 4]) ticks.push((await until(EventName.tickPrice, 203, kind))[2]);
  api.cancelMktData(203);
  // Its last event has no bar.
  while (!all(EventName.historicalData).some(([, date]) => date.startsWith("finished"))) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { contract } = found;
  return {
    details: [
      contract.conId,
      contract.symbol,
      contract.primaryExch,
      contract.tradingClass,
      found.longName,
      found.minTick,
      found.timeZoneId,
    ],
    unknown: all(EventName.contractDetails).filter(([reqId]) => reqId === 202),
    ticks,
    bars: all(EventName.historicalData)
      .map(([, date, open, high, low, close, volume]) => [date, open, high, low, close, volume])
      .filter(([date]) => !date.startsWith("finished")),
  };
}

async function trade() {
  const [first] = await until(EventName.nextValidId);
  const order = (more) => ({ action: OrderAction.BUY, tif: TimeInForce.DAY, transmit: true, ...more });
  api.placeOrder(first, stock("AAPL"), order({ orderType: OrderType.LMT, totalQuantity: 100, lmtPrice: 100 }));
  await until(EventName.orderStatus, first, "Submitted");
  heard.delete(EventName.openOrder);
  api.reqOpenOrders();
  await until(EventName.openOrderEnd);
  const opened = all(EventName.openOrder).map(([, contract, held, state]) => [
    contract.symbol,
    held.action,
    held.totalQuantity,
    held.lmtPrice,
    state.status,
  ]);
  api.cancelOrder(first);
  const cancelled = await until(EventName.orderStatus, first, "Cancelled");
  api.placeOrder(first + 1, stock("AAPL"), order({ orderType: OrderType.MKT, totalQuantity: 10 }));
  const filled = await until(EventName.orderStatus, first + 1, "Filled");
  const [, , run] = await until(EventName.execDetails);
  const [report] = await until(EventName.commissionReport);
  return {
    open_orders: opened,
    cancelled: [cancelled[1], cancelled[2]],
    filled: [filled[1], filled[2], filled[4]],
    execution: [run.execId, run.acctNumber, run.side, run.shares, run.price],
    commission: [report.execId, report.commission, report.currency],
    order_ids: [first, first + 1],
  };
}

async function main() {
  api.connect();
  await until(EventName.nextValidId);
  const got = { ...(await account()), ...(await data()), ...(await trade()) };
  api.disconnect();
  await until(EventName.disconnected);
  const notices = all(EventName.info).map(([message, code]) => [-1, code, message]);
  const errors = [...notices, ...all(EventName.error).map(([error, code, reqId]) => [reqId, code, error.message])];
  process.stdout.write(JSON.stringify({ ...got, errors, log }) + "\n");
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
