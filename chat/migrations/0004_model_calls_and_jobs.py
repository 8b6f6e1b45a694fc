"""What calls of a model beside the answers have cost; and a conversation's waiting jobs go when it does."""

import django.utils.timezone
from django.db import migrations, models

# The function is in the shared schema: tenancy, migration 0004.
FORWARD = """
CREATE TRIGGER konstruct_conversation_gone AFTER DELETE ON chat_conversation
    FOR EACH ROW EXECUTE FUNCTION public.konstruct_conversation_gone()
"""
BACKWARD = "DROP TRIGGER konstruct_conversation_gone ON chat_conversation"


class Migration(migrations.Migration):
    dependencies = [
        ("chat", "0003_stop_requested"),
        ("tenancy", "0004_jobs"),
    ]
    operations = [
        migrations.CreateModel(
            name="ModelCall",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "purpose",
                    models.CharField(
                        choices=[("title", "title"), ("facts", "facts to remember"), ("summary", "summary")],
                        max_length=10,
                        verbose_name="purpose",
                    ),
                ),
                ("model", models.CharField(max_length=200, verbose_name="model")),
                ("prompt_tokens", models.PositiveIntegerField(verbose_name="tokens read")),
                ("completion_tokens", models.PositiveIntegerField(verbose_name="tokens written")),
                (
                    "usage_estimated",
                    models.BooleanField(default=False, verbose_name="tokens are an estimate"),
                ),
                (
                    "cost_usd",
                    models.DecimalField(
                        blank=True, decimal_places=8, max_digits=12, null=True, verbose_name="cost in USD"
                    ),
                ),
                ("conversation_id", models.UUIDField(blank=True, null=True)),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="called"),
                ),
            ],
            options={
                "verbose_name": "call of a model",
                "verbose_name_plural": "calls of models",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["created_at"], name="model_calls_by_time")],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
