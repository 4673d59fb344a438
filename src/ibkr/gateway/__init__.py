"""The gateway process: start it, watch its login, and restart it only when a restart helps.

A driver (``drivers/``, interface in ``driver_interface``) runs and watches the process. The supervisor (``supervisor``,
started by ``ibkr gateway run``) follows the driver's events, asks the policy in ``core.restart_policy`` what to do, and
stores the state. A follower (``follower``) shows that state in the status of any connector.

To add a driver: subclass ``GatewayDriver``, register it in ``drivers/__init__``, and add its settings to
``core.gateway_settings``.
"""
