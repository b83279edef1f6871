// Goes to one page of every kind that links lead to, with scripts and without, and compares what stands
// there.

import { expect } from "./stage.mjs";

/** An address without ids and secrets: pages of one kind have the same. */
function kindOf(url) {
  const parts = url.pathname.split("/").map((part) => {
    const prefix = /^([a-z]+)-[0-9a-z]{20,}$/.exec(part)?.[1];
    return prefix ?? (/^[0-9a-f-]{36}$|^\d+$|^evt/.test(part) ? "…" : part);
  });
  return parts.join("/") + (url.search ? "?" : "");
}

/** What a reader finds on a page; times as they are without scripts, and without what tells of scripts. */
function read() {
  const copy = document.querySelector("main").cloneNode(true);
  for (const time of copy.querySelectorAll("time")) time.textContent = time.dateTime;
  for (const it of copy.querySelectorAll("[data-copy], [data-listen], [hidden], [data-varies]")) it.remove();
  return copy.textContent.replace(/\s+/g, " ").trim();
}

/** Follows links from these pages; says how many kinds of pages there are. */
export async function compare(stage, start, page) {
  const state = await page.context().storageState();
  const plain = await stage.person("without scripts", { javaScriptEnabled: false, storageState: state, permissions: [] });
  const waiting = [new URL(start)];
  const kinds = new Map([[kindOf(waiting[0]), start]]);
  const origin = waiting[0].origin;
  while (waiting.length > 0) {
    const url = waiting.shift();
    // What is downloaded is no page.
    const kind = await page.request.get(url.href).then((answer) => answer.headers()["content-type"] ?? "");
    if (!kind.startsWith("text/html")) continue;
    const answer = await page.goto(url.href);
    expect(answer.status() < 400, `${url.href} is linked, and is ${answer.status()}`);
    await plain.goto(url.href);
    // What goes on changing is looked at again.
    let lively = await page.evaluate(read);
    let still = await plain.evaluate(read);
    for (let turn = 0; lively !== still && turn < 3; turn += 1) {
      await Promise.all([page.reload(), plain.reload()]);
      lively = await page.evaluate(read);
      still = await plain.evaluate(read);
    }
    expect(lively === still, `${url.href} is another page without scripts:\n${lively}\n\n${still}`);
    if (new URL(page.url()).pathname.split("/")[1] !== "api") await stage.watch.time(page, url.pathname + url.search);
    const links = await page.locator("a[href]").evaluateAll((all) => all.map((it) => it.href));
    for (const link of links) {
      const next = new URL(link);
      next.hash = "";
      const isPage = /^\/(dashboard|portal)(\/|$)/.test(next.pathname);
      if (next.origin !== origin || !isPage || kinds.has(kindOf(next))) continue;
      kinds.set(kindOf(next), next.href);
      waiting.push(next);
    }
  }
  await plain.context().close();
  return kinds.size;
}
