"""DuckDB's credentials for an object store, as a secret in memory only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from lakehouse.query.views.view import sql_literal

CREDENTIALS = {
    "KEY_ID": ("s3.access-key-id", "AWS_ACCESS_KEY_ID"),
    "SECRET": ("s3.secret-access-key", "AWS_SECRET_ACCESS_KEY"),
    "SESSION_TOKEN": ("s3.session-token", "AWS_SESSION_TOKEN"),
}
"""Option of DuckDB's secret -> pyiceberg's property, and AWS's variable."""


def secret_statements(store: Mapping[str, str], *, by_name: bool = False) -> list[str]:
    """Return the CREATE SECRET statement for an S3 store; empty without properties of S3.

    Args:
        store: Properties as pyiceberg names them.
        by_name: Take credentials from the environment of the process that runs the statement, for
            a statement in a file; DuckDB's own shell has ``getenv``.

    Examples:
        >>> secret_statements({"s3.endpoint": "http://127.0.0.1:9000"}, by_name=True)[0][:52]
        "CREATE SECRET lakehouse_store (TYPE s3, ENDPOINT '12"
    """
    if not any(name.startswith("s3.") for name in store):
        return []
    options = ["TYPE s3"]
    if endpoint := store.get("s3.endpoint"):
        parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        options += [
            f"ENDPOINT {sql_literal(parts.netloc)}",
            f"USE_SSL {str(parts.scheme == 'https').lower()}",
            "URL_STYLE 'path'",
        ]
    if region := store.get("s3.region"):
        options.append(f"REGION {sql_literal(region)}")
    for option, (name, variable) in CREDENTIALS.items():
        value = store.get(name) or os.environ.get(variable)
        if value:
            options.append(
                f"{option} getenv('{variable}')" if by_name else f"{option} {sql_literal(value)}"
            )
    return [f"CREATE SECRET lakehouse_store ({', '.join(options)})"]
