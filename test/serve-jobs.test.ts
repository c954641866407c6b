/** Files, graders and fine-tuning jobs of `heed serve`, by OpenAI's own client. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { Server } from '../src/serve/serve.ts';
import { ownFolder, start } from './support/heed.ts';
import { pythonWith } from './support/python.ts';
import { smallModel } from './support/training.ts';

const tiny = smallModel();
const folder = ownFolder();
const serveModule = (): Promise<typeof import('../src/serve/index.ts')> =>
  import(join(inject('compiled'), 'dist', 'serve', 'index.js'));
const clientOf = (baseURL: string) => new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
let server: Server;
let client: OpenAI;

beforeAll(async () => {
  const { serve } = await serveModule();
  server = await serve({
    models: { tiny },
    ...{ folder: join(folder.path, 'serve'), runs: join(folder.path, 'runs'), memory: '1GiB', port: 0 },
  });
  client = clientOf(server.url);
});
afterAll(() => server?.close());

const upload = async (rows: readonly unknown[], to = client) =>
  to.files.create({
    purpose: 'fine-tune',
    file: await toFile(Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join('')), 'rows.jsonl'),
  });
const says = (role: string, content: string) => ({ role, content });
const chats = Array.from({ length: 12 }, (_, i) => ({
  messages: [says('user', `Count ${i}`), says('assistant', i % 2 ? 'odd' : 'even')],
}));

/** The job once it is in one of these states. */
async function until(id: string, statuses: readonly string[], from = client) {
  for (;;) {
    const job = await from.fineTuning.jobs.retrieve(id);
    if (statuses.includes(job.status)) return job;
    if (['failed', 'cancelled', 'succeeded'].includes(job.status))
      throw new Error(`${job.status}: ${job.error?.message}`);
    await wait(50);
  }
}
const finished = (id: string, from = client) => until(id, ['succeeded'], from);

const chat = async (model: string, from = client) => {
  const { choices, usage } = await from.chat.completions.create({
    ...{ model, messages: [{ role: 'user', content: 'Count 3' }], max_completion_tokens: 4, temperature: 0 },
  });
  expect(usage!.completion_tokens).toBeGreaterThan(0);
  return choices[0].message.content;
};

test('files are kept, listed in pages, read and deleted; bad ones name the line', async () => {
  const bytes = Buffer.from(`\ufeff${JSON.stringify(chats[0])}\r\n\n${JSON.stringify(chats[1])}`);
  const file = await client.files.create({
    ...{ purpose: 'fine-tune', file: await toFile(bytes, 'a"b.jsonl') },
    expires_after: { anchor: 'created_at', seconds: 3600 },
  });
  expect(file).toMatchObject({ object: 'file', bytes: bytes.length, purpose: 'fine-tune', status: 'processed' });
  expect(file.expires_at! - file.created_at).toBe(3600);
  expect(Buffer.from(await (await client.files.content(file.id)).arrayBuffer())).toEqual(bytes);
  const others = await Promise.all(
    // the client sends a stream in chunks, without its length
    [new File(['x'], 'x'), createReadStream(join(tiny, 'config.json'))].map((file) =>
      client.files.create({ purpose: 'user_data', file }),
    ),
  );
  expect(others[1].bytes).toBe(statSync(join(tiny, 'config.json')).size);
  const ids: string[] = [];
  for await (const { id } of client.files.list({ limit: 1, order: 'asc' })) ids.push(id);
  expect(ids.sort()).toEqual([file, ...others].map(({ id }) => id).sort());
  expect((await client.files.list({ purpose: 'user_data' })).data).toHaveLength(2);
  for (const { id } of [file, ...others]) expect(await client.files.delete(id)).toMatchObject({ id, deleted: true });
  await expect(client.files.retrieve(file.id)).rejects.toMatchObject({ status: 404 });

  const bad = (text: string) => client.files.create({ purpose: 'fine-tune', file: new File([text], 'x.jsonl') });
  await expect(bad('{"messages": []}\n{"messages": [}\n')).rejects.toMatchObject({
    status: 400,
    param: 'file',
    message: expect.stringContaining('Line 2 of the file is not JSON'),
  });
  await expect(bad('\n')).rejects.toThrow('The file is empty');
  await expect(client.files.create({ purpose: 'x' as never, file: new File(['x'], 'x') })).rejects.toMatchObject({
    status: 400,
    param: 'purpose',
  });
  await expect(client.files.retrieve('../serve.db')).rejects.toMatchObject({ status: 404 });
  const form = (type: string, body: string) =>
    fetch(`${server.url}/files`, { method: 'POST', headers: { 'content-type': type }, body });
  expect((await form('application/json', '{}')).status).toBe(400);
  expect(
    (
      await form(
        'multipart/form-data; boundary=x',
        '--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\ncut',
      )
    ).status,
  ).toBe(400);
  expect((await client.files.list()).data).toHaveLength(0);
});

