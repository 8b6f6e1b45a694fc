"""Sockets name their session by its fingerprint (konstruct.tenancy.tokens); this finds it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0002_access_notifications")]
    operations = [
        migrations.RunSQL(
            "CREATE INDEX konstruct_session_fingerprint ON django_session"
            " (encode(sha256(session_key::bytea), 'hex'))",
            "DROP INDEX konstruct_session_fingerprint",
        )
    ]
