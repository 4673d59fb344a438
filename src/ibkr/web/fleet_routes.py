"""The routes of the fleet: its page at ``/fleet`` and its JSON at ``/api/fleet``."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from ibkr.fleet.board import Board
    from ibkr.web.view_registry import ViewRegistry

_FILES = {"/fleet": ("fleet.html", "text/html"), "/fleet/fleet.css": ("fleet.css", "text/css")}
_FILES |= {"/fleet/fleet.js": ("fleet.js", "text/javascript")}
OPEN_PATHS = tuple(_FILES)
"""The paths that need no token, because they contain nothing about the fleet."""


def fleet_routes(views: ViewRegistry) -> list[Route]:
    """Return the routes. Each answers 404 if no fleet is shown."""

    async def fleet(_: Request) -> Response:
        board = _find_board(views)
        return JSONResponse(board.to_dict())

    return [Route("/api/fleet", fleet), *(Route(path, _file_endpoint(views, *file)) for path, file in _FILES.items())]


def _file_endpoint(views: ViewRegistry, name: str, kind: str):  # type: ignore[no-untyped-def] # starlette's endpoints are of many types
    content = files("ibkr.web").joinpath("fleet_static", name).read_bytes()

    async def endpoint(_: Request) -> Response:
        _find_board(views)
        return Response(content, media_type=kind)

    return endpoint


def _find_board(views: ViewRegistry) -> Board:
    """Return the board of the fleet. Raises ``HTTPException`` if no fleet is shown."""
    board = next((view.board for view in views if view.board is not None), None)
    if board is None:
        raise HTTPException(404, "No fleet is shown here.\n")
    return board
