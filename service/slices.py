"""What a slice of the server brings, and how a request reaches what a slice owns.

A slice is a folder of the service with one subject. It brings its router, what its lifespan owns,
the bodies that FastAPI cannot find by itself, and what its errors mean to a client. `service.app`
lists the slices; nobody else knows them all.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast, final

from fastapi import APIRouter, Request
from pydantic import BaseModel

from service.errors import ServiceError
from service.settings import Settings

Owned = TypeVar("Owned")


@final
class Part(Generic[Owned]):
    """A part of the state that the lifespan of the application yields; there are no globals.

    >>> number = Part[int]("number")
    >>> number.of(Request({"type": "http", "state": {"number": 3}}))
    3
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def of(self, request: Request) -> Owned:
        """Return it, as a request finds it."""
        return cast(Owned, request.scope["state"][self.name])


SETTINGS = Part[Settings]("settings")

Lifespan = Callable[[Settings], AbstractAsyncContextManager[Owned]]


@final
@dataclass(frozen=True, kw_only=True)
class Slice:
    """One subject of the server.

    Parameters
    ----------
    owns
        The part of the state that the slice owns, and what makes it: entered before the first
        request, left after the last.
    requests, error_bodies
        Bodies that its endpoints read raw, and errors of a form of its own: for the OpenAPI document.
    errors
        What errors that are no `ServiceError` mean to a client.
    """

    router: APIRouter = field(default_factory=APIRouter)
    owns: tuple[Part[Any], Lifespan[Any]] | None = None
    requests: tuple[type[BaseModel], ...] = ()
    error_bodies: tuple[type[Any], ...] = ()
    errors: Mapping[type[Exception], Callable[[Exception], ServiceError]] = field(
        default_factory=dict
    )
