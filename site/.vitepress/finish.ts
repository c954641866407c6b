/** What a build adds to VitePress's pages: the API, and the service worker that keeps the site for use offline. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Application, TSConfigReader } from 'typedoc';
import type { SiteConfig } from 'vitepress';
import { root } from './pages.ts';

/**
 * Adds to what VitePress has written. `HEED_PACKAGE` names the folder with the compiled library in dist, and with
 * tsconfig.api.json; by default it is the repository.
 */
export async function finish({ outDir, site }: SiteConfig): Promise<void> {
  await writeApi(join(outDir, 'api'), process.env.HEED_PACKAGE ?? root, site.base);
  writeServiceWorker(outDir);
}

/** TypeDoc's pages of every entry point. */
async function writeApi(folder: string, library: string, base: string): Promise<void> {
  const { $schema, ...settings } = JSON.parse(readFileSync(join(root, 'typedoc.json'), 'utf8'));
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: object };
  const options = {
    ...settings,
    tsconfig: join(library, 'tsconfig.api.json'),
    entryPoints: Object.values(exports).flatMap(({ types }) => (types ? [join(library, types)] : [])),
    out: folder,
    customCss: join(root, 'site', '.vitepress', 'api.css'),
    favicon: join(root, 'site', 'public', 'favicon.svg'),
    navigationLinks: { Site: base },
    includeHierarchySummary: false,
    hideGenerator: true,
    logLevel: 'Warn',
  };
  const app = await Application.bootstrapWithPlugins(options, [new TSConfigReader()]);
  const project = await app.convert();
  if (!project) throw new Error('TypeDoc found nothing to document. Build heed first: npm run build');
  await app.generateOutputs(project);
  if (app.logger.hasErrors()) throw new Error('TypeDoc reports errors; see above.');
}

/** Names the files of the first page, and a version that changes with every file, in the service worker. */
function writeServiceWorker(outDir: string): void {
  const names = readdirSync(outDir, { recursive: true, encoding: 'utf8' }).map((name) => name.replaceAll('\\', '/'));
  const assets = names.filter((name) => /^assets\/.*\.\w+$/.test(name));
  const first = readFileSync(join(outDir, 'index.html'), 'utf8');
  const files = ['./', ...assets.filter((name) => first.includes(name) || neededFirst(name))];
  const version = createHash('sha256').update(assets.join()).update(first).digest('hex').slice(0, 12);
  const path = join(outDir, 'service-worker.js');
  const text = readFileSync(path, 'utf8')
    .replace("'VERSION'", JSON.stringify(version))
    .replace('[/* FILES */]', JSON.stringify(files));
  writeFileSync(path, text);
}

/** Chunks that the first page loads once it runs: its own, the elements and the demo. */
const neededFirst = (name: string): boolean => /\/(index\.md\.|elements|demo|ort-|heed-cartpole)/.test(name);
