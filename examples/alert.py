"""A command for alerts: ibkr serve --on-outage "python alert.py alerts.txt".

This command gets the status as JSON on stdin, and writes one line. Your own command could send a text message or make a
call instead.
"""

import json
import sys

status = json.load(sys.stdin)
with open(sys.argv[1], "a", encoding="utf-8") as alerts:
    alerts.write(f"{status['event']}: {status['state']}, {status['reason']}\n")
