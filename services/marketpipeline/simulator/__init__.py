"""The exchange that is always there: an exchange's own protocols on loopback, fed by a simulation or by captures."""
