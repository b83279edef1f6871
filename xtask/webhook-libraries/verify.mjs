// Verifies what the courier signs with the library of Standard Webhooks from npm.
//
// Messages come in as lines of JSON. Each has to be believed as it is, and with one letter changed
// anywhere it has to be refused.

import assert from "node:assert";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// From where it was installed, which is not beside this file.
const { Webhook, WebhookVerificationError } = createRequire(process.argv[2])("standardwebhooks");

let count = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const { secret, body, headers } = JSON.parse(line);
  const webhook = new Webhook(secret);
  assert.deepStrictEqual(webhook.verify(body, headers), JSON.parse(body));
  // With all signatures changed: one that is right is enough.
  const signatures = headers["webhook-signature"].split(" ");
  const changes = {
    "webhook-id": `${headers["webhook-id"]}0`,
    "webhook-timestamp": `${headers["webhook-timestamp"] - 1}`,
    "webhook-signature": signatures.map((it) => `${it.slice(0, -4)}AAA=`).join(" "),
  };
  const tampered = [[body.replaceAll("1", "2"), headers]];
  for (const [name, value] of Object.entries(changes)) {
    tampered.push([body, { ...headers, [name]: value }]);
  }
  for (const [changedBody, changedHeaders] of tampered) {
    assert.throws(() => webhook.verify(changedBody, changedHeaders), WebhookVerificationError);
  }
  count += 1;
}
console.log(count);
