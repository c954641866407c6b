#!/usr/bin/env node
// Plain JavaScript that old versions of Node can read, so that they get the message below and not a syntax error.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`heed needs Node 20.19 or later, and this is ${process.versions.node}: install one from nodejs.org.`);
  process.exit(1);
}

const { existsSync } = await import('node:fs');
const { fileURLToPath } = await import('node:url');
const root = fileURLToPath(new URL('..', import.meta.url));
if (!existsSync(`${root}dist/cli/main.js`)) await build();
const { main } = await import('../dist/cli/main.js');
process.exitCode = await main(process.argv.slice(2));
if (process.exitCode > 128) process.exit(); // what a stopped command still waited for would keep the process

/** A clone whose install ran no scripts has not been compiled. */
async function build() {
  const { spawnSync } = await import('node:child_process');
  const { createRequire } = await import('node:module');
  let compiler;
  try {
    compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  } catch {
    console.error('heed is not compiled, and there is no TypeScript to do it with: run "npm ci" in its folder.');
    process.exit(1);
  }
  console.error('Compiling heed, once …');
  // as npm run build, but for the studio's page; compiled last, since that says that all of it is there
  for (const step of [[`${root}scripts/copy-files.js`], [compiler, '-p', `${root}tsconfig.build.json`]]) {
    const { status } = spawnSync(process.execPath, step, { stdio: ['ignore', 2, 2] });
    if (status === 0) continue;
    console.error('heed does not compile: see above, and run "npm ci" in its folder.');
    process.exit(1);
  }
}
