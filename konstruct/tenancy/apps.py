from django.apps import AppConfig


class TenancyConfig(AppConfig):
    name = "konstruct.tenancy"
    label = "tenancy"
    verbose_name = "Platform"
