"""What a run needs beside this package: libraries, Flink in an environment of its own, jars; and how it gets here.

Standard library only, since it runs before anything is installed: `make setup` calls it in a checkout, and
`marketpipeline run` where the package came as a wheel. That carries locks, poms, the functions' sources and the stream
job in `parts`.
"""
