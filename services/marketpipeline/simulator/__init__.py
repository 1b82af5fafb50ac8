"""A simulated exchange: a real exchange's wire protocols on loopback, fed by a simulation or by captures."""
