// The journey: real browsers go through what people do with a fresh server, from its first start to
// signing out, chapter after chapter.
//
// node run.mjs PACKAGES BINARY CHROMIUM FOLDER [--show]: where the packages are installed, the server, the
// browser, and a folder for data and for photographs of what went wrong. It prints each chapter with
// the time that it took.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

import { CHAPTERS } from "./chapters.mjs";
import { Receiver, Server } from "./stage.mjs";
import { Watch } from "./watch.mjs";

const [packages, binary, executablePath, folder] = process.argv.slice(2);
const { chromium } = createRequire(join(packages, "package.json"))("playwright-core");

await mkdir(folder, { recursive: true });
const data = await mkdtemp(join(folder, "data-"));
const server = await Server.start(binary, join(data, "roster"));
const receiver = await Receiver.start();
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const watch = new Watch(server.url);

/** A browser of its own for each person: nobody has another one's cookies. */
async function person(name, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    reducedMotion: "reduce",
    locale: "en",
    timezoneId: "Europe/Berlin",
    permissions: ["clipboard-read", "clipboard-write"],
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  watch.follow(name, page);
  pages.set(name, page);
  return page;
}

const pages = new Map();
const stage = { server, receiver, person, watch };
let failed;
for (const [index, { title, play }] of CHAPTERS.entries()) {
  const begun = performance.now();
  try {
    const found = await play(stage);
    watch.check();
    console.log(`   ${String(index + 1).padStart(2)}  ${title}${found ? `: ${found}` : ""}, ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  } catch (error) {
    failed = `chapter ${index + 1}, ${title}: ${error.stack ?? error}`;
    break;
  }
}
if (failed) {
  console.error(failed);
  for (const [name, page] of pages) {
    if (page.isClosed()) continue;
    const place = join(folder, name);
    await page.screenshot({ path: `${place}.png`, fullPage: true }).catch(() => {});
    await writeFile(`${place}.html`, `<!-- ${page.url()} -->\n${await page.content()}`).catch(() => {});
    console.error(`${name} was at ${page.url()}: ${place}.png, ${place}.html`);
  }
  console.error(server.log.slice(-40).join("\n"));
} else {
  console.log(`   ${watch.said()}`);
}
await browser.close();
receiver.stop();
server.stop();
await rm(data, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
