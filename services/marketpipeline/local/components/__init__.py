"""What a pipeline on one machine is made of: one file a component, each says how it starts and when it is ready."""
