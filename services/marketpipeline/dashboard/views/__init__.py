"""The pages, a module each: what a viewer chooses, and a part that is painted again by itself."""
