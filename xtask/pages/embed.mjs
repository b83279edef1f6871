// Shows pages of the portal in a frame of another site's page, as the manual does it, and holds what that
// page hears against what the manual says. A site that may not show the portal hears nothing.
//
// node embed.mjs PACKAGES PAGES CHROMIUM MANUAL: the folder in which the packages are installed, the one in
// which the pages are, the browser, and the document with the example.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { extname, join, normalize } from "node:path";

const [packages, folder, executablePath, manual] = process.argv.slice(2);
const require = createRequire(join(packages, "package.json"));
const { chromium } = require("playwright-core");

const PORTAL = "https://roster.example.com";
const VENDOR = "https://app.example.com";
const STRANGER = "https://stranger.example.org";
const TYPES = { ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "form-action 'self'; base-uri 'none'";

const [, example] = (await readFile(manual, "utf8")).match(/```html\n(<!doctype html>[^]*?)```/) ?? [];
if (!example) throw new Error(`there is no page to try in ${manual}`);
const link = /src="https:\/\/roster\.example\.com\/portal\/open\/[^"]*"/;
if (!link.test(example)) throw new Error(`the page in ${manual} does not show ${PORTAL}`);

const wrong = [];
const expect = (what, found, expected) => {
  const [is, should] = [JSON.stringify(found), JSON.stringify(expected)];
  if (is !== should) wrong.push(`${what}: ${is} and not ${should}`);
};

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });

// What a site hears, and the frame in it, where a page of the portal is shown in it. `policy`: who may show it.
async function show(site, name, policy = `; frame-ancestors ${VENDOR}`) {
  const context = await browser.newContext({ viewport: { width: 900, height: 700 } });
  const page = await context.newPage();
  await context.route("**/*", async (route) => {
    const url = new URL(route.request().url());
    if (url.origin === site) {
      const body = example.replace(link, `src="${PORTAL}/${name}.html"`);
      return route.fulfill({ contentType: TYPES[".html"], body });
    }
    if (url.origin !== PORTAL) return route.abort();
    if (url.pathname === "/news") return route.fulfill({ contentType: "text/event-stream", body: ": listening\n\n" });
    const file = join(folder, normalize(decodeURIComponent(url.pathname)));
    const headers = { "Content-Type": TYPES[extname(file)], "Content-Security-Policy": POLICY + policy };
    return route.fulfill({ headers, body: await readFile(file) });
  });
  // Whatever comes, before the page's own listener.
  await page.addInitScript(() => {
    if (window.parent !== window) return;
    window.heard = [];
    addEventListener("message", ({ data, origin }) => window.heard.push({ ...data, origin }));
  });
  await page.goto(`${site}/`);
  const settled = () => window.heard.some(({ type }) => type === "height");
  await page.waitForFunction(settled, undefined, { timeout: site === VENDOR ? 10_000 : 1_500 }).catch(() => {});
  const heard = await page.evaluate(() => window.heard);
  return { page, heard, close: () => context.close() };
}

const about = (heard, type) => heard.filter((it) => it.type === type).map(({ origin, roster, type, ...rest }) => rest);

{
  const { page, heard, close } = await show(VENDOR, "directory/status-connected");
  expect("every message is signed", heard.every((it) => it.roster === "portal" && it.origin === PORTAL), true);
  expect("loaded is told once", about(heard, "loaded"), [{}]);
  const connected = about(heard, "connected");
  expect("connected is told of one directory", connected.length, 1);
  expect("its id is that of a directory", /^dir-[0-9a-z]{26}$/.test(connected[0]?.directory), true);
  expect("nothing has expired", about(heard, "expired"), []);
  // As the example does it: the frame is as high as what is in it, and nothing of it scrolls.
  await page.waitForFunction(() => document.querySelector("iframe").getBoundingClientRect().height > 400);
  const inner = page.frames().find((frame) => frame.url().startsWith(PORTAL));
  const room = await inner.evaluate(() => document.documentElement.scrollHeight - innerHeight);
  expect("what scrolls in the frame", room, 0);
  await page.screenshot({ path: join(folder, "photos", "embedded.png"), fullPage: true });
  // It takes less room again, where there is less in it.
  const before = await page.evaluate(() => window.heard.length);
  await inner.evaluate(() => document.querySelector("main").replaceChildren("short"));
  await page.waitForFunction((before) => window.heard.length > before, before);
  const heights = about(await page.evaluate(() => window.heard), "height").map(({ height }) => height);
  expect("the frame can shrink", heights.at(-1) < heights[0], true);
  await close();
}
{
  const { heard, close } = await show(VENDOR, "directory/status-waiting");
  expect("what waits is not connected", about(heard, "connected"), []);
  await close();
}
for (const reason of ["expired", "revoked"]) {
  const { page, heard, close } = await show(VENDOR, `portal/closed-${reason}`);
  expect("that it has expired is told", about(heard, "expired"), [{ reason }]);
  expect("the example says so", await page.locator("#said").textContent(), "Ask for a new link.");
  await close();
}
{
  const { heard, close } = await show(STRANGER, "directory/status-connected");
  expect("a stranger hears nothing, and shows nothing", heard, []);
  await close();
}
{
  // Though the browser knew no such policy.
  const { page, heard, close } = await show(STRANGER, "directory/status-connected", "");
  expect("a stranger hears nothing", heard, []);
  expect("though it shows it", page.frames().some((frame) => frame.url().startsWith(PORTAL)), true);
  await close();
}
{
  // A page that no frame shows tells nobody.
  const context = await browser.newContext();
  const page = await context.newPage();
  await context.route("**/*", async (route) => {
    const file = join(folder, normalize(new URL(route.request().url()).pathname));
    return route.fulfill({ contentType: TYPES[extname(file)], body: await readFile(file) });
  });
  await page.addInitScript(() => addEventListener("message", () => (window.spoke = true)));
  await page.goto(`${PORTAL}/portal/closed-expired.html`);
  expect("a page of its own is silent", await page.evaluate(() => window.spoke ?? false), false);
  await context.close();
}

await browser.close();
if (wrong.length > 0) {
  console.error(wrong.join("\n"));
  process.exit(1);
}