test('uploads put parts together in the order that is asked for, and check them', async () => {
  const parts = [`${JSON.stringify(chats[0])}\n`, JSON.stringify(chats[1])];
  const whole = parts.join('');
  const create = () =>
    client.uploads.create({
      purpose: 'fine-tune',
      filename: 'big.jsonl',
      bytes: whole.length,
      mime_type: 'application/jsonl',
    });
  const pending = await create();
  const second = await client.uploads.parts.create(pending.id, { data: new File([parts[1]], '1') });
  const first = await client.uploads.parts.create(pending.id, { data: new File([parts[0]], '0') });
  const complete = (part_ids: string[], md5?: string) => client.uploads.complete(pending.id, { part_ids, md5 });
  await expect(complete([first.id])).rejects.toThrow('announced');
  await expect(complete([first.id, first.id])).rejects.toThrow('named twice');
  await expect(complete([first.id, second.id], '0'.repeat(32))).rejects.toMatchObject({ param: 'md5' });
  const md5 = createHash('md5').update(whole).digest('hex');
  const { status, file } = await complete([first.id, second.id], md5);
  expect(status).toBe('completed');
  expect(await (await client.files.content(file!.id)).text()).toBe(whole);
  await expect(client.uploads.parts.create(pending.id, { data: new File(['x'], 'x') })).rejects.toThrow('completed');
  const other = await create();
  expect((await client.uploads.cancel(other.id)).status).toBe('cancelled');
  await client.files.delete(file!.id);
});

test('graders run, and what is wrong with one is named', async () => {
  const { run, validate } = client.fineTuning.alpha.graders;
  const graders = client.fineTuning.alpha.graders;
  const check = {
    ...{ type: 'string_check' as const, name: 'same', operation: 'eq' as const },
    ...{ input: '{{ sample.output_json.answer }}', reference: '{{ item.answer }}' },
  };
  expect(
    await run.call(graders, { grader: check, model_sample: '{"answer": 4}', item: { answer: '4' } }),
  ).toMatchObject({
    ...{ reward: 1, sub_rewards: {}, metadata: { name: 'same', type: 'string_check', errors: { other_error: false } } },
  });
  expect(await run.call(graders, { grader: check, model_sample: 'no', item: { answer: '4' } })).toMatchObject({
    ...{ reward: 0, metadata: { errors: { sample_parse_error: true } } },
  });
  const score = {
    ...{
      type: 'score_model' as const,
      name: 'judge',
      model: 'tiny',
      input: [{ role: 'user' as const, content: 'Rate {{sample.output_text}}' }],
    },
    sampling_params: { max_completions_tokens: 4, seed: 1 },
  };
  const judged = await run.call(graders, { grader: score, model_sample: 'x' });
  expect(judged.metadata).toMatchObject({ sampled_model_name: 'tiny', errors: { model_grader_server_error: false } });
  expect(judged.model_grader_token_usage_per_model.tiny).toBeGreaterThan(0);
  expect(await validate.call(graders, { grader: check })).toEqual({ grader: check });
  const python = { type: 'python' as const, name: 'p', source: 'def grade(sample, item): return 1' };
  await expect(validate.call(graders, { grader: python })).rejects.toMatchObject({
    status: 400,
    message: expect.stringContaining('JavaScript'),
  });
  await expect(validate.call(graders, { grader: { ...score, model: 'gone' } })).rejects.toMatchObject({
    status: 400,
    code: 'model_not_found',
  });
});

