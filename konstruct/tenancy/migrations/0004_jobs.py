"""Beside procrastinate's table of jobs: why they failed; and jobs found by workspace and conversation."""

from django.db import migrations, models

# Raw, since that table is not Django's to reference: the note goes when its job goes, however it does.
WITH_THE_JOB = """
ALTER TABLE tenancy_jobfailure ADD CONSTRAINT tenancy_jobfailure_of_a_job
    FOREIGN KEY (job_id) REFERENCES procrastinate_jobs (id) ON DELETE CASCADE
"""

INDEXES = """
CREATE INDEX konstruct_jobs_of_a_workspace ON procrastinate_jobs ((args->>'workspace_id'));
CREATE INDEX konstruct_jobs_of_a_conversation ON procrastinate_jobs ((args->>'conversation_id'));
"""

# For the table of conversations in each workspace's schema (chat, migration 0004).
CONVERSATION_GONE = """
CREATE FUNCTION konstruct_conversation_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM public.procrastinate_jobs
    WHERE args->>'conversation_id' = OLD.id::text AND status IN ('todo', 'failed')
      AND args->>'workspace_id' = (
          SELECT id::text FROM public.tenancy_workspace WHERE schema_name = TG_TABLE_SCHEMA);
    RETURN NULL;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0003_session_fingerprints"),
        ("procrastinate", "0041_post_retry_failed_job"),
    ]
    operations = [
        migrations.CreateModel(
            name="JobFailure",
            fields=[
                ("job_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("error", models.CharField(max_length=100, verbose_name="error")),
                ("sentence", models.CharField(max_length=300, verbose_name="what went wrong")),
                ("failures", models.PositiveIntegerField(verbose_name="failed")),
                ("failed_at", models.DateTimeField(verbose_name="failed last")),
                ("gave_up", models.BooleanField()),
            ],
            options={"verbose_name": "failure", "verbose_name_plural": "failures"},
        ),
        migrations.RunSQL(WITH_THE_JOB, migrations.RunSQL.noop),
        migrations.RunSQL(
            INDEXES,
            "DROP INDEX konstruct_jobs_of_a_workspace; DROP INDEX konstruct_jobs_of_a_conversation",
        ),
        migrations.RunSQL(CONVERSATION_GONE, "DROP FUNCTION konstruct_conversation_gone() CASCADE"),
    ]
