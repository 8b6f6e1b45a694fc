"""Whoever loses access loses it at once: the database itself tells every server process.

Triggers, not signals: they hold for the admin, a bulk update, another machine's shell and plain SQL
alike, and they speak only if the transaction commits. Read by konstruct.tenancy.access.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION konstruct_access_withdrawn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'tenancy_membership' THEN
        PERFORM pg_notify('konstruct_access', json_build_object(
            'user', OLD.user_id, 'workspace', OLD.workspace_id)::text);
    ELSIF TG_TABLE_NAME = 'tenancy_workspace' THEN
        PERFORM pg_notify('konstruct_access', json_build_object('workspace', OLD.id)::text);
    ELSIF TG_TABLE_NAME = 'tenancy_user' THEN
        PERFORM pg_notify('konstruct_access', json_build_object('user', OLD.id)::text);
    ELSE
        PERFORM pg_notify('konstruct_access', json_build_object(
            'session', encode(sha256(convert_to(OLD.session_key, 'UTF8')), 'hex'))::text);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER konstruct_membership_gone AFTER DELETE ON tenancy_membership
    FOR EACH ROW EXECUTE FUNCTION konstruct_access_withdrawn();
CREATE TRIGGER konstruct_membership_changed AFTER UPDATE ON tenancy_membership
    FOR EACH ROW WHEN ((OLD.user_id, OLD.workspace_id, OLD.role) IS DISTINCT FROM
                       (NEW.user_id, NEW.workspace_id, NEW.role))
    EXECUTE FUNCTION konstruct_access_withdrawn();
CREATE TRIGGER konstruct_workspace_gone AFTER DELETE ON tenancy_workspace
    FOR EACH ROW EXECUTE FUNCTION konstruct_access_withdrawn();
CREATE TRIGGER konstruct_workspace_suspended AFTER UPDATE ON tenancy_workspace
    FOR EACH ROW WHEN (OLD.suspended_at IS NULL AND NEW.suspended_at IS NOT NULL)
    EXECUTE FUNCTION konstruct_access_withdrawn();
CREATE TRIGGER konstruct_user_gone AFTER DELETE ON tenancy_user
    FOR EACH ROW EXECUTE FUNCTION konstruct_access_withdrawn();
CREATE TRIGGER konstruct_user_changed AFTER UPDATE ON tenancy_user
    FOR EACH ROW WHEN ((OLD.is_active AND NOT NEW.is_active) OR OLD.password IS DISTINCT FROM NEW.password)
    EXECUTE FUNCTION konstruct_access_withdrawn();
CREATE TRIGGER konstruct_session_gone AFTER DELETE ON django_session
    FOR EACH ROW EXECUTE FUNCTION konstruct_access_withdrawn();
"""

BACKWARD = "DROP FUNCTION konstruct_access_withdrawn() CASCADE"


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0001_initial"), ("sessions", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
