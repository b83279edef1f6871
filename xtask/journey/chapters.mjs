// What people do with a fresh server, in order. Each chapter leaves in the stage what later ones need.

import { compare } from "./crawl.mjs";
import { Okta, codeOf, expect, feed, isMarked, mark, press, until } from "./stage.mjs";

const PASSWORD = "correct horse battery staple";

/** The rows of a table, or the entries of a list, that say something. */
const row = (page, text) => page.locator("tr, li.card, li.request").filter({ hasText: text });

/** Another connection of the organization, with an Okta that speaks to it. */
async function secondOkta({ server, organization }) {
  const call = async (path, body) => {
    const headers = { Authorization: `Bearer ${server.apiKey}`, "Content-Type": "application/json" };
    const answer = await fetch(`${server.url}/api/v1${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    const made = await answer.json();
    expect(answer.status === 201, `${path} answers ${JSON.stringify(made)}`);
    return made;
  };
  const organizationId = /org-[0-9a-z]{26}/.exec(organization)[0];
  const directory = await call(`/organizations/${organizationId}/directories`, { name: "Crowd", provider: "okta" });
  const token = await call(`/directories/${directory.id}/tokens`, {});
  return { directory: directory.id, okta: new Okta(server, directory.base_url, token.token) };
}

export const CHAPTERS = [
  {
    title: "the first member joins by the link that the server prints",
    async play(stage) {
      const page = await stage.person("owner");
      stage.owner = page;
      await page.goto(stage.server.invitation);
      await page.getByLabel("Your name").fill("Olga Owner");
      await page.getByLabel("E-mail address").fill("olga@vendor.example");
      await page.getByLabel("Password").fill(PASSWORD);
      stage.key = (await page.locator("#key").textContent()).replaceAll(" ", "");
      await page.getByLabel("Code", { exact: true }).fill(codeOf(stage.key));
      await press(page, page.getByRole("button", { name: "Join" }));
      await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();

      const stranger = await stage.person("second comer");
      stage.watch.forgiven += 1;
      await stranger.goto(stage.server.invitation);
      expect(!(await stranger.getByLabel("Your name").isVisible()), "the link opens twice");
      await stranger.context().close();
    },
  },
  {
    title: "an organization is made, and a portal link for its IT admin",
    async play(stage) {
      const page = stage.owner;
      await page.getByRole("link", { name: "Organizations" }).click();
      await page.getByLabel("Name", { exact: true }).fill("Acme");
      await press(page, page.getByRole("button", { name: "Create" }));
      await page.getByRole("heading", { level: 1, name: "Acme" }).waitFor();
      stage.organization = page.url();
      await press(page, page.getByRole("button", { name: "Create link" }));
      await page.locator("#links").getByRole("button", { name: "Copy" }).first().click();
      stage.link = await page.evaluate(() => navigator.clipboard.readText());
      expect(stage.link.startsWith(`${stage.server.url}/portal/open/`), `copied was ${stage.link}`);
    },
  },
  {
    title: "the link opens the portal in one browser, and in no other",
    async play(stage) {
      const page = await stage.person("admin");
      stage.admin = page;
      await page.goto(stage.link);
      await page.getByRole("heading", { level: 1, name: "Directory sync of Acme" }).waitFor();
      await press(page, page.getByRole("button", { name: "Open the portal" }));
      await page.getByRole("heading", { level: 1, name: "Directory sync" }).waitFor();
      stage.portal = page.url();

      const stranger = await stage.person("stranger");
      for (const address of [stage.link, stage.portal]) {
        stage.watch.forgiven += 1;
        const answer = await stranger.goto(address);
        expect(answer.status() >= 400, `a stranger was let in at ${address}`);
        expect(!(await stranger.content()).includes("Acme"), "a stranger reads whose it is");
      }
      await stranger.context().close();
    },
  },
  {
    title: "Okta is chosen, and base URL and token are copied from its guide",
    async play(stage) {
      const page = stage.admin;
      await press(page, page.getByRole("link", { name: "Connect your provider" }));
      await press(page, page.getByRole("link", { name: /^Okta/ }));
      await page.getByLabel(/catalog/i).or(page.locator('input[value="okta-template"]')).first().check();
      await page.getByLabel("Name of this connection").fill("Okta of Acme");
      await press(page, page.getByRole("button", { name: "Continue" }));
      await press(page, page.getByRole("button", { name: "Make the token" }));
      const beside = page.getByRole("complementary", { name: "What you paste, and how far you are" });
      const copied = [];
      for (const id of ["base-url", "token"]) {
        await beside.locator(`[data-copy="${id}"]`).click();
        copied.push(await page.evaluate(() => navigator.clipboard.readText()));
      }
      stage.okta = new Okta(stage.server, ...copied);
    },
  },
  {
    title: "a simulated Okta is given what the page shows, and every step ticks without a reload",
    async play(stage) {
      const page = stage.admin;
      expect((await page.locator(".is-seen").count()) === 0, "a step is ticked, and nothing was sent yet");
      await mark(page);
      const seen = [];
      let isOver = false;
      const simulation = stage.okta.simulate("okta-2026-template").finally(() => (isOver = true));
      await until("every step was seen", async () => {
        const now = await page.locator(".is-seen").count();
        if (now !== seen.at(-1)) seen.push(now);
        return isOver && (await page.getByText("Everything works.").isVisible());
      }).catch(async (error) => {
        await simulation;
        throw new Error(`${error.message}; steps seen: ${seen.join(", ")}`);
      });
      await simulation;
      expect(await isMarked(page), "the page was loaded again");
      expect((await page.getByText("Ticks when it arrives").count()) === 0, "a step waits for traffic");
      const steps = await page.locator(".is-seen").count();
      expect(steps === 9, `${steps} steps were seen, not 9`);
      stage.connection = page.url().split("/set-up")[0];
    },
  },
  {
    title: "people and groups of the simulated Okta are seen, and one person with their groups",
    async play(stage) {
      stage.ana = await stage.okta.assign("ana@acme.example", ["Ana", "Lind"], { title: "Designer" });
      stage.bo = await stage.okta.assign("bo@acme.example", ["Bo", "Chen"]);
      stage.design = await stage.okta.push("Design", [stage.ana]);
      const page = stage.admin;
      await page.goto(`${stage.connection}/people?q=ana`);
      await press(page, page.getByRole("link", { name: "Ana Lind" }));
      await page.getByText("Designer").first().waitFor();
      await press(page, page.getByRole("link", { name: "Design" }).first());
      await row(page, "Ana Lind").waitFor();
    },
  },
  {
    title: "a token is exchanged, and no request fails meanwhile",
    async play(stage) {
      const { admin: page, okta } = stage;
      let isOver = false;
      const statuses = new Map();
      const requests = (async () => {
        while (!isOver) {
          const { status } = await okta.send("GET", "/Users?startIndex=1&count=1");
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
        }
      })();
      await page.goto(`${stage.connection}/tokens`);
      const old = row(page, `…${okta.token.slice(-4)}`);
      await old.getByText("Exchange", { exact: true }).click();
      await press(page, old.getByRole("button", { name: "Make the new token" }));
      await page.locator('.notice [data-copy]').first().click();
      const fresh = await page.evaluate(() => navigator.clipboard.readText());
      expect(fresh !== okta.token, "the token is the one of before");
      await row(page, `…${fresh.slice(-4)}`).getByText("Not used yet").waitFor();
      const before = okta.token;
      okta.token = fresh;
      await row(page, `…${fresh.slice(-4)}`).getByText("In use", { exact: true }).waitFor();
      const superseded = row(page, `…${before.slice(-4)}`);
      await superseded.getByText("A later one is used").waitFor();
      await superseded.getByText("Take back", { exact: true }).click();
      await press(page, superseded.getByRole("button", { name: "Take it back" }));
      isOver = true;
      await requests;
      expect([...statuses.keys()].join() === "200", `answered was ${JSON.stringify([...statuses])}`);
      okta.token = before;
      expect((await okta.send("GET", "/Users?count=1")).status === 401, "the old token is good still");
      okta.token = fresh;
    },
  },
  {
    title: "a failed request is found by the id in Okta's error, and explained",
    async play(stage) {
      const { admin: page, okta } = stage;
      const answer = await okta.send("POST", "/Users", {
        schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"],
        userName: "ANA@acme.example",
        active: true,
      });
      expect(answer.status === 409, `a taken name was answered with ${answer.status}`);
      const id = /req-[0-9a-z]{26}/.exec(answer.body.detail)?.[0];
      expect(id, `no id of a request in: ${answer.body.detail}`);
      await page.goto(`${stage.connection}/activity`);
      await page.getByLabel("User name, or id of a request").fill(id);
      await press(page, page.getByRole("button", { name: "Find" }));
      await press(page, page.getByRole("link", { name: "Details" }).first());
      await page.getByText("What to do:").first().waitFor();
      expect((await page.locator("main").textContent()).includes("ANA@acme.example"), "it does not say who");
    },
  },
  {
    title: "roles are mapped, and who gains what is seen before it is saved",
    async play(stage) {
      const { admin: page, server } = stage;
      for (const [rank, id, name] of [[1, "editor", "Editor"], [2, "viewer", "Viewer"]]) {
        const answer = await fetch(`${server.url}/api/v1/roles/${id}`, {
          method: "PUT",
          headers: { Authorization: `Bearer ${server.apiKey}`, "Content-Type": "application/json" },
          body: JSON.stringify({ name, rank }),
        });
        expect(answer.ok, `the role was not taken: ${await answer.text()}`);
      }
      await page.goto(`${stage.connection}/roles`);
      await page.locator("#rule-1-group").selectOption({ label: "Design" });
      await page.locator("#rule-1-role").selectOption({ label: "Editor" });
      await page.locator("#default-role").selectOption({ label: "Viewer" });
      await press(page, page.getByRole("button", { name: "Preview" }));
      await page.getByText("Nothing was saved yet.").waitFor();
      const gains = page.getByRole("region", { name: "Roles gained and lost" });
      expect(/Editor\s*1\s*0/.test(await gains.textContent()), "it does not say how many become editors");
      await press(page, page.getByRole("button", { name: "Save" }));
      expect((await page.locator("#rule-1-group option:checked").textContent()) === "Design", "the rule is not kept");
      await until("the app hears of Ana's role", async () => {
        const events = await feed(server, "&type=directory.user.roles_updated");
        return events.some((it) => it.data.user.userName === "ana@acme.example");
      });
    },
  },
  {
    title: "a mass change is held, rejected and brought back; another is approved",
    async play(stage) {
      const { admin: page, server } = stage;
      const [portal, other] = [stage.connection.split("/directories/")[0], await secondOkta(stage)];
      const holds = `${portal}/directories/${other.directory}/holds`;
      const people = [];
      for (let number = 0; number < 15; number += 1) {
        people.push(await other.okta.assign(`crowd-${number}@acme.example`, ["Crowd", `${number}`]));
      }
      // Who has left, by what the app has heard last of each.
      const gone = async () => {
        const events = await feed(server, `&directory_id=${other.directory}&type=directory.user.*`);
        const said = events.filter((it) => it.data.user.active !== undefined);
        const heard = new Map(said.map((it) => [it.data.user.id, it.data.user.active]));
        return [...heard.values()].filter((active) => !active).length;
      };
      // By mistake, all of them. The app heard of the first few, and then that they have what they had.
      for (const id of people) await other.okta.setActive(id, false);
      await until("the app knows of no leaver", async () => (await gone()) === 0);
      await page.goto(holds);
      await row(page, "Waits for you").getByRole("link").click();
      await row(page, "crowd-0@acme.example").waitFor();
      await press(page, page.getByRole("button", { name: "It was a mistake: reject" }));
      await page.getByText("Nobody loses access.").waitFor();
      for (const id of people) await other.okta.setActive(id, true);
      await page.locator("#hold-state").getByText("Brought back").waitFor();
      expect((await gone()) === 0, "somebody lost access");

      for (const id of people) await other.okta.setActive(id, false);
      await page.goto(holds);
      await row(page, "Waits for you").getByRole("link").click();
      await page.getByText("It was meant so: approve").click();
      await press(page, page.getByRole("button", { name: "Approve it" }));
      await until("the app hears of all who left", async () => (await gone()) === people.length);
      await page.locator("#hold-state").getByText("Approved").waitFor();
    },
  },
  {
    title: "what has happened to one person is read, with the request that did it",
    async play(stage) {
      const page = stage.admin;
      await stage.okta.setActive(stage.ana, false);
      await page.goto(`${stage.connection}/people/${stage.ana}`);
      const happened = page.locator("#happened li");
      const said = await happened.allTextContents();
      for (const [index, what] of ["Arrived", "Joined Design"].entries()) {
        expect(said[index].includes(what), `it says ${said[index]} where ${what} was to be`);
      }
      await happened.filter({ hasText: "Deactivated" }).waitFor();
      await stage.okta.setActive(stage.ana, true);
      // The page that is open hears of it.
      await happened.filter({ hasText: "Reactivated" }).waitFor();
      await press(page, happened.filter({ hasText: "Deactivated" }).getByRole("link", { name: "the request" }));
      await page.getByText("PATCH").first().waitFor();
    },
  },
  {
    title: "what an endpoint has refused for three days is a dead letter, and brought again",
    async play(stage) {
      const { owner: page, receiver, server } = stage;
      receiver.answer = 503;
      await page.goto(`${server.url}/dashboard/webhooks`);
      await page.getByLabel("URL", { exact: true }).fill(receiver.url);
      await page.getByLabel("Event types").fill("directory.user.created");
      await press(page, page.getByRole("button", { name: "Create endpoint" }));
      await page.getByText("Copy the secret now.").waitFor();
      // One event, which is wanted there.
      await stage.okta.assign("cleo@acme.example", ["Cleo", "Ray"]);
      const taken = (many) => until(`attempt ${many} is made`, () => receiver.taken.length === many);
      await taken(1);
      // Nobody looks while the server stops and starts.
      await Promise.all([page.goto("about:blank"), stage.admin.goto("about:blank")]);
      // After the tries at once and five seconds later, each up to a tenth late.
      await taken(2);
      const minutes = [5, 30, 120, 300, 600, 840, 1200, 1440];
      for (const [index, wait] of minutes.entries()) {
        await server.pass(wait * 66);
        await taken(3 + index);
      }
      await page.goto(`${server.url}/dashboard/webhooks`);
      await press(page, row(page, receiver.url).getByRole("link", { name: "1", exact: true }));
      await press(page, row(page, "directory.user.created").filter({ hasText: "Failed" }).getByRole("link").first());
      await page.locator("#state").getByText("Failed").waitFor();
      receiver.answer = 204;
      await press(page, page.getByRole("button", { name: "Bring it again" }));
      await page.locator("#state").getByText("Delivered").waitFor();
      const [last, before] = receiver.taken.slice(-2);
      expect(last.id === before.id, "it was another event");
      return `after ${receiver.taken.length} attempts`;
    },
  },
  {
    title: "a customer's Okta is played on a page, beside what is answered and what the app hears",
    async play(stage) {
      const { owner: page, okta } = stage;
      const enter = async () => {
        await page.getByLabel("Base URL").fill(okta.baseUrl);
        await page.getByLabel("API token").fill(okta.token);
      };
      await page.goto(`${stage.server.url}/dashboard/simulator`);
      await enter();
      // Somebody uses this directory: first that is said.
      stage.watch.forgiven += 1;
      await press(page, page.getByRole("button", { name: "Enter them" }));
      await page.getByText("Somebody uses this directory.").waitFor();
      await enter();
      await page.getByLabel("I know that real people may be in it").check();
      await press(page, page.getByRole("button", { name: "Enter them" }));
      stage.watch.forgiven = 0;
      const fields = [
        ["First name", "Zoe"],
        ["Last name", "Park"],
        ["User name", "zoe@acme.example"],
      ];
      for (const [label, value] of fields) await page.getByLabel(label, { exact: true }).first().fill(value);
      await press(page, page.getByRole("button", { name: "Add", exact: true }));
      await press(page, page.getByRole("button", { name: "Assign zoe@acme.example" }));
      await page.locator("#requests").getByText("POST").first().waitFor();
      await page.locator("#events").getByText("directory.user.created").first().waitFor();
      await press(page, page.getByRole("button", { name: "Unassign zoe@acme.example" }));
      await page.locator("#events").getByText("directory.user.deactivated").first().waitFor();
    },
  },
  {
    title: "every page that links lead to is the same with scripts off",
    async play(stage) {
      const portal = await compare(stage, stage.portal, stage.admin);
      const dashboard = await compare(stage, `${stage.server.url}/dashboard`, stage.owner);
      stage.kinds = portal + dashboard;
      return `${portal} kinds of pages in the portal, ${dashboard} in the dashboard`;
    },
  },
  {
    title: "somebody signs out, and is not let in again by the address",
    async play(stage) {
      const page = stage.owner;
      await page.goto(`${stage.server.url}/dashboard/account`);
      await press(page, page.getByRole("button", { name: "Sign out" }));
      await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
      await page.goto(stage.organization);
      await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
    },
  },
];
