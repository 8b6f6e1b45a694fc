"""The portal's pages."""

from django.urls import path

from chat.portal import share_views, views

urlpatterns = [
    path("", views.home, name="home"),
    path("c/", views.begin, name="begin"),
    path("c/<uuid:conversation_id>", views.conversation, name="conversation"),
    path("s/<uuid:share_id>", share_views.shared, name="shared"),
    path("shares", share_views.shares, name="shares"),
    path("memory", views.memory, name="memory"),
]
