"""The platform of one machine: a pipeline's plan as local processes, without Docker.

`components` says how each process starts and when it is ready; the supervisor starts them in order, restarts what
dies, and stops them so that nothing is lost and nothing is left behind.
"""
