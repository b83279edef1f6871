// Photographs every page that the tests of `web` have written, in light and dark, narrow and wide,
// with scripts and without, and has axe-core look at each.
//
// node look.mjs PACKAGES PAGES CHROMIUM: the folder in which the packages are installed, the one in
// which the pages are, and the browser. It prints how many pages it has seen.

import { createReadStream } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, extname, join, normalize } from "node:path";

const [packages, folder, executablePath] = process.argv.slice(2);
const require = createRequire(join(packages, "package.json"));
const { chromium } = require("playwright-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};
// As the server sends it with every page.
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const server = createServer((request, response) => {
  // Where live pages listen: there is nothing new.
  if (request.url === "/news") {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write(": listening\n\n");
    return;
  }
  const path = normalize(decodeURIComponent(new URL(request.url, "http://pages").pathname));
  const file = createReadStream(join(folder, path));
  file.on("error", () => response.writeHead(404).end());
  file.on("open", () => {
    response.setHeader("Content-Type", TYPES[extname(path)] ?? "application/octet-stream");
    response.setHeader("Content-Security-Policy", POLICY);
    file.pipe(response);
  });
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const origin = `http://127.0.0.1:${server.address().port}`;

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
server.close();
server.closeAllConnections();
if (wrong.length > 0) {
  console.error(wrong.join("\n"));
  process.exit(1);
}
console.log(seen);
