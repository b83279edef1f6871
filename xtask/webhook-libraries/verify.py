"""Verifies what the courier signs with the library of Standard Webhooks from PyPI.

Messages come in as lines of JSON. Each has to be believed as it is, and with one letter changed
anywhere it has to be refused.
"""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

count = 0
for line in sys.stdin:
    message = json.loads(line)
    webhook = Webhook(message["secret"])
    body, headers = message["body"], message["headers"]
    assert webhook.verify(body, headers) == json.loads(body), message
    # With all signatures changed: one that is right is enough.
    signatures = [signature[:-4] + "AAA=" for signature in headers["webhook-signature"].split()]
    changes = {
        "webhook-id": headers["webhook-id"] + "0",
        "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1),
        "webhook-signature": " ".join(signatures),
    }
    tampered = [(body.replace("1", "2"), headers)]
    tampered += [(body, {**headers, name: value}) for name, value in changes.items()]
    for changed_body, changed_headers in tampered:
        try:
            webhook.verify(changed_body, changed_headers)
        except WebhookVerificationError:
            continue
        raise SystemExit(f"this was believed: {changed_body} {changed_headers}")
    count += 1
print(count)
