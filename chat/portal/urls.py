"""The portal's pages."""

from django.urls import path

from chat.portal import views

urlpatterns = [
    path("", views.home, name="home"),
    path("c/", views.begin, name="begin"),
    path("c/<uuid:conversation_id>", views.conversation, name="conversation"),
    path("memory", views.memory, name="memory"),
]
