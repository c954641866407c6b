/**
 * Keeps the site for use offline: the first page's files at once, every other file when it is first read. The files of
 * the first page's demo, which are large, follow once a page shows it. A build fills in the three names in capitals.
 */
const version = 'VERSION';
const files = 'FILES';
const demo = 'DEMO';
const cacheName = `heed-${new URL(registration.scope).pathname}-${version}`;

addEventListener('install', (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(cacheName);
      await cache.addAll(files);
      await skipWaiting();
    })(),
  );
});

addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      const own = cacheName.slice(0, -version.length);
      const old = (await caches.keys()).filter((name) => name.startsWith(own) && name !== cacheName);
      await Promise.all(old.map((name) => caches.delete(name)));
      await clients.claim();
    })(),
  );
});

/** What the page read before this worker served it, and whether it shows the demo. */
addEventListener('message', (event) => {
  const { read, showsDemo } = event.data;
  const own = read.filter((address) => address.startsWith(registration.scope));
  event.waitUntil(
    caches.open(cacheName).then(async (cache) => {
      for (const address of showsDemo ? [...own, ...demo] : own)
        if (!(await cache.match(address))) await cache.add(address).catch(() => {});
    }),
  );
});

addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || !request.url.startsWith(registration.scope)) return;
  // a name with a hash in it always means the same file; of other files the newest is wanted
  const hashed = /\/assets\/[^/]+\.[\w-]{8,}\.\w+$/.test(new URL(request.url).pathname);
  event.respondWith(hashed ? fromCacheFirst(request) : fromNetworkFirst(request));
});

async function fromCacheFirst(request) {
  return (await caches.match(request)) ?? fetchAndKeep(request);
}

async function fromNetworkFirst(request) {
  try {
    return await fetchAndKeep(request);
  } catch (error) {
    const kept = await caches.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}

async function fetchAndKeep(request) {
  const response = await fetch(request);
  if (response.ok && response.status === 200) {
    // a full disk costs the copy, not the page
    const copy = response.clone();
    await caches
      .open(cacheName)
      .then((cache) => cache.put(request, copy))
      .catch(() => {});
  }
  return response;
}
