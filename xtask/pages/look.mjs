// Photographs every page that the tests of `web` have written, in light and dark, narrow and wide,
// with scripts and without, and has axe-core look at each.
//
// node look.mjs PACKAGES PAGES CHROMIUM: the folder in which the packages are installed, the one in
// which the pages are, and the browser. It prints how many pages it has seen.

import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { show } from "./site.mjs";

const [packages, folder, executablePath] = process.argv.slice(2);
const require = createRequire(join(packages, "package.json"));
const { chromium } = require("playwright-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");

const site = await show(folder);
const { origin } = site;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const names = JSON.parse(await readFile(join(folder, "pages.json"), "utf8"));
const wrong = [];
let seen = 0;

for (const colorScheme of ["light", "dark"]) {
  for (const width of [390, 1440]) {
    const context = await browser.newContext({
      colorScheme,
      viewport: { width, height: 900 },
      reducedMotion: "reduce",
      locale: "en",
      timezoneId: "Europe/Berlin",
      // What looks at the pages is no part of them.
      bypassCSP: false,
    });
    const page = await context.newPage();
    let at = "";
    const complain = (what) => wrong.push(`${at}: ${what}`);
    page.on("console", (message) => message.type() === "error" && complain(message.text()));
    page.on("pageerror", (error) => complain(error.message));
    page.on("request", (request) => {
      if (!request.url().startsWith(origin)) complain(`asks ${request.url()}`);
    });
    for (const name of names) {
      at = `${name} ${colorScheme} ${width}`;
      await page.goto(`${origin}/${name}.html`, { waitUntil: "load" });
      // A page that is live says so when it listens.
      await page.waitForFunction(() => !document.querySelector('[data-when="off"]:not([hidden])'));
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      if (overflow > 0) complain(`is ${overflow} pixels wider than its window`);
      const photo = join(folder, "photos", `${name}-${colorScheme}-${width}.png`);
      await mkdir(dirname(photo), { recursive: true });
      await page.screenshot({ path: photo, fullPage: true });
      const { violations } = await page.evaluate(`${axe}; axe.run()`);
      for (const { id, help, nodes } of violations) {
        complain(`${id}: ${help}: ${nodes.map((node) => node.html).join(" ")}`);
      }
      seen += 1;
    }
    await context.close();
  }
}

await browser.close();
site.close();
if (wrong.length > 0) {
  console.error(wrong.join("\n"));
  process.exit(1);
}
console.log(seen);
