"""The values of an account by key, as TWS names them."""

from ibkr.simulator.broker.book import Book
from ibkr.simulator.broker.charges import MAINTENANCE


def account_values(book: Book, account: str) -> list[tuple[str, str, str]]:
    """Key, value, currency, in the order that TWS sends them: by key."""
    cash, net, margin = book.cash(account), book.net_liquidation(account), book.margin(account)
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
        "GrossPositionValue": book.gross_value(account),
        "InitMarginReq": margin,
        "MaintMarginReq": maintenance,
        "NetLiquidation": net,
        "PreviousDayEquityWithLoanValue": net - book.daily_pnl(account),
        "RealizedPnL": book.realized_pnl(account),
        "SettledCash": cash,
        "TotalCashBalance": cash,
        "TotalCashValue": cash,
        "UnrealizedPnL": book.unrealized_pnl(account),
    }
    cushion = (net - maintenance) / net if net > 0 else 0.0
    words = {"AccountReady": "true", "AccountType": "INDIVIDUAL", "Cushion": f"{cushion:.6g}"}
    rows = [(key, f"{value:.2f}", "USD") for key, value in numbers.items()]
    rows += [(key, value, "") for key, value in words.items()]
    return sorted(rows)


def ledger_values(book: Book, account: str, currency: str) -> list[tuple[str, str, str]]:
    """The rows of the tag `$LEDGER` (in the base currency), `$LEDGER:USD` or `$LEDGER:ALL`."""
    numbers = {
        "AccruedCash": 0.0,
        "CashBalance": book.cash(account),
        "NetLiquidationByCurrency": book.net_liquidation(account),
        "RealizedPnL": book.realized_pnl(account),
        "StockMarketValue": book.stock_value(account),
        "TotalCashBalance": book.cash(account),
        "UnrealizedPnL": book.unrealized_pnl(account),
    }
    names = {"": ("BASE",), "ALL": ("BASE", "USD"), "USD": ("USD",)}.get(currency, ())
    rows = [(key, f"{value:.2f}", name) for name in names for key, value in numbers.items()]
    rows += [("Currency", name, name) for name in names]
    return sorted(rows)
