"""A simulated market: a limit order book with a matching engine, random flow on it, and scenarios that bend it."""
