from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("chat", "0004_model_calls_and_jobs")]
    operations = [
        migrations.AddField(
            "message",
            "memories",
            ArrayField(models.UUIDField(), blank=True, default=list, editable=False, size=None),
        ),
        migrations.AddField(
            "message", "recall_ms", models.PositiveIntegerField(blank=True, editable=False, null=True)
        ),
        migrations.AddField("message", "recall_late", models.BooleanField(default=False, editable=False)),
    ]
