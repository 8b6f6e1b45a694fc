"""Every page and endpoint, but for the socket (konstruct.asgi) and the health checks (chat.portal.health)."""

from django.urls import URLPattern, URLResolver, include, path

from chat.portal.api import api
from konstruct.tenancy.admin_site import site

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("chat.portal.urls")),
    path("", include("konstruct.tenancy.urls")),
    path("api/", api.urls),
    path("admin/", site.urls),
]

handler400 = "chat.portal.errors.bad_request"
handler403 = "chat.portal.errors.forbidden"
handler404 = "chat.portal.errors.not_found"
handler500 = "chat.portal.errors.server_error"
