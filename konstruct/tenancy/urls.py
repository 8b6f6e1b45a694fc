"""Who one is and where, and who else is there. All but `people/` is reachable without a workspace."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from konstruct.tenancy import account_views, join_views, people_views, views

urlpatterns = [
    path("sign-in/", views.SignInView.as_view(), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("workspaces/", views.choose_workspace, name="choose-workspace"),
    path("workspaces/enter/", views.enter_workspace, name="enter-workspace"),
    path("people/", people_views.people_page, name="people"),
    path("people/invite/", people_views.invite, name="invite"),
    path(
        "people/invitations/<uuid:invitation_id>/revoke/",
        people_views.revoke_invitation,
        name="revoke-invitation",
    ),
    path("people/<uuid:membership_id>/role/", people_views.change_role, name="change-role"),
    path("people/<uuid:membership_id>/remove/", people_views.remove_member, name="remove-member"),
    path("join/", join_views.open_invitation, name="join"),
    path("join/accept/", join_views.accept_invitation, name="accept-invitation"),
    path("join/new/", join_views.join_as_new, name="join-as-new"),
    path("join/other/", join_views.join_as_other, name="join-as-other"),
    path("account/", account_views.account_page, name="account"),
    path("account/profile/", account_views.save_profile, name="save-profile"),
    path("account/password/", account_views.change_password, name="change-password"),
    path("account/sessions/<uuid:session_id>/end/", account_views.end_session, name="end-session"),
    path("account/sign-out-everywhere/", account_views.sign_out_everywhere, name="sign-out-everywhere"),
]
