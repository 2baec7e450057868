"""From inputs and a target to an attribution: the plan, its run, its result."""
