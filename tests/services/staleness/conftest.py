from tests.services.api.serving import stores  # noqa: F401
from tests.support.postgres import database, postgres  # noqa: F401
from tests.support.valkey import valkey  # noqa: F401
