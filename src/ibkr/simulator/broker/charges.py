"""What trading costs: commission and margin, by simple rules of thumb in the manner of IB's fixed prices."""

from ibkr.simulator.market.instrument import Instrument

_MARGIN_RATE = {"STK": 0.25, "CASH": 0.03, "OPT": 1.0, "FUT": 0.08, "FOP": 1.0}
MAINTENANCE = 0.9
"""The part of the initial margin that has to be there as long as the position is held."""


def multiplier_of(instrument: Instrument) -> float:
    """Units of the underlying per contract; 1 where the contract has none."""
    return float(instrument.multiplier or 1)


def commission(instrument: Instrument, quantity: float, price: float) -> float:
    """For one execution, in the instrument's currency."""
    match instrument.sec_type:
        case "FUT":
            return round(2.25 * quantity, 4)
        case "OPT" | "FOP":
            return round(max(1.0, 0.65 * quantity), 4)
        case "CASH":
            return round(max(2.0, 0.00002 * quantity * price), 4)
        case _:
            return round(min(max(1.0, 0.005 * quantity), max(0.01, 0.01 * quantity * price)), 4)


def initial_margin(instrument: Instrument, quantity: float, price: float) -> float:
    """For a position of this size."""
    rate = _MARGIN_RATE.get(instrument.sec_type, 0.25)
    return round(abs(quantity) * price * multiplier_of(instrument) * rate, 2)
