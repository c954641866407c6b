/**
 * Shows a training to Prometheus: `GET /metrics` on a port of its own, as long as it runs. A training may run where no
 * studio is, and a target that is gone says by itself that the training has ended.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { messageOf } from '../../error.ts';
import { bearerOf, isLocal, isToken, METRICS_TOKEN } from '../../monitoring/access.ts';
import { createMetrics, METRICS_TYPE, type MetricSample } from '../../monitoring/metrics.ts';
import { addProcessMetrics } from '../../monitoring/process-metrics.ts';
import type { RunInfo } from '../run.ts';
import type { RunLogger } from './logger.ts';

/** Reads `PORT` or `ADDRESS:PORT`, by default of this machine alone; undefined of anything else. */
export function prometheusAddress(text = ''): { host: string; port: number } | undefined {
  const [, host = '127.0.0.1', port] = /^(?:\[?([\w.:-]+?)\]?:)?(\d{1,5})$/.exec(text) ?? [];
  const isHost = host === 'localhost' || isIP(host) !== 0;
  return port !== undefined && Number(port) <= 65_535 && isHost ? { host, port: Number(port) } : undefined;
}

/** Serves the latest metrics of a run. Its step and numbers are shown; its settings and samples are not. */
export function createPrometheus(
  to: string,
  run: { info: RunInfo },
  onWarning: (text: string) => void,
  token = process.env[METRICS_TOKEN],
): RunLogger & { url: Promise<string | undefined> } {
  const { host, port } = prometheusAddress(to)!;
  const { name, command } = run.info;
  const about = { run: name, command };
  const latest = new Map<string, number>();
  let [step, time, alerts] = [0, 0, 0];
  const metrics = createMetrics();
  const one = (value: () => number) => (): MetricSample[] => [[about, value()]];
  metrics.read(
    'training_step',
    'The latest step.',
    one(() => step),
  );
  const when = 'Unix time of the latest step; 0 before the first.';
  metrics.read(
    'training_last_step_seconds',
    when,
    one(() => time),
  );
  metrics.read(
    'training_alerts_total',
    'Alerts of the run.',
    one(() => alerts),
    'counter',
  );
  metrics.read('training_metric', 'The latest value of each metric of the run.', () =>
    [...latest].map(([metric, value]) => [{ ...about, metric }, value] as const),
  );
  const stop = addProcessMetrics(metrics);

  async function answer({ method, url, headers, socket }: IncomingMessage, response: ServerResponse): Promise<void> {
    const refuse = (status: number, text: string) => response.writeHead(status).end(`${text}\n`);
    if (method !== 'GET' || url !== '/metrics') return void refuse(404, 'See /metrics.');
    const local = isLocal(socket.remoteAddress, (header) => headers[header]?.toString());
    if (!local && !isToken(bearerOf(headers.authorization), token)) {
      return void refuse(
        401,
        `The metrics are for this machine, and for clients that send ${METRICS_TOKEN} as a bearer token.`,
      );
    }
    response.writeHead(200, { 'content-type': METRICS_TYPE }).end(await metrics.text());
  }

  const server = createServer((request, response) => void answer(request, response));
  const url = new Promise<string | undefined>((resolve) => {
    server.once('error', (error) => {
      onWarning(`Metrics cannot be shown at ${host}:${port}: ${messageOf(error)}. Training continues.`);
      resolve(undefined);
    });
    server.listen(port, host, () => {
      const { port: actual } = server.address() as { port: number };
      resolve(`http://${host.includes(':') ? `[${host}]` : host}:${actual}/metrics`);
    });
  });
  server.unref();
  return {
    url,
    metrics({ step: at, time: then, ...values }) {
      [step, time] = [at, then];
      for (const [metric, value] of Object.entries(values)) latest.set(metric, value);
    },
    sample(sample) {
      if (sample.kind === 'alert') alerts++;
    },
    async close() {
      stop();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}
