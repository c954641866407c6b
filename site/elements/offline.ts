/** Registers the service worker, and tells it what the page has read before the worker was there. */
export async function keepOffline(base: string): Promise<void> {
  if (!('serviceWorker' in navigator)) return;
  try {
    await navigator.serviceWorker.register(`${base}service-worker.js`, { scope: base });
    const { active } = await navigator.serviceWorker.ready;
    const read = [location.href, ...performance.getEntriesByType('resource').map(({ name }) => name)];
    active?.postMessage({ read, showsDemo: document.querySelector('heed-cartpole') !== null });
  } catch {
    // an address without https, or a browser that forbids it: the site works, but only online
  }
}
