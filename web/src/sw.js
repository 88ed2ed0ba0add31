/** Service worker: keeps every file of this build, so that the page opens without a network. */
/* global FILES, VERSION -- filled in by build.mjs */
const PREFIX = "hmt-ecgnet-";
const CACHE = PREFIX + VERSION;

self.addEventListener("install", (event) => {
  // "reload": past the browser's own cache, whose files may be of another build
  const files = FILES.map((file) => new Request(file, { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(files)));
});

self.addEventListener("activate", (event) => {
  const dropOthers = async () => {
    const others = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
    await Promise.all(others.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(dropOthers());
});

self.addEventListener("fetch", (event) => {
  const answer = async () => (await (await caches.open(CACHE)).match(event.request)) ?? fetch(event.request);
  if (event.request.url.startsWith(self.registration.scope)) event.respondWith(answer());
});
