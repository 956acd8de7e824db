"""Where the things that commands change can be read: each domain declares its kinds once, beside its write views."""

from dataclasses import dataclass
from functools import cache
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse

from socialapp.cqrs.fragments import Entities

ANY = str(UUID(int=0))


@dataclass(frozen=True, slots=True)
class Resource:
    """type: as in `resource.type` of an answer. route: a URL name whose one argument is the id, or that has none."""

    type: str
    route: str
    entities: Entities | None
    by_id: bool = True


_resources: dict[str, Resource] = {}


def declare(resource: Resource) -> Resource:
    _resources[resource.type] = resource
    return resource


def href(request: HttpRequest, resource_type: str, resource_id: object) -> str:
    """The absolute URL of a thing. As request.build_absolute_uri has it, which first takes the path apart."""
    return f"{request.scheme}://{request.get_host()}{_path(resource_type).replace(ANY, str(resource_id))}"


@cache
def _path(resource_type: str) -> str:
    """With ANY where the id belongs."""
    resource = _resources[resource_type]
    return reverse(resource.route, args=[ANY] if resource.by_id else [])


def reference(request: HttpRequest, resource_type: str, resource_id: object) -> dict:
    """{"type", "id", "href"} as it stands in every answer."""
    return {"type": resource_type, "id": str(resource_id), "href": href(request, resource_type, resource_id)}
