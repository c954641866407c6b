/** Episodes of agents that hang, in tests. */
import type { AgentTasks } from '../../src/align/agents/environment.ts';

/**
 * Tasks whose episodes have all the time until so many of them have ended. Then their clock runs: those that hang are
 * late, and no others, however slow the machine is.
 */
export function lateAfter(ended: number, tasks: AgentTasks): AgentTasks {
  let over = 0;
  return {
    ...tasks,
    player(policy) {
      const player = tasks.player({ ...policy, clock: () => (over < ended ? 0 : performance.now()) });
      return {
        ...player,
        async play(...of) {
          const episode = await player.play(...of);
          over++;
          return episode;
        },
      };
    },
  };
}
