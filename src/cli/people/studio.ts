/** heed studio: the web page where people judge responses and clips, and watch runs. */
import type { Command } from 'commander';
import { startStudio } from '../../feedback/server/studio-server.ts';
import { openDatabase } from '../../feedback/store/database.ts';
import { METRICS_TOKEN } from '../../monitoring/access.ts';
import { startTraces } from '../../monitoring/traces.ts';
import { addFlags, settingsFrom } from '../program/flags.ts';
import { listenForInterrupt } from '../program/interrupt.ts';
import { isLogJson, logFormatOption, logNote, logRefusal, logRequest, writeLog } from '../program/log.ts';
import { createOutput } from '../program/output.ts';
import { checking, UsageError } from '../program/usage.ts';
import { hostsOf, portOf } from './address.ts';
import { signInFlagsSchema, signInOptions } from './sign-in.ts';
import { storeOption } from './store.ts';
import { openStudioChat } from './studio-model.ts';

export function addStudio(command: Command): void {
  command
    .addOption(storeOption())
    .option('--runs <dir>', 'folder of the runs to show', 'runs')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <n>', 'port to listen on; 0: any free port', portOf, 7331)
    .option('--hosts <names>', 'host names that browsers open the studio by, comma-separated')
    .option('--model <name>', 'folder or GGUF file of a model to chat with, or OWNER/NAME on the Hub')
    .option('--max-tokens <n>', 'maximum number of tokens in a response of the model', tokensOf, 256)
    .option('--trust-proxy', 'trust X-Forwarded-For and X-Forwarded-Proto, which your reverse proxy must set')
    .option('--private-webhooks', 'let webhooks call addresses on this machine and on its private networks')
    .option('--owner <name>', 'person whom the printed link signs in', 'me')
    .option('--drain <seconds>', 'seconds that requests under way get to finish when the studio closes', secondsOf, 10)
    .addOption(logFormatOption());
  addFlags(command, signInFlagsSchema);
  command.action((flags: Flags) => {
    const input = settingsFrom(command, signInFlagsSchema);
    const settings = checking(() => signInFlagsSchema.parse(input), input);
    return studio(flags, signInOptions(settings, process.env.HEED_OIDC_SECRET || undefined));
  });
}

interface Flags {
  store: string;
  runs: string;
  host: string;
  port: number;
  hosts?: string;
  trustProxy?: boolean;
  privateWebhooks?: boolean;
  model?: string;
  maxTokens: number;
  owner: string;
  drain: number;
  json?: boolean;
}

function tokensOf(text: string): number {
  const tokens = Number(text);
  if (!Number.isInteger(tokens) || tokens < 1) {
    throw new UsageError(`--max-tokens: expected a whole number of at least 1, got "${text}"`);
  }
  return tokens;
}

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (text.trim() === '' || !(seconds >= 0)) {
    throw new UsageError(`--drain: expected a number of seconds of at least 0, got "${text}"`);
  }
  return seconds;
}

async function studio({ store, hosts, ...flags }: Flags, signIn: ReturnType<typeof signInOptions>): Promise<void> {
  const output = createOutput(flags);
  const traces = await startTraces({ service: 'heed-studio' });
  const closing = `Closing the studio: requests under way get ${flags.drain} s. Ctrl-C again stops it at once.`;
  const interrupted = listenForInterrupt(logNote, closing);
  const chat = flags.model === undefined ? undefined : await openStudioChat(flags.model, flags);
  const database = await openDatabase(store);
  try {
    if (database.warning !== undefined) writeLog('warn', database.warning);
    const { runs, host, port, owner, trustProxy, privateWebhooks } = flags;
    const started = await startStudio({
      database,
      runs,
      host,
      port,
      owner,
      chat,
      tokens: chat,
      hosts: hostsOf(hosts),
      trustProxy,
      privateWebhooks,
      ...signIn,
      drain: 1000 * flags.drain,
      metricsToken: process.env[METRICS_TOKEN],
      onRefusal: logRefusal,
      onError: (text, request) => writeLog('error', text, { request }),
      ...(isLogJson() && { onRequest: logRequest }),
    });
    // logs are read by others: they have no link that signs in
    if (isLogJson()) logNote(`The studio of ${database.name} is open: ${started.url}`);
    else {
      output.say(`The studio of ${database.name} is open: ${started.link}`);
      const how = signIn.oidc?.only ? 'People sign in at the provider.' : 'The link signs you in once.';
      output.say(`${how} Ctrl-C closes the studio; no judgment is lost.`);
    }
    output.result({ url: started.url, link: started.link });
    if (!interrupted.signal.aborted)
      await new Promise((resolve) => interrupted.signal.addEventListener('abort', resolve));
    await started.close();
  } finally {
    interrupted.dispose();
    await database.close();
    chat?.[Symbol.dispose]();
    await traces?.close();
  }
}
