/** GET /metrics: what the server counts, besides what every server of heed does. */
import { Hono, type MiddlewareHandler } from 'hono';
import { type ObserveOptions, observeRequests } from '../http/requests.ts';
import { createMetrics, METRICS_TYPE } from '../monitoring/metrics.ts';
import { addProcessMetrics } from '../monitoring/process-metrics.ts';
import { type Env, requestOf, type ServeContext } from './context.ts';
import { route } from './route.ts';

/** Counts requests, tokens and models, and shows the counts to keys with the scope `admin`. */
export function createServeMetrics(
  context: ServeContext,
  options: Omit<ObserveOptions, 'requesterOf' | 'clock'> = {},
): { observe: MiddlewareHandler; routes: Hono<Env> } {
  const metrics = createMetrics();
  const observe = observeRequests(metrics, {
    ...options,
    clock: context.clock,
    requesterOf: (c) => ({ key: requestOf(c)?.name }),
  });
  const tokens = metrics.counter('tokens_total', 'Tokens of finished completions.');
  context.hooks.usage.push((_key, usage) => {
    tokens.add({ kind: 'prompt' }, usage.prompt_tokens);
    tokens.add({ kind: 'completion' }, usage.completion_tokens);
  });
  const models = context.shelf.loaded;
  type Model = ReturnType<typeof models>[number];
  const byModel = (name: string, help: string, value: (model: Model) => number, type?: 'counter') =>
    metrics.read(name, help, () => models().map((model) => [{ model: model.name }, value(model)] as const), type);
  byModel('running', 'Completions that are being written.', ({ queue }) => queue.running);
  byModel('waiting', 'Completions that wait.', ({ queue }) => queue.waiting);
  const cached = 'Tokens of prompts that were in memory already.';
  byModel('cached_prompt_tokens_total', cached, ({ queue }) => queue.counts.cachedTokens, 'counter');
  const restarts = 'Completions that were restarted for lack of memory.';
  byModel('restarts_total', restarts, ({ queue }) => queue.counts.restarts, 'counter');
  byModel('model_bytes', 'Bytes of weights in memory.', ({ bytes }) => bytes);
  context.defer(addProcessMetrics(metrics));

  const summary = 'Counts in the text format of Prometheus';
  const routes = new Hono<Env>().get('/metrics', route({ summary, scope: 'admin', types: ['text/plain'] }), async (c) =>
    c.body(await metrics.text(), 200, { 'content-type': METRICS_TYPE }),
  );
  return { observe, routes };
}
