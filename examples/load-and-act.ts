/** Loads a policy from a folder and lives an episode with it. `loadPolicy` also takes the folder of a run. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeEnvironment } from 'heed/env';
import { loadPolicy, rl, savePolicy } from 'heed/rl';

const folder = mkdtempSync(join(tmpdir(), 'agent-'));
const trained = await rl({ env: 'CartPole-v1', steps: 20_000, evaluations: 0 });
savePolicy(folder, trained.policy);

const policy = await loadPolicy(folder);
const environment = makeEnvironment('CartPole-v1');
const observation = new Float32Array(4);
environment.reset(1, observation);
let total = 0;
for (let done = false; !done; ) {
  const { reward, terminated, truncated } = environment.step([policy.act(observation) as number], observation);
  total += reward;
  done = terminated || truncated;
}
console.log(`return ${total}`);
