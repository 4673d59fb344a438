"""The pure core: states, events, effects, the state machine, policies and errors. No I/O, clock or randomness."""
