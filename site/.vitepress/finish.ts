/** What a build adds to VitePress's pages: the API, and the service worker that keeps the site for use offline. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { Application, TSConfigReader } from 'typedoc';
import type { SiteConfig } from 'vitepress';
import { root } from './pages.ts';

/**
 * Adds to what VitePress has written. `HEED_PACKAGE` names the folder with the compiled library in dist, and with
 * tsconfig.api.json; by default it is the repository.
 */
export async function finish({ outDir, site }: SiteConfig): Promise<void> {
  await writeApi(join(outDir, 'api'), process.env.HEED_PACKAGE ?? root, site.base);
  removeUnused(outDir);
  writeServiceWorker(outDir);
}

/** TypeDoc's pages of every entry point. */
async function writeApi(folder: string, library: string, base: string): Promise<void> {
  const { $schema, ...settings } = JSON.parse(readFileSync(join(root, 'typedoc.json'), 'utf8'));
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, string | { types: string }>;
  };
  const { '.': names, ...entries } = exports; // the root exports nothing: it says what the entry points are called
  const modules = Object.keys(entries).map((name) => name.slice('./'.length));
  const options = {
    ...settings,
    tsconfig: join(library, 'tsconfig.api.json'),
    entryPoints: Object.values(entries).flatMap((target) =>
      typeof target === 'string' ? [] : [join(library, target.types)],
    ),
    out: folder,
    customCss: join(root, 'site', '.vitepress', 'api.css'),
    favicon: join(root, 'site', 'public', 'favicon.svg'),
    navigationLinks: { Site: base },
    includeHierarchySummary: false,
    navigation: { includeFolders: false },
    navigationLeaves: modules, // or else TypeDoc puts a link inside of a button, which a screen reader cannot reach
    hideGenerator: true,
    logLevel: 'Warn',
  };
  const app = await Application.bootstrapWithPlugins(options, [new TSConfigReader()]);
  const project = await app.convert();
  if (!project) throw new Error('TypeDoc found nothing to document. Build heed first: npm run build');
  app.validate(project);
  await app.generateOutputs(project);
  if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error('TypeDoc complains; see above.');
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.html')) continue;
    const path = join(folder, name);
    const html = readFileSync(path, 'utf8');
    const reachable = html.replace(/<summary\b.*?<\/summary>/gs, (summary) => summary.replace(PERMALINK, ''));
    if (reachable !== html) writeFileSync(path, reachable);
  }
}

/** A link to a heading; TypeDoc puts it into headings that fold a section, too, which are buttons. */
const PERMALINK = /<a\b[^>]*\bclass="tsd-anchor-icon".*?<\/a>/gs;

/** Removes the simulator of robots, 10 MB, which a chunk names and no page runs. */
function removeUnused(outDir: string): void {
  for (const name of readdirSync(join(outDir, 'assets'))) {
    if (/^mujoco[^/]*\.wasm$/.test(name)) rmSync(join(outDir, 'assets', name));
  }
}

/** Names the files of the first page and of its demo, and a version that changes with every file, in the service worker. */
function writeServiceWorker(outDir: string): void {
  const assets = readdirSync(join(outDir, 'assets'), { recursive: true, encoding: 'utf8' })
    .map((name) => `assets/${name.replaceAll('\\', '/')}`)
    .filter((name) => /\.\w+$/.test(name));
  const first = readFileSync(join(outDir, 'index.html'), 'utf8');
  const files = ['./', 'favicon.svg', ...assets.filter((name) => first.includes(name) || START.test(name))];
  const version = createHash('sha256').update(assets.join()).update(first).digest('hex').slice(0, 12);
  const path = join(outDir, 'service-worker.js');
  const values: Record<string, unknown> = { VERSION: version, FILES: files, DEMO: demoFiles(outDir, assets) };
  const text = readFileSync(path, 'utf8').replace(/'(VERSION|FILES|DEMO)'/g, (_, name) => JSON.stringify(values[name]));
  writeFileSync(path, text);
}

/** Chunks and fonts that every page loads once it runs. */
const START = /\/(index\.md|elements|offline|theme|framework)\.[^/]+\.js$|-latin-wght-normal\.[^/]+\.woff2$/;

/** The files that the demo needs: the worker that it names, what that worker names, and so on. */
function demoFiles(outDir: string, assets: string[]): string[] {
  const needed = new Set(assets.filter((name) => /\/(heed-cartpole|reader-demo)\.[^/]+\.(js|css)$/.test(name)));
  for (const name of needed) {
    if (!name.endsWith('.js')) continue;
    const text = readFileSync(join(outDir, name), 'utf8');
    for (const other of assets) if (!UNUSED.test(other) && text.includes(posix.basename(other))) needed.add(other);
  }
  return [...needed];
}

/** What the demo's worker names, but no page of the site runs: a simulator of robots. */
const UNUSED = /\/mujoco[^/]*$/;
