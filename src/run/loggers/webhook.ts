/** Sends alerts of a run, and how it ended, as JSON to a webhook, such as a chat's or a pager's. */
import type { RunInfo } from '../run.ts';
import type { RunLogger } from './logger.ts';
import { ask, createOutbox } from './outbox.ts';

export function createWebhook(
  url: string,
  run: { folder: string; info: RunInfo },
  onWarning: (text: string) => void,
): RunLogger {
  const outbox = createOutbox<object>({
    name: `The webhook at ${new URL(url).host}`,
    send: async ([body]) => {
      await ask(url, { body });
    },
    most: 1,
    wait: 0,
    onWarning,
  });
  const { name, command } = run.info;
  const about = { run: run.folder, name, command };
  return {
    metrics() {},
    sample(sample) {
      // chats show `text`
      if (sample.kind === 'alert')
        outbox.add({ ...about, ...sample, text: `${name}, step ${sample.step}: ${sample.text}` });
    },
    async close(status) {
      outbox.add({ ...about, kind: 'end', status, text: `${name} has ${status}.` });
      await outbox.close();
    },
  };
}
