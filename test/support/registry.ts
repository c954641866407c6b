/** An npm registry on this machine, for packages that are not published yet. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/** The fields of a package.json that tests look at. */
export interface Manifest {
  name: string;
  version: string;
  main?: string;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  scripts?: object;
  devDependencies?: object;
  optionalDependencies?: object;
}

/** Serves the tarballs of `folder` as their packages. Requests for other packages are redirected to `upstream`. */
export async function serveRegistry(
  folder: string,
  upstream: string,
): Promise<{ url: string; manifests: Map<string, Manifest>; close(): void }> {
  const manifests = new Map<string, Manifest>();
  const files = new Map<string, string>();
  for (const file of readdirSync(folder)) {
    const manifest = JSON.parse(
      execFileSync('tar', ['-xzOf', file, 'package/package.json'], { cwd: folder, encoding: 'utf8' }),
    );
    manifests.set(manifest.name, manifest);
    files.set(manifest.name, file);
  }
  const server = createServer((request, response) => {
    const [, name, tarball] = decodeURIComponent(request.url ?? '').split('/');
    const manifest = manifests.get(name);
    if (!manifest) {
      response.writeHead(302, { location: new URL(`.${request.url}`, upstream).href }).end();
      return;
    }
    const content = readFileSync(join(folder, files.get(name)!));
    if (tarball) {
      response.end(content);
      return;
    }
    const integrity = `sha512-${createHash('sha512').update(content).digest('base64')}`;
    const version = { ...manifest, dist: { tarball: `${url}${name}/tarball`, integrity } };
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({ name, 'dist-tags': { latest: version.version }, versions: { [version.version]: version } }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return { url, manifests, close: () => server.close() };
}
