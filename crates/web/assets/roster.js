// What makes pages livelier. Nothing here has text of its own: words stand in the templates, and
// dates are the browser's to write.

const language = document.documentElement.lang;
const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

// Parts of the page that are kept up to date, as the server wrote them.
const parts = new Map([...document.querySelectorAll("[data-live]")].map((it) => [it.id, it.innerHTML]));

// A page of the vendor's that shows the portal in a frame is told how it goes: whether it is open, whether a
// connection works, and how much room it takes. Nobody is who is not among the sites that may show it.
const tell = teller(document.documentElement.dataset.within);
const told = new Set();

function teller(within) {
  if (!within || window.parent === window) return () => {};
  const sites = within.split(" ").map((site) => new URL(site).origin);
  // Where the browser says who shows us, only they are told. Otherwise it delivers to nobody else.
  const shower = location.ancestorOrigins?.[0];
  const isOf = (site) => {
    const [scheme, name] = site.split("*");
    return name ? shower.startsWith(scheme) && shower.endsWith(name) : site === shower;
  };
  const listeners = shower ? [shower].filter(() => sites.some(isOf)) : sites.filter((it) => !it.includes("*"));
  return (message) => {
    for (const site of listeners) window.parent.postMessage({ roster: "portal", ...message }, site);
  };
}

function enliven(root) {
  for (const { dataset } of root.querySelectorAll("[data-tell]")) {
    const { tell: type, ...about } = dataset;
    const message = { type, ...about };
    const text = JSON.stringify(message);
    if (!told.has(text)) tell(message);
    told.add(text);
  }
  // Times, in the reader's zone. The exact instant stays where the pointer finds it.
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.textContent = moment.format(new Date(time.dateTime));
  }
  // Buttons that copy what stands beside them.
  for (const button of root.querySelectorAll("[data-copy]")) {
    const [ask, done] = button.children;
    const show = (isDone) => {
      ask.hidden = isDone;
      done.hidden = !isDone;
    };
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      await navigator.clipboard.writeText(source.textContent);
      show(true);
      setTimeout(() => show(false), 2000);
    });
  }
}

// Where there are more places to go than fit beside each other, the reader sees where they are.
for (const here of document.querySelectorAll(':is(.tabs, .side nav) [aria-current="page"]')) {
  const line = here.closest("nav");
  line.scrollLeft += here.getBoundingClientRect().left - line.getBoundingClientRect().left - 16;
}

tell({ type: "loaded" });
enliven(document);

if (window.parent !== window) {
  // It is as high as what is in it, and not as its window.
  document.documentElement.dataset.framed = "";
  const measure = () => tell({ type: "height", height: Math.ceil(document.body.getBoundingClientRect().height) });
  new ResizeObserver(measure).observe(document.body);
}

const live = document.querySelector("[data-listen]");
if (live) keepUp(live.dataset.listen, live.dataset.page);

// Hears when there is something new, asks for the page again, and puts in its place what has changed.
function keepUp(listen, page) {
  let stream;
  let waiting;
  let asking = false;
  let askAgain = false;

  const say = (what) => {
    for (const it of live.querySelectorAll("[data-when]")) it.hidden = it.dataset.when !== what;
  };
  // Nothing moves under the pointer, in what somebody types in, or in what they have opened.
  const isInUse = (part) =>
    part.matches(":hover:has(a, button)") ||
    part.contains(document.activeElement) ||
    part.querySelector("details[open]");
  const put = (fresh) => {
    let isLeft = false;
    for (const [id, before] of parts) {
      const now = fresh.getElementById(id);
      const part = document.getElementById(id);
      if (!now || now.innerHTML === before) continue;
      if (isInUse(part)) {
        isLeft = true;
        continue;
      }
      parts.set(id, now.innerHTML);
      part.replaceChildren(...now.childNodes);
      enliven(part);
    }
    // What was left alone is looked at again, until nobody uses it.
    clearTimeout(waiting);
    if (isLeft) waiting = setTimeout(ask, 2000);
  };
  const ask = async () => {
    if (asking) {
      askAgain = true;
      return;
    }
    asking = true;
    try {
      const response = await fetch(page, { cache: "no-store" });
      if (response.status >= 500) throw new Error(response.statusText);
      // The link has ended, the page is gone, or nobody is signed in any more: there it says so.
      if (!response.ok || response.redirected) return location.assign(page);
      put(new DOMParser().parseFromString(await response.text(), "text/html"));
      if (stream.readyState === EventSource.OPEN) say("on");
    } catch {
      say("lost");
      clearTimeout(waiting);
      waiting = setTimeout(ask, 5000);
    } finally {
      asking = false;
      if (askAgain) {
        askAgain = false;
        ask();
      }
    }
  };
  const start = () => {
    stream?.close();
    stream = new EventSource(listen);
    // Whatever happened before, or while nobody listened.
    stream.addEventListener("open", () => {
      say("on");
      ask();
    });
    stream.addEventListener("news", ask);
    stream.addEventListener("error", () => {
      say("lost");
      // It goes on by itself, unless it was refused.
      if (stream.readyState === EventSource.CLOSED) {
        ask();
        setTimeout(() => document.hidden || start(), 10000);
      }
    });
  };
  // A page that nobody sees takes up no connection: a browser has few for one site.
  document.addEventListener("visibilitychange", () => (document.hidden ? stream?.close() : start()));
  addEventListener("pagehide", () => stream?.close());
  addEventListener("pageshow", (event) => event.persisted && start());
  if (!document.hidden) start();
}
