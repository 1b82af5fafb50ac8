"""`/docs`: the OpenAPI document as a page to read and try, which loads nothing from elsewhere.

The framework's own page loads its scripts from a server of others, and is empty on a machine without internet.
"""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_PAGE = (resources.files(__package__) / "docs.html").read_bytes()
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:"


@router.get("/")
async def root() -> Response:
    """Whoever opens the address of the API wants to read what there is."""
    return RedirectResponse("docs")


@router.get("/docs")
async def docs() -> Response:
    """The page; it asks for `openapi.json`."""
    return Response(_PAGE, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _POLICY})
