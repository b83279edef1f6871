// A site of the pages that the tests of `web` have written.

import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

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

/** Where the pages of a folder are, until they are closed. */
export async function show(folder) {
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
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { origin: `http://127.0.0.1:${server.address().port}`, close };
}