test('a supervised job: events, checkpoints, results, and a model that answers', async () => {
  const [training, validation] = await Promise.all([upload(chats), upload(chats.slice(0, 4))]);
  const created = await client.fineTuning.jobs.create({
    ...{ model: 'tiny', training_file: training.id, validation_file: validation.id, suffix: 'parity', seed: 3 },
    ...{ metadata: { team: 'a' }, hyperparameters: { n_epochs: 2, batch_size: 6, learning_rate_multiplier: 2 } },
  });
  expect(created).toMatchObject({
    object: 'fine_tuning.job',
    status: 'validating_files',
    fine_tuned_model: null,
    seed: 3,
  });
  const response = await fetch(`${server.url}/fine_tuning/jobs/${created.id}/events?stream=true`);
  const streamed = (await response.text())
    .split('\n\n')
    .filter(Boolean)
    .map((line) => line.replace(/^data: /, ''));
  expect(streamed.at(-1)).toBe('[DONE]');
  const job = await finished(created.id);
  const name = `ft:tiny:heed:parity:${job.id.slice(6, 14)}`;
  expect(job).toMatchObject({ fine_tuned_model: name, error: null, hyperparameters: { n_epochs: 2, batch_size: 6 } });
  expect(job.trained_tokens).toBeGreaterThan(100);

  const events = [];
  for await (const event of client.fineTuning.jobs.listEvents(job.id, { limit: 3 })) events.push(event);
  expect(events.map(({ id }) => id).reverse()).toEqual(streamed.slice(0, -1).map((line) => JSON.parse(line).id));
  expect(events[0].message).toBe('The job has successfully completed');
  const steps = events.filter(({ type }) => type === 'metrics').map(({ data }) => data as Record<string, number>);
  expect(steps.map(({ step }) => step)).toEqual([4, 3, 2, 1]);
  expect(steps[0]).toMatchObject({ total_steps: 4, train_loss: expect.any(Number), valid_loss: expect.any(Number) });

  const { data: checkpoints } = await client.fineTuning.jobs.checkpoints.list(job.id);
  expect(checkpoints.map(({ step_number }) => step_number)).toEqual([4, 2]);
  expect(checkpoints[1].fine_tuned_model_checkpoint).toBe(`${name}:ckpt-step-2`);
  const csv = await (await client.files.content(job.result_files[0])).text();
  expect(csv.split('\n')[0]).toMatch(/^step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy,/);
  expect(csv.trim().split('\n')).toHaveLength(5);

  await chat(name);
  await chat(checkpoints[1].fine_tuned_model_checkpoint);
  expect((await client.fineTuning.jobs.list({ metadata: { team: 'a' } })).data.map(({ id }) => id)).toEqual([job.id]);
  expect((await client.fineTuning.jobs.list({ metadata: { team: 'b' } })).data).toEqual([]);
  await client.models.delete(name);
  await expect(chat(name)).rejects.toMatchObject({ status: 404 });
});

test('dpo and reinforcement train, and their models answer', async () => {
  const pairs = chats.map(({ messages: [user, { content }] }) => ({
    input: { messages: [user], tools: [], parallel_tool_calls: true },
    preferred_output: [says('assistant', content)],
    non_preferred_output: [says('assistant', 'never')],
  }));
  const prompts = chats.slice(0, 4).map(({ messages }) => ({ messages: [messages[0]], answer: { letter: 'e' } }));
  const source =
    'function grade(sample, item) { return [...sample.output_text].filter((c) => c === item.answer.letter).length; }';
  const [dpo, reinforcement] = await Promise.all([
    client.fineTuning.jobs.create({
      ...{ model: 'tiny', training_file: (await upload(pairs)).id, seed: 1 },
      method: { type: 'dpo', dpo: { hyperparameters: { n_epochs: 1, batch_size: 4, beta: 0.2 } } },
    }),
    client.fineTuning.jobs.create({
      ...{ model: 'tiny', training_file: (await upload(prompts)).id, seed: 1 },
      method: {
        type: 'reinforcement',
        reinforcement: {
          grader: {
            ...{ type: 'multi', name: 'letters', calculate_output: 'letters + 0.1 * max(text, 0)' },
            graders: {
              letters: { type: 'javascript', name: 'letters', source },
              text: {
                type: 'text_similarity',
                name: 't',
                evaluation_metric: 'fuzzy_match',
                input: '{{sample.output_text}}',
                reference: '{{item.answer.letter}}',
              },
            } as never,
          },
          hyperparameters: { n_epochs: 1, batch_size: 2, eval_interval: 2, ...{ max_completion_tokens: 6 } },
        },
      },
    }),
  ]);
  const one = await finished(dpo.id);
  expect(one.method).toMatchObject({
    type: 'dpo',
    dpo: { hyperparameters: { beta: 0.2, n_epochs: 1, batch_size: 4 } },
  });
  await chat(one.fine_tuned_model!);
  const other = await finished(reinforcement.id);
  await chat(other.fine_tuned_model!);
  const { data } = await client.fineTuning.jobs.listEvents(other.id);
  expect(data.find(({ type }) => type === 'metrics')!.data).toMatchObject({
    step: 2,
    train_mean_reward: expect.any(Number),
    valid_mean_reward: expect.any(Number),
  });
});

