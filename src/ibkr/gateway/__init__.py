"""The gateway as a process: start it, see its login, restart it when only that helps.

A driver runs and watches the process. The supervisor (``ibkr gateway run``) follows its events, asks the policy in
``core.restart`` what to do, and writes the state down; a follower shows that state in the status of any connector.
"""
