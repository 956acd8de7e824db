"""GET /api/v1/: where to go from here."""

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

ENTRANCES = {
    "posts": "posts",
    "public_timeline": "public-timeline",
    "products": "products",
    "categories": "categories",
    "me": "me",
    "addresses": "addresses",
    "register": "register",
    "token": "token",
    "docs": "docs",
    "schema": "schema",
}


class ApiRoot(APIView):
    """Posts are available, orders are consistent. Start with the posts."""

    name = "API"
    permission_classes = [AllowAny]

    @extend_schema(responses={200: dict}, tags=["root"])
    def get(self, request):
        return Response({name: reverse(route, request=request) for name, route in ENTRANCES.items()})
