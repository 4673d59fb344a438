"""The accounts: paper or live, and is that what the port suggests?"""

from __future__ import annotations

from ibkr.doctor.check import Check, ok, warn
from ibkr.doctor.checks.usual_ports import USUAL
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient

_NAME = "accounts"


async def _look(patient: Patient) -> list[Finding]:
    accounts = patient.open_session.accounts
    if not accounts:
        advice = "Wait until the login in the TWS or IB Gateway window has ended, then look again."
        return warn(_NAME, "no_accounts", "the gateway names no account", advice)
    # Paper accounts begin with D (DU, DF, DI).
    live = [account for account in accounts if not account.startswith("D")]
    what = "live" if live else "paper"
    listed = f"{what}: {', '.join(accounts)}"
    wanted = patient.ibkr.account
    if wanted and wanted not in accounts:
        message = f"the configured account {wanted} is not among those of this login ({listed})"
        return warn(_NAME, "unknown_account", message, "Correct ibkr.account, or log in as the user that has it.")
    usual = USUAL.get(patient.ibkr.port, "")
    if live and usual.endswith("paper"):
        message = f"a LIVE account at port {patient.ibkr.port}, where paper trading is usual ({listed})"
        advice = "Orders would be real. Log in to paper trading, or give the live gateway its usual port (7496, 4001)."
        return warn(_NAME, "live_account", message, advice)
    if not live and usual.endswith("live"):
        message = f"a paper account at port {patient.ibkr.port}, where live trading is usual ({listed})"
        return warn(_NAME, "paper_account", message, "Log in to live trading, or use the paper port (7497, 4002).")
    return ok(_NAME, listed)


CHECK = Check(_NAME, "Accounts", _look, needs=("session",))
