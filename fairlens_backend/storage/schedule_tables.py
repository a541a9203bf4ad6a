"""The tables of the clock: schedules of models, and windows that were audited."""
