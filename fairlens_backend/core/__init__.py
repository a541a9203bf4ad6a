"""The statistics, pure: arrays and plain values in, plain values out; clocks, seeds and thresholds arrive as arguments."""
