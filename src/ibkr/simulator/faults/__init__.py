"""The faults that you can inject. `fault_registry` says how to add one."""
