/** How busy the machine is that the studio runs on, where trainings often run too. */
import { availableParallelism, freemem, loadavg, totalmem } from 'node:os';
import { Hono } from 'hono';
import { type Env, personOf } from './context.ts';

export const machineRoutes = (): Hono<Env> =>
  new Hono<Env>().get('/', (context) => {
    personOf(context);
    const memory = { total: totalmem(), free: freemem(), studio: process.memoryUsage.rss() };
    return context.json({ cores: availableParallelism(), load: loadavg()[0], memory });
  });
