"""Which symbols a pipeline's selectors stand for, by what the exchanges list now.

`ask` reads an exchange's listing, `choose` makes of listings what is followed. Platforms do both every so often, keep
what was chosen, and hand it to `plan`, which stays pure.
"""

from __future__ import annotations

from marketpipeline.selection.asking import ask, ask_all, rest_url
from marketpipeline.selection.choosing import Listed, Listing, Selection, choose, events_of

__all__ = ["Listed", "Listing", "Selection", "ask", "ask_all", "choose", "events_of", "rest_url"]
