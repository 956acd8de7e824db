"""Rate limits, locks, circuit breakers and load shedding."""
