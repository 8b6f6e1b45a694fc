from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("memory", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="SharedNote",
            fields=[],
            options={
                "verbose_name": "shared note",
                "verbose_name_plural": "shared notes",
                "ordering": ["-said_at", "-id"],
                "abstract": False,
                "proxy": True,
                "base_manager_name": "objects",
                "indexes": [],
                "constraints": [],
            },
            bases=("memory.memory",),
        ),
    ]
