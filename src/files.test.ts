import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { everyMoment } from '../test/support/moments.ts';
import { HeedError } from './error.ts';
import { importFile, readJsonFile, writeFileAtomic } from './files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'heed-files-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A child is plain Node, which may know no TypeScript: it runs this module compiled. */
function compileForChild(to: string): string {
  for (const name of ['depth', 'error', 'files', 'node']) {
    const { outputText } = ts.transpileModule(readFileSync(new URL(`./${name}.ts`, import.meta.url), 'utf8'), {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
    });
    writeFileSync(join(to, `${name}.mjs`), outputText.replaceAll(/'\.\/(\w+)\.ts'/g, "'./$1.mjs'"));
  }
  return join(to, 'files.mjs');
}

const thrown = (act: () => unknown): HeedError => {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(HeedError);
    return error as HeedError;
  }
  throw new Error('expected an error');
};

describe('writeFileAtomic', () => {
  it('writes text, bytes and parts, and replaces what was there', () => {
    const path = join(folder, 'a.txt');
    writeFileAtomic(path, 'naïve 🙂');
    expect(readFileSync(path, 'utf8')).toBe('naïve 🙂');
    writeFileAtomic(path, new Uint8Array([1, 2, 3]));
    expect([...readFileSync(path)]).toEqual([1, 2, 3]);
    writeFileAtomic(path, [new Uint8Array([4]), new Uint8Array(0), new Uint8Array([5, 6])]);
    expect([...readFileSync(path)]).toEqual([4, 5, 6]);
    expect(readdirSync(folder)).toEqual(['a.txt']);
  });

  it('keeps the old file and removes the temporary when the data fails on the way', () => {
    const path = join(folder, 'b.txt');
    writeFileAtomic(path, 'old');
    const broken = function* () {
      yield new Uint8Array(1000);
      throw new RangeError('the source broke');
    };
    expect(() => writeFileAtomic(path, broken())).toThrow(RangeError);
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('names the path and what to do when a folder is missing, a folder is in the way or a file is on the way', () => {
    const missing = thrown(() => writeFileAtomic(join(folder, 'none', 'c.txt'), 'x'));
    expect(missing.message).toContain(join(folder, 'none', 'c.txt'));
    expect(missing.hint).toContain('create the folder');
    expect(thrown(() => readJsonFile(join(folder, 'none.json'))).hint).toContain('start from the current folder');
    mkdirSync(join(folder, 'sub'));
    expect(thrown(() => writeFileAtomic(join(folder, 'sub'), 'x')).hint).toContain('path of a file');
    writeFileSync(join(folder, 'plain'), '');
    expect(thrown(() => writeFileAtomic(join(folder, 'plain', 'c.txt'), 'x')).message).toContain('not a folder');
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('says so when a folder may not be written', (context) => {
    if (process.platform !== 'linux') return context.skip('Linux');
    const error = thrown(() => writeFileAtomic('/proc/heed.txt', 'x')); // even root may not write there
    expect(error.message).toContain('"/proc/heed.txt"');
  });

  it.skipIf(process.platform === 'win32')('leaves the old file when a write stops half way (file size limit)', () => {
    const path = join(folder, 'limited.bin');
    writeFileAtomic(path, 'old');
    const script = `
      import { writeFileAtomic } from ${JSON.stringify(compileForChild(folder))};
      try { writeFileAtomic(${JSON.stringify(path)}, new Uint8Array(1 << 20)); }
      catch (error) { console.log(error.name, error.message, error.hint); }`;
    const child = ['-c', 'ulimit -f 8; exec "$0" --input-type=module -e "$1"', process.execPath, script];
    const output = execFileSync('sh', child, { encoding: 'utf8' });
    expect(output).toMatch(
      /^HeedError Could not write ".*limited\.bin": the file would be larger than allowed\. Raise/,
    );
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('leaves the old file when the disk is full', (context) => {
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk], { stdio: 'ignore' });
    } catch {
      return context.skip('root');
    }
    try {
      const path = join(disk, 'a.bin');
      writeFileAtomic(path, 'old');
      const error = thrown(() => writeFileAtomic(path, new Uint8Array(1 << 20)));
      expect(error.message).toBe(`Could not write "${path}": the disk is full.`);
      expect(error.hint).toContain(`Free space on the disk that holds "${disk}"`);
      expect(readFileSync(path, 'utf8')).toBe('old');
      expect(readdirSync(disk)).toEqual(['a.bin']);
    } finally {
      execFileSync('umount', [disk]);
    }
  });

  it('leaves a whole file, old or new, whenever the process is killed', () => {
    const path = join(folder, 'killed.bin');
    writeFileAtomic(path, 'the old');
    const seen: string[] = [];
    everyMoment(
      () => writeFileAtomic(path, [Buffer.from('the '), Buffer.from('new')]),
      () => seen.push(readFileSync(path, 'utf8')),
    );
    // so many moments: open, two writes and the middle of each, sync, close and rename; then the folder is synced
    const replaced = seen.indexOf('the new');
    expect(seen).toEqual([
      ...new Array(replaced).fill('the old'),
      ...new Array(seen.length - replaced).fill('the new'),
    ]);
    expect(replaced).toBe(8);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('importFile', () => {
  it('says that a file is missing, and where it was looked for', async () => {
    const error = await importFile('./becaus.js', 'The reward').catch((cause) => cause);
    expect(error).toBeInstanceOf(HeedError);
    expect(error.message).toBe('The reward "./becaus.js" does not exist.');
    expect(error.hint).toContain(process.cwd());
  });

  it('says how to name a module in a folder that npm init made CommonJS', () => {
    const project = join(folder, 'project');
    mkdirSync(project);
    writeFileSync(join(project, 'package.json'), '{"type": "commonjs"}');
    const script = `
      import { importFile } from ${JSON.stringify(compileForChild(folder))};
      await importFile('because.js', 'The reward').catch(({ message, hint }) => console.log(message, hint));`;
    for (const text of ['export default 1;', "import { readFileSync } from 'node:fs';"]) {
      writeFileSync(join(project, 'because.js'), text);
      const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
        cwd: project,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      expect(said).toContain('The reward "because.js" cannot be loaded');
      expect(said).toContain('rename it to end in .mjs');
    }
  });
});
