"""Which columns the read role's database user may SELECT: one decision for each column of each model.

`manage.py migrate` grants exactly these. A column belongs here as `read` when a query of the read pool names it. A
column that only writers and operators need is `withheld`, above all what proves who somebody is.
"""

from dataclasses import dataclass

from django.apps import apps
from django.db import connections, transaction


@dataclass(frozen=True, slots=True)
class Columns:
    """Names in the database, separated by spaces. Together they are all columns of the model."""

    read: str = ""
    withheld: str = ""


COLUMNS = {
    # GET /me shows people their own address. Sessions are checked against the digest of the password's hash.
    "accounts.User": Columns(
        "id username name bio email email_verified_at is_active is_staff is_superuser date_joined follower_count"
        " following_count post_count password_digest rights_version",
        "password last_login sequence profile_edited_at",
    ),
    "accounts.User_groups": Columns(withheld="id user_id group_id"),
    "accounts.User_user_permissions": Columns(withheld="id user_id permission_id"),
    "accounts.EmailVerification": Columns(
        withheld="id user_id email mailbox requested_at claimed_at digest sent_at refusal"
    ),
    # Read when the state store cannot say what was revoked.
    "accounts.Revocation": Columns("user_id version session_id kept_id at", "id is_shared"),
    "accounts.Session": Columns(withheld="id user_id rights_version started_at ends_at ended_at network"),
    "accounts.RefreshToken": Columns(withheld="digest family user_id issued_at expires_at used_at revoked_at"),
    "posts.Post": Columns(
        "id author_id text hashtags created_at edited_at deleted_at like_count comment_count version", "sequence"
    ),
    "posts.Comment": Columns("id post_id author_id text created_at deleted_at"),
    "posts.Like": Columns("post_id user_id stamp active", "id"),
    "orders.Category": Columns("id parent_id name path", "slug sequence"),
    "orders.Product": Columns(
        "id sku name description price currency stock category_id is_sold version", "low_stock created_at sequence"
    ),
    "orders.ProductImage": Columns("file product_id position alt width height"),
    # GET /addresses and GET /orders/{id} show people where their own orders go.
    "orders.Address": Columns("id user_id name line1 line2 city region postcode country is_default", "sequence"),
    "orders.Order": Columns(
        "id number user_id status payment payment_type total currency address held_until created_at updated_at version",
        "payment_token",
    ),
    "orders.OrderItem": Columns("order_id product_id quantity unit_price sku name", "id"),
    "orders.OrderAddress": Columns("id order_id address"),
    "orders.PaymentAttempt": Columns(
        withheld="id order_id order_version gateway amount currency state reference reason asked ask_at created_at"
        " updated_at"
    ),
    "orders.SandboxCharge": Columns(withheld="key amount currency is_charged reason asked refunded_at created_at"),
    "orders.OrderEmail": Columns(withheld="event_position order_id kind refusal time"),
    # What GET /commands/{id} shows.
    "cqrs.CommandResult": Columns(
        "id type actor_id resource_type resource_id outcome problem",
        "idempotency_key fingerprint accepted_at applied_at",
    ),
    "cqrs.InboxCommand": Columns(
        "id type actor_id resource_type resource_id", "partition stamp body idempotency_key fingerprint kept_at"
    ),
    "cqrs.InboxClock": Columns(withheld="partition stamp"),
    "cqrs.LogGeneration": Columns(withheld="partition generation last_id waiting loss lost_at"),
    # The history of an order. Payloads hold ids, and nothing that is not public.
    "cqrs.Event": Columns(
        "position xid type version aggregate_id aggregate_version payload time command_id", "aggregate recorded_at"
    ),
    "cqrs.ConsumerOffset": Columns("consumer xid position", "id lane lanes lease_owner lease_until updated_at"),
    "cqrs.ParkedEvent": Columns("id consumer event_position", "error parked_at retry_at"),
    "cqrs.DeadLetter": Columns(
        withheld="command_id type partition envelope error kind traceback attempts buried_at state"
    ),
    "cqrs.DeadLetterStep": Columns(withheld="id letter_id action by actor_id reason changes at"),
    "cqrs.Heartbeat": Columns("id time timeline position"),
    "cqrs.Timeline": Columns("timeline position"),
    # Django's own. The admin runs in the write pool, and sessions are in the state store.
    "admin.LogEntry": Columns(
        withheld="id action_time user_id content_type_id object_id object_repr action_flag change_message"
    ),
    "auth.Group": Columns(withheld="id name"),
    "auth.Group_permissions": Columns(withheld="id group_id permission_id"),
    "auth.Permission": Columns(withheld="id name content_type_id codename"),
    "contenttypes.ContentType": Columns(withheld="id app_label model"),
    "sessions.Session": Columns(withheld="session_key session_data expire_date"),
}

GRANTED = """
    SELECT relation.relname, attribute.attname
    FROM pg_class AS relation JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid
    WHERE relation.relnamespace = 'public'::regnamespace AND relation.relkind IN ('r', 'p', 'v', 'm')
      AND relation.relowner = current_user::regrole AND attribute.attnum > 0 AND NOT attribute.attisdropped
      AND has_column_privilege(%s, relation.oid, attribute.attnum, 'SELECT')
"""


OWNED = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND relowner = current_user::regrole
    ORDER BY relname
"""


def wanted() -> set[tuple[str, str]]:
    """(table, column) of all that the read role may SELECT."""
    return {
        (apps.get_model(label)._meta.db_table, column)
        for label, columns in COLUMNS.items()
        for column in columns.read.split()
    }


def granted(user: str, using: str = "default") -> set[tuple[str, str]]:
    """(table, column) of all that `user` may SELECT of the tables that this process's user owns."""
    with connections[using].cursor() as cursor:
        cursor.execute(GRANTED, [user])
        return set(cursor.fetchall())


def has_user(user: str) -> bool:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [user])
        return cursor.rowcount == 1


def grant(user: str) -> bool:
    """Let `user` SELECT the declared columns and nothing else; False when nothing had to be changed."""
    if granted(user) == wanted():
        return False
    quote = connections["default"].ops.quote_name
    by_table: dict[str, list[str]] = {}
    for table, column in sorted(wanted()):
        by_table.setdefault(table, []).append(quote(column))
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute(OWNED)
        owned = ", ".join(quote(table) for (table,) in cursor.fetchall())
        # With its privileges on a table a user loses those on single columns.
        cursor.execute(f"REVOKE ALL ON {owned} FROM {quote(user)}")
        for table, columns in by_table.items():
            cursor.execute(f"GRANT SELECT ({', '.join(columns)}) ON {quote(table)} TO {quote(user)}")
    return True
