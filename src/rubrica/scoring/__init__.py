"""The task, the scores, calibration and thresholds."""
