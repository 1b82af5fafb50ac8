"""Books kept by several libraries from the same damaged changes; each other library in an environment of its own."""
