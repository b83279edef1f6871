// Follows every page of every browser, and complains of what no page of ours may do.

/** Bytes of a document, of all scripts of a page, and milliseconds that the server may take for one. */
const DOCUMENT_MAX = 100 * 1024;
const SCRIPTS_MAX = 60 * 1024;
const FIRST_PAGE_MAX = 50;

export class Watch {
  constructor(origin) {
    this.origin = origin;
    this.wrong = [];
    this.largest = { bytes: 0, path: "" };
    this.scripts = new Map();
    this.first = new Map();
    /** Answers that a chapter provokes on purpose, which the browser's console tells of. */
    this.forgiven = 0;
  }

  follow(name, page) {
    const complain = (what) => this.wrong.push(`${name} at ${page.url()}: ${what}`);
    page.on("pageerror", (error) => complain(error.message));
    page.on("console", (message) => {
      if (message.type() !== "error") return;
      // A page that says why it is none has a status that says so too.
      if (message.text().startsWith("Failed to load resource") && this.forgiven > 0) {
        this.forgiven -= 1;
        return;
      }
      complain(message.text());
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(this.origin) && !request.url().startsWith("data:")) {
        complain(`asks another host: ${request.url()}`);
      }
    });
    page.on("response", async (response) => {
      const type = response.headers()["content-type"] ?? "";
      const path = new URL(response.url()).pathname;
      if (!type.startsWith("text/html") && !type.startsWith("text/javascript")) return;
      const body = await response.body().catch(() => null);
      if (!body) return;
      if (type.startsWith("text/javascript")) {
        this.scripts.set(path, body.length);
        return;
      }
      if (body.length > this.largest.bytes) this.largest = { bytes: body.length, path };
      if (body.length > DOCUMENT_MAX) complain(`a document of ${body.length} bytes`);
    });
  }

  /** How long the server takes for a page: the best of some tries, as others use this machine too. */
  async time(page, path) {
    let best = Infinity;
    for (let turn = 0; turn < 20 && (turn < 3 || best > FIRST_PAGE_MAX); turn += 1) {
      const begun = performance.now();
      const answer = await page.request.get(this.origin + path, { maxRedirects: 0 });
      best = Math.min(best, performance.now() - begun);
      await answer.dispose();
    }
    this.first.set(path, best);
  }

  check() {
    const scripts = [...this.scripts.values()].reduce((sum, bytes) => sum + bytes, 0);
    if (scripts > SCRIPTS_MAX) this.wrong.push(`scripts of ${scripts} bytes`);
    for (const [path, took] of this.first) {
      if (took > FIRST_PAGE_MAX) this.wrong.push(`${path} took ${took.toFixed(0)} ms`);
    }
    if (this.wrong.length > 0) throw new Error(this.wrong.splice(0).join("\n"));
  }

  said() {
    const scripts = [...this.scripts.values()].reduce((sum, bytes) => sum + bytes, 0);
    const times = [...this.first.values()];
    const slowest = times.length > 0 ? `, first pages within ${Math.max(...times).toFixed(0)} ms` : "";
    const kib = (bytes) => (bytes / 1024).toFixed(1);
    return `largest document ${kib(this.largest.bytes)} KiB (${this.largest.path}), scripts ${kib(scripts)} KiB${slowest}`;
  }
}
