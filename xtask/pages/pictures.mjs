// Takes the pictures that the documents show: the upper part of some pages, in light and dark.
//
// node pictures.mjs PACKAGES PAGES CHROMIUM PICTURES: the folder in which the packages are installed, the one
// in which the pages are, the browser, and the folder into which the pictures go. It prints how many.

import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

import { show } from "./site.mjs";

const [packages, folder, executablePath, pictures] = process.argv.slice(2);
const { chromium } = createRequire(join(packages, "package.json"))("playwright-core");

/** Pages, what their pictures are called, and where they begin, where that is not the top. */
const PICTURES = [
  ["directory/set-up-filled", "set-up", "#step-2"],
  ["dashboard/overview-filled", "overview"],
  ["directory/request-failed", "request"],
  ["directory/hold-held", "hold"],
];

await mkdir(pictures, { recursive: true });
const site = await show(folder);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
for (const colorScheme of ["light", "dark"]) {
  const context = await browser.newContext({
    colorScheme,
    viewport: { width: 1200, height: 900 },
    reducedMotion: "reduce",
    locale: "en",
    timezoneId: "Europe/Berlin",
  });
  const page = await context.newPage();
  for (const [name, picture, from] of PICTURES) {
    await page.goto(`${site.origin}/${name}.html`, { waitUntil: "load" });
    await page.waitForFunction(() => !document.querySelector('[data-when="off"]:not([hidden])'));
    if (from) await page.locator(from).evaluate((it) => it.scrollIntoView());
    await page.screenshot({ path: join(pictures, `${picture}-${colorScheme}.png`) });
  }
  await context.close();
}
await browser.close();
site.close();
console.log(PICTURES.length * 2);
