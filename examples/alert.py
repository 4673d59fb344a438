"""An alert by command: ibkr serve --on-outage "python alert.py alerts.txt".

It gets the status as JSON on its standard input, and writes one line; put a text message or a call in its place.
"""

import json
import sys

status = json.load(sys.stdin)
with open(sys.argv[1], "a", encoding="utf-8") as alerts:
    alerts.write(f"{status['event']}: {status['state']}, {status['reason']}\n")
