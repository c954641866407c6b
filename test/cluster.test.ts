/** heed on a real Ray cluster, which runs on this machine. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { heed, heedPath, ownFolder, resultsOf, rowsOf, start, traceOf } from './support/heed.ts';
import { hasRay, type RayCluster, startRay } from './support/ray.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const model = smallModel();
const at = (...names: string[]) => join(folder.path, ...names);
const lastLine = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1)!);
const results = (run: string) => resultsOf(at(run));

it('heed cluster says where no cluster answers', async () => {
  const { code, stderr } = await heed(['cluster', 'check', '--address', 'ray://head:10001'], folder.path);
  expect(code).toBe(1);
  expect(stderr).toContain('such as http://HOST:8265');
});

describe.skipIf(!hasRay)('on Ray (needs Ray)', () => {
  let cluster: RayCluster;
  beforeAll(async () => {
    cluster = await startRay();
  });
  afterAll(() => cluster?.stop());
  const run = (args: string[], env: Record<string, string> = {}) => heed(args, folder.path, { ...cluster.env, ...env });
  const onRay = () => ['--on', 'ray', '--heed', `"${process.execPath}" "${heedPath()}"`];

  const train = ['rl', '--env', 'CartPole-v1', '--steps', '60000', '--checkpoint-seconds', '0.5'];

  it('shows the nodes, refuses a wrong token, and tells why a job failed', async () => {
    const { stdout } = await run(['cluster', 'check', '--json']);
    expect(lastLine(stdout).nodes).toMatchObject([{ cpus: 1 }, { cpus: 1 }]);
    const wrong = await run(['cluster', 'list'], { RAY_AUTH_TOKEN: 'wrong' });
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('refused the token (403)') });
    const args = ['rl', '--env', 'CartPole-v1', '--out', 'dead', '--on', 'ray', '--heed', 'no-such-command'];
    const dead = await run(args);
    expect(dead).toMatchObject({ code: 1, stderr: expect.stringContaining('no-such-command: not found') });
  });

  it('sweeps as here, bit for bit, although the submitter is killed', async () => {
    const small = [
      ...['sweep', '--steps', '1280', '--random-steps', '256', '--episodes', '2', '--target', '20', '--seeds', '2'],
      ...['--ppo.environments', '4', '--ppo.minibatch', '64', '--segment.window', '10', '--schedule.rounds', '3'],
      ...['--schedule.until', '0.7', '--reward.first-steps', '10', '--reward.steps', '5'],
      ...['--vary', 'query.rule=random', '--labels', '4', '--jobs', '2'],
    ];
    expect(await heed([...small, '--out', 'here'], folder.path)).toMatchObject({ code: 0 });
    const killed = start([...small, ...onRay(), '--out', 'there'], folder.path, cluster.env);
    while (results('there').length < 1) await sleep(50);
    killed.child.kill('SIGKILL');
    await killed.end;
    expect(await run(['cluster', 'attach', 'there'])).toMatchObject({ code: 0 });
    expect(results('there')).toEqual(results('here'));
    const { jobs } = lastLine((await run(['cluster', 'list', '--json'])).stdout);
    expect(
      jobs.filter(({ metadata }: { metadata: { run?: string } }) => metadata.run?.startsWith('there')),
    ).toHaveLength(4);
  });

  it('stops with a checkpoint, and resumes in the storage with the same settings', async () => {
    expect(await heed([...train, '--out', 'whole'], folder.path)).toMatchObject({ code: 0 });
    const stopped = start([...train, ...onRay(), '--storage', at('shared'), '--out', 'kept'], folder.path, cluster.env);
    while (!existsSync(at('kept', 'metrics.jsonl'))) await sleep(50);
    const { job } = JSON.parse(readFileSync(at('kept', 'cluster.json'), 'utf8'));
    expect(await run(['cluster', 'stop', job])).toMatchObject({ code: 0 });
    expect(await stopped.end).toMatchObject({ code: 1, stderr: expect.stringContaining(`The job ${job} was stopped`) });
    const over = await run([...train, ...onRay(), '--out', 'whole']);
    expect(over).toMatchObject({ code: 1, stderr: expect.stringContaining('"whole" already holds a run') });
    expect(await run(['rl', '--resume', 'kept', ...onRay()])).toMatchObject({ code: 0 });
    const { order } = JSON.parse(readFileSync(at('kept', 'cluster.json'), 'utf8'));
    expect(traceOf(join(order.storage, 'run'))).toEqual(traceOf(at('whole')));
  });

  it('goes on from the last checkpoint when a node is lost', async () => {
    const two = ['one', 'two'].map((out) => start([...train, ...onRay(), '--out', out], folder.path, cluster.env));
    const steps = (out: string) => (existsSync(at(out, 'checkpoints')) ? readdirSync(at(out, 'checkpoints')) : []);
    while (!['one', 'two'].every((out) => steps(out).some((step) => Number(step) > 0))) await sleep(50);
    cluster.loseNode();
    const ends = await Promise.all(two.map(({ end }) => end));
    expect(ends).toMatchObject([{ code: 0 }, { code: 0 }]);
    expect(ends.filter(({ stderr }) => stderr.includes('was lost'))).toHaveLength(1);
    for (const out of ['one', 'two']) expect(traceOf(at(out))).toEqual(traceOf(at('whole')));
  });

  it.each([
    ['sft', ['--data', 'rows.jsonl', '--rows', '2', '--evaluations', '1']],
    ['dpo', ['--data', 'rows.jsonl', '--batch', '4']],
    ['ppo', ['--data', 'rows.jsonl', '--reward', smallModel('tiny-llama-rm'), '--batch', '4', '--max-tokens', '4']],
  ])('trains a language model by heed %s as here', async (command, settings) => {
    const rows = Array.from({ length: 8 }, (_, i) => ({ prompt: `${i}?`, chosen: ` ${i}.`, rejected: ' no' }));
    const text = ({ prompt, chosen, rejected }: (typeof rows)[number]) =>
      command === 'sft'
        ? { prompt, completion: chosen }
        : command === 'ppo'
          ? { prompt }
          : { prompt, chosen, rejected };
    writeFileSync(at('rows.jsonl'), rows.map((row) => `${JSON.stringify(text(row))}\n`).join(''));
    const training = [command, '--model', model, ...settings, '--steps', '2'];
    const [here, there] = [`${command}-here`, `${command}-there`];
    expect(await heed([...training, '--out', here], folder.path)).toMatchObject({ code: 0 });
    const { code, stderr } = await run([...training, ...onRay(), '--out', there]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    // nodes with other numbers of threads round differently
    const last = (out: string) => rowsOf(at(out)).at(-1)!;
    const measured = command === 'ppo' ? 'reward/mean' : 'loss/train';
    expect(last(there)).toMatchObject({ step: 2, [measured]: expect.closeTo(Number(last(here)[measured]), 3) });
    expect(existsSync(at(there, 'model', 'config.json'))).toBe(true);
  });
});