test('what a job cannot do is refused by name, and bad lines are listed', async () => {
  const { id: training_file } = await upload(chats);
  const create = (body: object) => client.fineTuning.jobs.create({ model: 'tiny', training_file, ...body });
  for (const [body, status, param] of [
    [{ model: 'gone' }, 404, 'model'],
    [{ training_file: 'file-gone' }, 404, 'training_file'],
    [{ integrations: [{ type: 'wandb', wandb: { project: 'x' } }] }, 400, 'integrations'],
    [{ method: { type: 'dpo', dpo: { hyperparameters: { beta: -1 } } } }, 400, 'method.dpo.hyperparameters.beta'],
    [{ method: { type: 'reinforcement' } }, 400, 'method.reinforcement.grader'],
    [{ suffix: 'a:b' }, 400, 'suffix'],
    [{ n_epochs: 3 }, 400, 'n_epochs'],
  ] as const) {
    await expect(create(body), JSON.stringify(body)).rejects.toMatchObject({ status, param });
  }
  const effort = { type: 'reinforcement', reinforcement: { grader: {}, hyperparameters: { reasoning_effort: 'low' } } };
  await expect(create({ method: effort })).rejects.toThrow('reasoning_effort');
  const { serve } = await serveModule();
  const small = await serve({ models: { tiny }, folder: join(folder.path, 'small'), memory: '4MiB', port: 0 });
  const { id: file } = await upload(chats, clientOf(small.url));
  await expect(
    clientOf(small.url).fineTuning.jobs.create({ model: 'tiny', training_file: file }),
  ).rejects.toMatchObject({
    status: 400,
    code: 'insufficient_memory',
    message: expect.stringMatching(/would take .* GiB/),
  });
  await small.close();
  const permissions = await fetch(`${server.url}/fine_tuning/checkpoints/x/permissions`);
  expect([permissions.status, await permissions.text()]).toEqual([404, expect.stringContaining('no permissions')]);

  const rows = [
    chats[0],
    { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] },
    { messages: [says('user', 'x'), { ...says('assistant', 'y'), weight: 0 }] },
    { messages: [says('bot', 'x'), says('assistant', 'y')] },
    { prompt: 'x', completion: 'y' },
  ];
  const { id } = await client.fineTuning.jobs.create({ model: 'tiny', training_file: (await upload(rows)).id });
  const { error } = await until(id, ['failed']);
  expect(error).toMatchObject({ code: 'invalid_training_file', param: 'training_file' });
  expect(error!.message).toContain('line 2: messages[0].content[0] expected a part of the type "text"');
  expect(error!.message).toContain('line 3: messages has no message by the assistant to learn');
  expect(error!.message).toContain('line 4: messages[0].role unknown');
  expect(error!.message).not.toContain('line 5');
});

