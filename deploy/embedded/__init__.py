"""The whole system on one machine, without root, containers or system packages. `stack.Stack` is the way in."""
