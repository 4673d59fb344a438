"""The account values by key, named as in TWS."""

from ibkr.simulator.broker.portfolio import MAINTENANCE, Portfolio


def account_values(portfolio: Portfolio, account: str) -> list[tuple[str, str, str]]:
    """Return rows of key, value, and currency, sorted by key as TWS sends them."""
    cash, net, margin = portfolio.cash(account), portfolio.net_liquidation(account), portfolio.margin(account)
    maintenance = MAINTENANCE * margin
    numbers = {
        "AccruedCash": 0.0,
        "AvailableFunds": net - margin,
        "BuyingPower": 4 * (net - margin),
        "CashBalance": cash,
        "EquityWithLoanValue": net,
        "ExcessLiquidity": net - maintenance,
        "FullAvailableFunds": net - margin,
        "FullExcessLiquidity": net - maintenance,
        "FullInitMarginReq": margin,
        "FullMaintMarginReq": maintenance,
        "GrossPositionValue": portfolio.gross_value(account),
        "InitMarginReq": margin,
        "MaintMarginReq": maintenance,
        "NetLiquidation": net,
        "PreviousDayEquityWithLoanValue": net - portfolio.daily_pnl(account),
        "RealizedPnL": portfolio.realized_pnl(account),
        "SettledCash": cash,
        "TotalCashBalance": cash,
        "TotalCashValue": cash,
        "UnrealizedPnL": portfolio.unrealized_pnl(account),
    }
    cushion = (net - maintenance) / net if net > 0 else 0.0
    words = {"AccountReady": "true", "AccountType": "INDIVIDUAL", "Cushion": f"{cushion:.6g}"}
    rows = [(key, f"{value:.2f}", "USD") for key, value in numbers.items()]
    rows += [(key, value, "") for key, value in words.items()]
    return sorted(rows)


def ledger_values(portfolio: Portfolio, account: str, currency: str) -> list[tuple[str, str, str]]:
    """Return the rows for the tag `$LEDGER` (base currency), `$LEDGER:USD` or `$LEDGER:ALL`."""
    numbers = {
        "AccruedCash": 0.0,
        "CashBalance": portfolio.cash(account),
        "NetLiquidationByCurrency": portfolio.net_liquidation(account),
        "RealizedPnL": portfolio.realized_pnl(account),
        "StockMarketValue": portfolio.stock_value(account),
        "TotalCashBalance": portfolio.cash(account),
        "UnrealizedPnL": portfolio.unrealized_pnl(account),
    }
    names = {"": ("BASE",), "ALL": ("BASE", "USD"), "USD": ("USD",)}.get(currency, ())
    rows = [(key, f"{value:.2f}", name) for name in names for key, value in numbers.items()]
    rows += [("Currency", name, name) for name in names]
    return sorted(rows)