test('a job is cancelled, or paused and resumed; others wait for it', async () => {
  const { id: training_file } = await upload(chats);
  const create = (n_epochs: number) =>
    client.fineTuning.jobs.create({ model: 'tiny', training_file, hyperparameters: { n_epochs, batch_size: 12 } });
  const [long, next] = [await create(1000), await create(1)];
  const stepped = async (id: string) => {
    while (!(await client.fineTuning.jobs.listEvents(id)).data.some(({ type }) => type === 'metrics')) await wait(20);
  };
  await stepped(long.id);
  expect((await client.fineTuning.jobs.retrieve(next.id)).status).toMatch(/validating_files|queued/);
  expect((await client.fineTuning.jobs.pause(long.id)).status).toBe('paused');
  await finished(next.id);
  expect((await client.fineTuning.jobs.resume(long.id)).status).toMatch(/queued|running/);
  await until(long.id, ['running']);
  expect((await client.fineTuning.jobs.cancel(long.id)).status).toBe('cancelled');
  await expect(client.fineTuning.jobs.resume(long.id)).rejects.toThrow('cancelled');
  await expect(client.fineTuning.jobs.cancel(long.id)).rejects.toMatchObject({ status: 400 });
});

test('a job survives kill -9 of its process and of the server, and ends with the same weights', async () => {
  const open = async () => {
    const args = ['serve', '--model', `tiny=${tiny}`, '--folder', 'other', '--port', '0', '--checkpoint-seconds', '0'];
    const running = start(args, folder.path);
    const early = running.end.then(({ stderr }) => Promise.reject(new Error(stderr)));
    early.catch(() => {});
    const [said] = await Promise.race([once(running.child.stdout!, 'data'), early]);
    return { running, client: clientOf(/http\S+\/v1/.exec(String(said))![0]) };
  };
  const reached = async (from: OpenAI, id: string, step: number) => {
    for (;;) {
      const { data } = await from.fineTuning.jobs.listEvents(id, { limit: 100 });
      if (data.some(({ data }) => ((data as { step?: number } | null)?.step ?? 0) >= step)) return;
      await wait(10);
    }
  };
  const first = await open();
  const { id: training_file } = await upload(chats, first.client);
  const create = (from: OpenAI) =>
    from.fineTuning.jobs.create({
      model: 'tiny',
      training_file,
      seed: 5,
      hyperparameters: { n_epochs: 8, batch_size: 6 },
    });
  const { id } = await create(first.client);
  await reached(first.client, id, 2);
  const run = join(folder.path, 'runs', id);
  process.kill(JSON.parse(readFileSync(join(run, 'lock'), 'utf8')).pid, 'SIGKILL');
  await reached(first.client, id, 5);
  first.running.child.kill('SIGKILL');
  await first.running.end;

  const second = await open();
  const whole = await create(second.client);
  const job = await finished(id, second.client);
  const { data } = await second.client.fineTuning.jobs.listEvents(id, { limit: 100 });
  expect(data.filter(({ message }) => message === 'Fine-tuning job resumed')).toHaveLength(2);
  await finished(whole.id, second.client);
  const weights = (job: string) =>
    createHash('sha256')
      .update(readFileSync(join(folder.path, 'runs', job, 'model', 'model.safetensors')))
      .digest('hex');
  expect(weights(id)).toBe(weights(whole.id));
  await chat(job.fine_tuned_model!, second.client);
  second.running.child.kill('SIGTERM');
  await second.running.end;
});

const python = pythonWith('openai');

test.skipIf(!python)(
  "OpenAI's client for Python uploads a file, trains and asks (needs the Python clients)",
  async () => {
    const program = `
import sys, time, openai
client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
rows = sys.argv[2].encode()
file = client.files.create(file=("rows.jsonl", rows), purpose="fine-tune")
job = client.fine_tuning.jobs.create(model="tiny", training_file=file.id, hyperparameters={"n_epochs": 1, "batch_size": 4})
while job.status not in ("succeeded", "failed"):
    time.sleep(0.1)
    job = client.fine_tuning.jobs.retrieve(job.id)
assert client.files.content(file.id).read() == rows
print(len(list(client.fine_tuning.jobs.list_events(job.id, limit=2))))
print(client.chat.completions.create(model=job.fine_tuned_model, messages=[{"role": "user", "content": "x"}], max_tokens=3).object)
`;
    const rows = chats.map((row) => JSON.stringify(row)).join('\n');
    const { stdout } = await promisify(execFile)(python!, ['-c', program, server.url, rows]);
    expect(stdout.trim().split('\n')).toEqual([expect.stringMatching(/^\d+$/), 'chat.completion']);
  },
);
