"""The messages of a gateway: every known code and some unknown codes, with texts as real gateways sent them."""

BACK = "Connectivity between IB and Trader Workstation has been restored - data "
PORT = "Socket port has been reset and this connection is being dropped. Please reconnect on the new port -"
MARKET, HISTORY = ("usfarm", "usfarm.nj"), ("ushmds",)
DEFINITIONS = ("secdefnj",)

FARMS = [
    *((2103, f"Market data farm connection is broken:{farm}") for farm in MARKET),
    *((2104, f"Market data farm connection is OK:{farm}") for farm in MARKET),
    *((2108, f"Market data farm connection is inactive but should be available upon demand.{farm}") for farm in MARKET),
    *((2119, f"Market data farm is connecting:{farm}") for farm in MARKET),
    *((2105, f"HMDS data farm connection is broken:{farm}") for farm in HISTORY),
    *((2106, f"HMDS data farm connection is OK:{farm}") for farm in HISTORY),
    *((2107, f"HMDS data farm connection is inactive but should be available upon demand.{farm}") for farm in HISTORY),
    *((2157, f"Sec-def data farm connection is broken:{farm}") for farm in DEFINITIONS),
    *((2158, f"Sec-def data farm connection is OK:{farm}") for farm in DEFINITIONS),
    (2104, "Market data farm connection is ..."),
]
UPSTREAM = [
    (1100, "Connectivity between IB and Trader Workstation has been lost."),
    (2110, "Connectivity between Trader Workstation and server is broken. It will be restored automatically."),
    (1101, f"{BACK}lost."),
    (1102, f"{BACK}maintained."),
    (1102, f"{BACK}maintained. All data farms are connected: usfarm; ushmds; secdefnj."),
    (
        1102,
        f"{BACK}maintained. The following farms are connected: usfarm.nj; secdefnj. The following farms are not"
        " connected: usfarm; ushmds.",
    ),
]
PORTS = [(1300, f"{PORT}4001"), (1300, f"{PORT}7497"), (1300, "Socket port has been reset.")]
PACE = (100, "Max rate of messages per second has been exceeded:max=50 rec=51 (1)")
IN_USE = (326, "Unable to connect as the client id is already in use. Retry with a unique client id.")
READ_ONLY = (321, "Error validating request.-'bH' : cause - The API interface is currently in Read-Only mode.")
# These codes are about a single request, or not about the connection. Only the caller gets them.
NO_MATTER = [
    (-1, ""),
    (0, "Warning: Approaching max rate of 50 messages per second (48)"),
    (200, "No security definition has been found for the request"),
    (316, "Market depth data has been HALTED. Please re-subscribe."),
    (317, "Market depth data has been RESET. Please empty deep book contents before applying any new entries."),
    (502, "Couldn't connect to TWS. Confirm that API is enabled in TWS via the Configure>API menu command."),
    (504, "Not connected"),
    (507, "Bad Message Length"),
    (2100, "New account data requested from TWS.  API client has been unsubscribed from account data."),
    (10090, "Part of requested market data is not subscribed. Subscription-independent ticks are still active."),
    (10167, "Requested market data is not subscribed. Displaying delayed market data."),
    (10182, "Failed to request live updates (disconnected)."),
    (10197, "No market data during competing live session"),
    (10225, "Bust event occurred, current subscription is deactivated. Please resubscribe real-time bars immediately."),
    (99999, "port 4003"),
]
ALL = {code for code, _ in (*FARMS, *UPSTREAM, *PORTS, PACE, IN_USE, READ_ONLY, *NO_MATTER)}
