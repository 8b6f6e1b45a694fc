"""What search finds and what lists show, kept by triggers.

Triggers, as for access (tenancy 0002): they hold for the portal, a channel, a job, the admin, a bulk
insert and plain SQL alike, and the notices go out only if the transaction commits. Each function keeps
the search path it was made with, its workspace's: it works for whoever writes the row.
"""

from django.db import migrations

FORWARD = r"""
-- An entry goes with its message or its conversation, whoever deletes them.
ALTER TABLE chat_searchentry
    ADD CONSTRAINT entry_of_a_message FOREIGN KEY (message_id)
        REFERENCES chat_message (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT entry_of_a_conversation FOREIGN KEY (conversation_id)
        REFERENCES chat_conversation (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;
-- What is written but not yet in the index is read by every search: little of it, then.
ALTER INDEX words_of_a_workspace SET (gin_pending_list_limit = 512);

-- Each word as it is written, its English and its Spanish stem, and the mark. Only the words as written
-- have positions (phrases are found by them): stems would double the size. A tsvector holds 1 MiB; the
-- first 50,000 characters never need more.
CREATE FUNCTION chat_words(said text, mark text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_tsvector('pg_catalog.simple', left(said, 50000))
        || strip(to_tsvector('pg_catalog.english', left(said, 50000)))
        || strip(to_tsvector('pg_catalog.spanish', left(said, 50000)))
        || array_to_tsvector(ARRAY[mark])
$$;

CREATE FUNCTION chat_index_message() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE owner uuid;
BEGIN
    IF NEW.text = '' THEN
        DELETE FROM chat_searchentry WHERE message_id = NEW.id;
        RETURN NULL;
    END IF;
    SELECT user_id INTO owner FROM chat_conversation WHERE id = NEW.conversation_id;
    IF owner IS NOT NULL THEN
        INSERT INTO chat_searchentry (conversation_id, message_id, user_id, said_at, words)
        VALUES (NEW.conversation_id, NEW.id, owner, NEW.created_at,
                chat_words(NEW.text, 'said:' || owner))
        ON CONFLICT (message_id) DO UPDATE SET words = EXCLUDED.words, said_at = EXCLUDED.said_at;
    END IF;
    RETURN NULL;
END $$;

-- An answer that is being written is none yet: it is indexed once, when it stands.
CREATE TRIGGER chat_message_written AFTER INSERT ON chat_message
    FOR EACH ROW WHEN (NEW.status <> 'running' AND NEW.text <> '') EXECUTE FUNCTION chat_index_message();
CREATE TRIGGER chat_message_settled AFTER UPDATE OF text, status ON chat_message
    FOR EACH ROW WHEN (NEW.status <> 'running' AND (OLD.text, OLD.status) IS DISTINCT FROM (NEW.text, NEW.status))
    EXECUTE FUNCTION chat_index_message();

CREATE FUNCTION chat_index_title() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.title = '' THEN
        DELETE FROM chat_searchentry WHERE conversation_id = NEW.id AND message_id IS NULL;
    ELSE
        INSERT INTO chat_searchentry (conversation_id, message_id, user_id, said_at, words)
        VALUES (NEW.id, NULL, NEW.user_id, NEW.created_at, chat_words(NEW.title, 'title:' || NEW.user_id))
        ON CONFLICT (conversation_id) WHERE message_id IS NULL DO UPDATE SET words = EXCLUDED.words;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER chat_conversation_titled AFTER INSERT ON chat_conversation
    FOR EACH ROW WHEN (NEW.title <> '') EXECUTE FUNCTION chat_index_title();
CREATE TRIGGER chat_conversation_retitled AFTER UPDATE OF title ON chat_conversation
    FOR EACH ROW WHEN (OLD.title IS DISTINCT FROM NEW.title) EXECUTE FUNCTION chat_index_title();

INSERT INTO chat_searchentry (conversation_id, message_id, user_id, said_at, words)
    SELECT c.id, NULL, c.user_id, c.created_at, chat_words(c.title, 'title:' || c.user_id)
    FROM chat_conversation c WHERE c.title <> '';
INSERT INTO chat_searchentry (conversation_id, message_id, user_id, said_at, words)
    SELECT c.id, m.id, c.user_id, m.created_at, chat_words(m.text, 'said:' || c.user_id)
    FROM chat_message m JOIN chat_conversation c ON c.id = m.conversation_id
    WHERE m.status <> 'running' AND m.text <> '';

-- Read by chat.news: `listed` with the conversation as its owner's list shows it, or `gone`.
CREATE FUNCTION chat_tell_list() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE c record;
BEGIN
    IF TG_OP = 'DELETE' THEN c := OLD; ELSE c := NEW; END IF;
    IF TG_OP = 'DELETE' OR c.deleted_at IS NOT NULL THEN
        PERFORM pg_notify('konstruct_news', json_build_object(
            'type', 'gone', 'schema_name', TG_TABLE_SCHEMA, 'conversation_id', c.id,
            'user_id', c.user_id)::text);
    ELSE
        PERFORM pg_notify('konstruct_news', json_build_object(
            'type', 'listed', 'schema_name', TG_TABLE_SCHEMA, 'conversation_id', c.id,
            'user_id', c.user_id, 'item', json_build_object(
                'id', c.id, 'title', c.title, 'agent_id', c.agent_id, 'channel', c.channel,
                'leaf_id', c.leaf_id, 'created_at', c.created_at, 'updated_at', c.updated_at,
                'pinned_at', c.pinned_at, 'archived_at', c.archived_at))::text);
    END IF;
    RETURN NULL;
END $$;

-- `leaf_id` moves when a turn begins, in a transaction that notifies anyway, and not when it ends: notices
-- make transactions wait for each other at their commit.
CREATE TRIGGER chat_conversation_begun AFTER INSERT ON chat_conversation
    FOR EACH ROW EXECUTE FUNCTION chat_tell_list();
CREATE TRIGGER chat_conversation_changed AFTER UPDATE ON chat_conversation
    FOR EACH ROW WHEN (
        (OLD.title, OLD.agent_id, OLD.leaf_id, OLD.pinned_at, OLD.archived_at, OLD.deleted_at)
        IS DISTINCT FROM
        (NEW.title, NEW.agent_id, NEW.leaf_id, NEW.pinned_at, NEW.archived_at, NEW.deleted_at))
    EXECUTE FUNCTION chat_tell_list();
CREATE TRIGGER chat_conversation_gone AFTER DELETE ON chat_conversation
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL) EXECUTE FUNCTION chat_tell_list();

-- Whoever goes on in an archived conversation, by whichever channel, takes it up again.
CREATE FUNCTION chat_leave_archive() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.archived_at := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER chat_conversation_taken_up BEFORE UPDATE ON chat_conversation
    FOR EACH ROW WHEN (OLD.archived_at IS NOT NULL AND NEW.updated_at > OLD.updated_at
                       AND OLD.leaf_id IS DISTINCT FROM NEW.leaf_id)
    EXECUTE FUNCTION chat_leave_archive();
"""

BACKWARD = """
DROP FUNCTION chat_leave_archive() CASCADE;
DROP FUNCTION chat_tell_list() CASCADE;
DROP FUNCTION chat_index_title() CASCADE;
DROP FUNCTION chat_index_message() CASCADE;
DROP FUNCTION chat_words(text, text) CASCADE;
ALTER TABLE chat_searchentry DROP CONSTRAINT entry_of_a_message, DROP CONSTRAINT entry_of_a_conversation;
"""


class Migration(migrations.Migration):
    dependencies = [("chat", "0006_listing_and_search")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
