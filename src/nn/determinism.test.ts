import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, expect, test } from 'vitest';

const src = fileURLToPath(new URL('..', import.meta.url));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'heed-determinism-'));
  compileForChild(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A child is plain Node, which may know no TypeScript: it runs these modules compiled. */
function compileForChild(to: string): void {
  const inside = (name: string) =>
    readdirSync(join(src, name), { recursive: true, encoding: 'utf8' }).map((file) => join(name, file));
  const modules = ['error.ts', 'files.ts', 'random.ts', ...inside('engine'), ...inside('nn')];
  for (const name of modules.filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))) {
    const { outputText } = ts.transpileModule(readFileSync(join(src, name), 'utf8'), {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
    });
    const path = join(to, 'src', name.replace(/ts$/, 'js'));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, outputText.replaceAll(/'(\.[./\w-]+)\.ts'/g, "'$1.js'"));
  }
  writeFileSync(join(to, 'package.json'), '{"type":"module"}');
  symlinkSync(join(src, '..', 'node_modules'), join(to, 'node_modules'), 'junction');
}

/** Trains a small net for 50 steps in a process of its own; gives the parameters' and the moments' bits as hex. */
function train(seed: number, threads: number, kind: string): string {
  const script = `
    const at = (name) => import(${JSON.stringify(`${pathToFileURL(join(folder, 'src'))}/`)} + name);
    const { input, mean, square, sub } = await at('engine/index.js');
    const { createOptimizer, createParameters, createTrainStep, mlp } = await at('nn/index.js');
    const { random } = await at('random.js');
    const network = mlp('net', { sizes: [16, 64, 64, 4] });
    const parameters = createParameters(network.parameters, random(${seed}, 'weights'));
    const build = (g) => ({
      loss: mean(square(sub(network.apply(input(g, 'x', ['n', 16])), input(g, 'y', ['n', 4])))),
    });
    const step = createTrainStep(parameters, build, { dims: { n: 256 } });
    const optimizer = createOptimizer(parameters, step.gradients, { kind: '${kind}', maxGradientNorm: 0.5 });
    const rng = random(${seed}, 'data');
    for (let i = 0; i < 50; i++) {
      for (const { data } of Object.values(step.inputs)) for (let k = 0; k < data.length; k++) data[k] = rng.normal();
      step.run();
      optimizer.step(1e-2);
    }
    const hex = (flat) => Buffer.from(flat.buffer, flat.byteOffset, flat.byteLength).toString('hex');
    console.log([parameters.flat, ...Object.values(optimizer.state.moments)].map(hex).join(' '));`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, HEED_THREADS: String(threads) },
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

test.each([
  { threads: 1, kind: 'adamw' },
  { threads: 2, kind: 'adamw' },
  { threads: 2, kind: 'adafactor' },
])('two processes with one seed train to the same bits: $kind, $threads threads', ({ threads, kind }) => {
  const [first, second] = [1, 2].map(() => train(1, threads, kind));
  expect(first.length).toBeGreaterThan(10_000);
  expect(first === second).toBe(true);
});

test('another seed trains to others', () => {
  expect(train(2, 1, 'adamw') === train(1, 1, 'adamw')).toBe(false);
});
