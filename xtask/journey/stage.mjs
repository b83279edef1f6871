// What a chapter of the journey has: the server, browsers of the people in it, an Okta, and an app that
// receives webhooks.

import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

/** The longest that anything may take: far longer than it does, on a machine that has much to do. */
export const PATIENCE = 20_000;

/** Says what is wrong where something is. */
export function expect(condition, complaint) {
  if (!condition) throw new Error(complaint);
}

/** Looks until something is so. */
export async function until(what, look) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`it did not come to pass that ${what}`);
    await new Promise((next) => setTimeout(next, 50));
  }
}

/** The server as anybody starts it: on an empty folder. */
export class Server {
  static async start(binary, folder) {
    const server = new Server();
    Object.assign(server, { binary, folder, log: [], ahead: 0 });
    await server.run("127.0.0.1:0");
    expect(server.invitation, `the server did not start: ${server.log.join("\n")}`);
    return server;
  }

  async run(listen) {
    this.process = spawn(
      this.binary,
      [
        ...["serve", "--data", this.folder, "--listen", listen, "--clock-ahead", `${this.ahead}`],
        // Webhooks go to a receiver on this machine, and the simulated Okta is faster than a real one.
        ...["--webhook-allow", "127.0.0.0/8", "--requests-per-second", "0"],
      ],
      { stdio: ["ignore", "pipe", "pipe"], env: environment() },
    );
    createInterface({ input: this.process.stderr }).on("line", (line) => this.log.push(line));
    for await (const line of createInterface({ input: this.process.stdout })) {
      const last = line.trim().split(" ").at(-1);
      if (line.includes(" listens on ")) {
        this.url = last;
        // Told only of an empty folder: what is to be done first.
        if (listen !== "127.0.0.1:0") break;
      }
      if (line.startsWith("  API key ")) this.apiKey = last;
      if (line.startsWith("  dashboard ")) this.invitation = last;
      if (line.startsWith("  to begin ")) break;
    }
  }

  /** The same server, so many seconds later. */
  async pass(seconds) {
    this.ahead += seconds;
    const over = new Promise((ended) => this.process.once("exit", ended));
    this.process.kill("SIGTERM");
    await over;
    await this.run(new URL(this.url).host);
  }

  stop() {
    this.process.kill("SIGKILL");
  }
}

function environment() {
  const ours = ([name]) => !name.startsWith("ROSTER_");
  return Object.fromEntries(Object.entries(process.env).filter(ours));
}

/** The code that an authenticator app shows for a key (RFC 6238). */
export function codeOf(key, now = Date.now()) {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...key].map((it) => alphabet.indexOf(it).toString(2).padStart(5, "0")).join("");
  const bytes = bits.match(/.{8}/g).map((it) => Number.parseInt(it, 2));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(now / 30_000)));
  const hash = createHmac("sha1", Buffer.from(bytes)).update(counter).digest();
  const number = hash.readUInt32BE(hash.at(-1) & 15) & 0x7fff_ffff;
  return String(number % 1_000_000).padStart(6, "0");
}

/** An Okta that was given a base URL and a token, and nothing else. */
export class Okta {
  constructor(server, baseUrl, token) {
    Object.assign(this, { server, baseUrl, token });
  }

  /** Everything that an Okta does, judged by it. */
  simulate(preset) {
    const simulation = spawn(
      this.server.binary,
      ["simulate", "okta", "--preset", preset, "--url", this.baseUrl],
      { env: { ...environment(), ROSTER_SIMULATE_TOKEN: this.token }, stdio: ["ignore", "pipe", "pipe"] },
    );
    const said = [];
    simulation.stdout.on("data", (text) => said.push(text));
    simulation.stderr.on("data", (text) => said.push(text));
    return new Promise((done, failed) =>
      simulation.on("close", (code) =>
        code === 0 ? done() : failed(new Error(`the simulated Okta is not content:\n${said.join("")}`)),
      ),
    );
  }

  async send(method, path, body) {
    const response = await fetch(this.baseUrl + path, {
      method,
      headers: {
        Authorization: `Bearer ${this.token}`,
        "Content-Type": "application/scim+json",
        "User-Agent": "Okta SCIM Client 1.0.0",
      },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: text && JSON.parse(text) };
  }

  async assign(userName, [givenName, familyName], more = {}) {
    const answer = await this.send("POST", "/Users", {
      schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"],
      userName,
      name: { givenName, familyName },
      displayName: `${givenName} ${familyName}`,
      emails: [{ value: userName, type: "work", primary: true }],
      active: true,
      ...more,
    });
    expect(answer.status === 201, `${userName} was not taken: ${JSON.stringify(answer)}`);
    return answer.body.id;
  }

  async setActive(id, active) {
    const answer = await this.send("PATCH", `/Users/${id}`, {
      schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
      Operations: [{ op: "replace", value: { active } }],
    });
    expect(answer.status === 200, `active was not taken: ${JSON.stringify(answer)}`);
  }

  async push(displayName, ids) {
    const answer = await this.send("POST", "/Groups", {
      schemas: ["urn:ietf:params:scim:schemas:core:2.0:Group"],
      displayName,
      members: ids.map((value) => ({ value })),
    });
    expect(answer.status === 201, `${displayName} was not taken: ${JSON.stringify(answer)}`);
    return answer.body.id;
  }
}

/** The app: takes webhooks, or refuses them for as long as it is told to. */
export class Receiver {
  static async start() {
    const receiver = new Receiver();
    receiver.answer = 204;
    receiver.taken = [];
    receiver.server = createServer(async (request, response) => {
      let body = "";
      for await (const piece of request) body += piece;
      receiver.taken.push({ answered: receiver.answer, id: request.headers["webhook-id"], body: JSON.parse(body) });
      response.writeHead(receiver.answer).end();
    });
    await new Promise((listening) => receiver.server.listen(0, "127.0.0.1", listening));
    receiver.url = `http://127.0.0.1:${receiver.server.address().port}/webhooks`;
    return receiver;
  }

  stop() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

/** What an app knows that reads the feed from its beginning. */
export async function feed(server, query = "") {
  const events = [];
  let after = "";
  for (;;) {
    const address = `${server.url}/api/v1/events?limit=1000${query}${after && `&after=${after}`}`;
    const response = await fetch(address, { headers: { Authorization: `Bearer ${server.apiKey}` } });
    const page = await response.json();
    expect(response.ok, `the feed was not read: ${JSON.stringify(page)}`);
    events.push(...page.data);
    if (!page.has_more) return events;
    after = page.next;
  }
}

/** Presses something that leads to another page, and waits for it. */
export async function press(page, what) {
  await Promise.all([page.waitForEvent("load"), what.click()]);
}

/** A mark that a page loses when it is loaded again. */
export async function mark(page) {
  await page.evaluate(() => (window.isTheSame = true));
}

export async function isMarked(page) {
  return page.evaluate(() => window.isTheSame === true);
}
