"""What a report leaves out of objects; that an archive has none of it either is in test_commands.py."""

from __future__ import annotations

import pytest
from marketpipeline_operator.plugin.report import redacted


@pytest.mark.parametrize(
    "thing",
    [
        {"name": "DATABASE_PASSWORD", "value": "hunter2"},
        {"env": [{"name": "API_TOKEN", "value": "hunter2"}]},
        {"database": {"password": "hunter2"}},
        {"s3": {"secret_key": "hunter2", "region": "eu"}},
        {"apiKey": "hunter2"},
        {"private_key": ["hunter2"]},
        {"env": [{"name": "ANYTHING", "value": "hunter2"}]},
        {"AWS_SECRET_ACCESS_KEY": "hunter2", "fs.azure.account.key.x": "hunter2"},
        {"args": ["jobmanager", "-Ds3.secret-key=hunter2", "-Ds3.access-key=hunter2"]},
        {"data": {"settings.json": '{"store": {"password": "hunter2"}}'}},
        {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"}},
    ],
)
def test_what_has_the_name_of_a_secret_is_hidden(thing: object) -> None:
    assert "hunter2" not in str(redacted(thing))


def test_all_else_stays() -> None:
    reference = {"passwordSecret": {"name": "db", "key": "url"}, "automountServiceAccountToken": False, "port": 5432}
    thing = {"metadata": {"name": "crypto", "managedFields": [{"manager": "kubectl"}]}, "spec": reference}
    assert redacted(thing) == {"metadata": {"name": "crypto"}, "spec": reference}
