/** The environments of the strangers' benchmark, opened under names that no preset has. */
import * as env from '../../dist/env/index.js';
import * as worlds from './worlds.js';

const makeClassic = {
  ...env,
  lunarLanderContinuous: () => env.lunarLander({ continuous: true }),
};

/** Greedy episodes that a return is the mean of: in Blackjack most of it is luck. */
export const episodesIn = (name) => (name === 'gym:Blackjack-v1' ? 2000 : 50);

/** The environment as `learnFromPreferences` takes it. */
export function disguised(name) {
  if (name in worlds) return worlds[name];
  if (name.startsWith('gym:')) return name;
  return () => ({ ...makeClassic[name](), id: `stranger ${name}` });
}
