"""The admin's one site: who may enter it, where its queries run, what its pages may load.

Roles decide, not Django's per-model permissions. The owners and admins of a workspace look after its
employees and conversations; the platform's superusers look after workspaces and people. Whoever does
not manage the request's workspace runs outside of all of them, so that a tenant query raises
NoWorkspace instead of showing a row.
"""

from collections.abc import Callable
from functools import update_wrapper, wraps
from typing import Any, NoReturn, cast

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.urls import URLPattern, URLResolver, reverse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_tenants.utils import get_public_schema_name, schema_context
from unfold.admin import ModelAdmin, TabularInline
from unfold.sites import UnfoldAdminSite

from konstruct.tenancy.models import Membership

View = Callable[..., HttpResponseBase]

# unfold's Alpine evaluates expressions, and its theme is an inline style. Still no inline script and
# no other host; all else is the policy of every page (settings.CONTENT_SECURITY_POLICY).
CONTENT_SECURITY_POLICY = {"script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}


def membership_of(request: HttpRequest) -> Membership | None:
    """The user's place in the request's workspace, as WorkspaceMiddleware found it."""
    return cast("Membership | None", getattr(request, "membership", None))


def manages(request: HttpRequest) -> bool:
    """Whether the user looks after the workspace the request is in."""
    membership = membership_of(request)
    return membership is not None and membership.manages


def operates(request: HttpRequest) -> bool:
    """Whether the user is an operator of the platform."""
    return bool(request.user.is_active and request.user.is_superuser)


def outside_workspaces(view: View) -> View:
    """`view` in the shared schema. The page is rendered there too: left to Django, that would happen
    after the return, in the request's workspace again."""

    @wraps(view)
    def shared(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with schema_context(get_public_schema_name()):
            response = view(request, *args, **kwargs)
            if isinstance(response, SimpleTemplateResponse):
                response.render()
            return response

    return shared


class KonstructAdminSite(UnfoldAdminSite):
    """unfold's admin, opened by role, with sign-in and sign-out by our own pages."""

    index_title = gettext_lazy("Overview")

    def has_permission(self, request: HttpRequest) -> bool:
        return manages(request) or operates(request)

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        guarded = super().admin_view(view, cacheable)
        guarded_outside = outside_workspaces(guarded)

        @csp_replace(CONTENT_SECURITY_POLICY)
        def entered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not self.has_permission(request):
                return self.refuse(request)
            return (guarded if manages(request) else guarded_outside)(request, *args, **kwargs)

        return cast(View, update_wrapper(entered, guarded))

    def refuse(self, request: HttpRequest) -> HttpResponse:
        """Send on whom another page can help; tell the others whom to ask."""
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if membership_of(request) is None:
            return redirect("choose-workspace")
        context = {**self.each_context(request), "title": _("For owners and admins")}
        response = TemplateResponse(request, "admin/refused.html", context, status=403)
        add_never_cache_headers(response)
        return response

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """There is one sign-in, the portal's. Who is signed in already gets in, or gets told why not."""
        index = reverse("admin:index", current_app=self.name)
        return redirect(index) if request.user.is_authenticated else redirect_to_login(index)

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> NoReturn:
        """Off: unfold keeps what it found for five minutes by user and words, whatever the workspace."""
        raise Http404

    def get_urls(self) -> list[URLPattern | URLResolver]:
        # "View on site" reads any row of any model by its number, before a permission is asked for.
        return [url for url in super().get_urls() if getattr(url, "name", None) != "view_on_site"]


class _ByRole:
    """Permissions of a ModelAdmin or an inline that one role decides as a whole."""

    def allows(self, request: HttpRequest) -> bool:
        raise NotImplementedError

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.allows(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.allows(request)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.allows(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.allows(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.allows(request)


class TenantModelAdmin(_ByRole, ModelAdmin):
    """Base of the admins of tenant models: for the owners and admins of the workspace one is in."""

    view_on_site: Any = False

    def allows(self, request: HttpRequest) -> bool:
        return manages(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Django looks a row up before it asks for the permission to see it."""
        if not self.allows(request):
            raise PermissionDenied
        queryset: QuerySet = super().get_queryset(request)
        return queryset


class PlatformModelAdmin(_ByRole, ModelAdmin):
    """Base of the admins of shared models: for superusers, and outside of every workspace, so that
    the log of what was done to them is kept in one place."""

    view_on_site: Any = False

    def allows(self, request: HttpRequest) -> bool:
        return operates(request)

    def get_urls(self) -> list[URLPattern]:
        urls: list[URLPattern] = super().get_urls()
        for url in urls:
            url.callback = outside_workspaces(url.callback)
        return urls


class PlatformInline(_ByRole, TabularInline):
    """Base of the inlines of shared models."""

    extra = 0

    def allows(self, request: HttpRequest) -> bool:
        return operates(request)


site = KonstructAdminSite()
