/** Makes `--agent` known to trainings; what it needs is loaded with the first agent. */
import { environmentKinds } from '../../align/agents/environment.ts';

environmentKinds.register('agent', async (source, options) =>
  (await import('./agent-tasks.ts')).openAgentTasks(source, options),
);
