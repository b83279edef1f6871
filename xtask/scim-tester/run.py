"""Runs scim2-tester against a server, and prints each check as a line of JSON.

    python run.py BASE_URL SEED < token

The tester makes values by chance; the seed makes them the same in every run, but for UUIDs.
"""

import json
import random
import sys
from importlib.metadata import version

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import check_server


def main() -> None:
    base_url, seed = sys.argv[1:]
    # Not an argument: arguments are seen by every program of the machine.
    token = sys.stdin.read().strip()
    random.seed(int(seed))
    headers = {"Authorization": f"Bearer {token}"}
    print(json.dumps({"tester": version("scim2-tester")}))
    with Client(base_url=base_url, headers=headers, timeout=60) as client:
        for result in check_server(SyncSCIMClient(client)):
            urn = result.data.get("urn") if isinstance(result.data, dict) else None
            line = {
                "check": result.title,
                "resource_type": result.resource_type,
                "attribute": urn,
                "status": result.status.name.lower(),
                "reason": result.reason,
            }
            print(json.dumps(line, default=str), flush=True)


main()
