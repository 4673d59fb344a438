"""The pure heart: states, facts, effects, the machine, policies, errors. No I/O, no clock, no chance."""
