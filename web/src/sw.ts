/** Service worker: keeps every file of this build, so that the page opens without a network. */

declare const FILES: string[]; // filled in by build.mjs
declare const VERSION: string;

interface Waiting extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface Fetching extends Event {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
const worker = self as unknown as EventTarget & { registration: { scope: string }; clients: { claim(): Promise<void> } };
const CACHE = `hmt-ecgnet-${VERSION}`;

worker.addEventListener("install", (event) => {
  (event as Waiting).waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)));
});

worker.addEventListener("activate", (event) => {
  const dropOthers = async () => {
    const names = await caches.keys();
    await Promise.all(names.filter((name) => name.startsWith("hmt-ecgnet-") && name !== CACHE).map((name) => caches.delete(name)));
    await worker.clients.claim();
  };
  (event as Waiting).waitUntil(dropOthers());
});

worker.addEventListener("fetch", (event) => {
  const { request } = event as Fetching;
  const fromCache = async () => {
    const cache = await caches.open(CACHE);
    return (await cache.match(request, { ignoreSearch: true })) ?? fetch(request);
  };
  if (request.method === "GET" && request.url.startsWith(worker.registration.scope)) (event as Fetching).respondWith(fromCache());
});
