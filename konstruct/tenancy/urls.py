"""Who one is and where: reachable without a workspace."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from konstruct.tenancy import views

urlpatterns = [
    path("sign-in/", views.SignInView.as_view(), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("workspaces/", views.choose_workspace, name="choose-workspace"),
    path("workspaces/enter/", views.enter_workspace, name="enter-workspace"),
]
