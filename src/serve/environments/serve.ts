/**
 * Serves a language environment by OpenEnv's protocol, so that TRL and others train on it:
 *
 *     const server = await serveEnvironment(await openLanguageTasks('./calculator.js'), { port: 8000 });
 *
 * A client's session is a WebSocket at `/ws`: see docs/reference/environment-servers.md. Run it: heed env serve FILE
 */
import { Hono } from 'hono';
import { WebSocketServer } from 'ws';
import { z } from 'zod';
import { checkedTasks, type LanguageTasks } from '../../align/agents/environment.ts';
import { isLoopback } from '../../http/hosts.ts';
import { listen } from '../../http/listen.ts';
import { parseOptions } from '../../options.ts';
import { episodeTurnSchema, errorReply, observationSchema, openEpisodeSession } from './session.ts';

/** Schema of the options of `serveEnvironment`. */
export const environmentServerSchema = z.object({
  host: z.string().default('127.0.0.1').describe('address to listen on; one that others reach lets them use it'),
  port: z.number().int().min(0).max(65_535).default(8000).describe('port to listen on; 0: any free port'),
  sessions: z.number().int().min(1).default(64).describe('sessions at once'),
  seconds: z.number().positive().default(30).describe('seconds that the environment may take for a turn'),
});
/** The options of `serveEnvironment`. */
export type EnvironmentServerOptions = z.input<typeof environmentServerSchema>;

/** A server of an environment. */
export interface EnvironmentServer {
  /** Its base URL, such as `http://127.0.0.1:8000`. */
  readonly url: string;
  /** Ends all sessions, and stops. */
  close(): Promise<void>;
}

const LARGEST = 2 ** 24; // bytes of a message

const schemaOf = (title: string, schema: z.ZodType) => ({ title, ...z.toJSONSchema(schema, { io: 'input' }) });
const stateSchema = z.object({ episode_id: z.string().nullable(), step_count: z.number().int() });

/**
 * Starts a server.
 *
 * @throws HeedError if an option or the environment is wrong, or it cannot listen on the address.
 */
export async function serveEnvironment(
  environment: LanguageTasks,
  options: EnvironmentServerOptions = {},
): Promise<EnvironmentServer> {
  const { host, port, sessions: most, seconds } = parseOptions(environmentServerSchema, options);
  const tasks = checkedTasks(environment);
  let episodes = 0;
  let open = 0;
  const schemas = {
    action: schemaOf('TurnAction', episodeTurnSchema),
    observation: schemaOf('MessagesObservation', observationSchema),
    state: schemaOf('State', stateSchema),
  };
  const { name } = tasks;
  const description = `${tasks.tasks.length} tasks, served by heed`;
  const app = new Hono()
    .get('/health', (c) => c.json({ status: 'healthy' }))
    .get('/metadata', (c) => c.json({ name, description }))
    .get('/schema', (c) => c.json(schemas))
    .all('*', (c) => c.json({ detail: 'Sessions are WebSockets at /ws. See /schema for actions.' }, 404));
  const { server, url } = await listen(app.fetch, { name: 'server', host, port });
  const sockets = new WebSocketServer({ noServer: true, maxPayload: LARGEST });
  server.on('upgrade', (request, socket, head) => {
    const { pathname } = new URL(request.url ?? '/', 'http://any');
    // pages of other origins may open sockets to this machine
    const { origin } = request.headers;
    const isForeign = origin !== undefined && isLoopback(host) && new URL(origin).host !== request.headers.host;
    if (pathname !== '/ws' || isForeign) {
      socket.end(`HTTP/1.1 ${isForeign ? '403 Forbidden' : '404 Not Found'}\r\nConnection: close\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      if (open >= most) {
        client.send(JSON.stringify(errorReply(`All ${most} sessions are in use.`, 'CAPACITY_REACHED')));
        client.close();
        return;
      }
      open++;
      const session = openEpisodeSession(tasks, { seconds, next: () => episodes++ });
      let last: Promise<void> = Promise.resolve();
      client.on('message', (data) => {
        // one after another, as they came
        last = last.then(async () => {
          const reply = await session.answer(String(data));
          if (reply === undefined) client.close();
          else client.send(JSON.stringify(reply));
        });
      });
      client.on('error', () => {}); // such as a message that is too large: it closes
      client.once('close', () => {
        open--;
        void last.finally(() => session[Symbol.dispose]());
      });
    });
  });
  return {
    url,
    async close() {
      for (const client of sockets.clients) client.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
