/** The worker of thread.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { carried } from '../../error.ts';
import { createRewardEnsemble, type EnsembleSettings } from './ensemble.ts';
import type { FitJob, FitMessage } from './thread.ts';

const ensemble = createRewardEnsemble(...(workerData as EnsembleSettings));

async function carryOut({ ensemble: { state, tensors }, scale, comparisons, ...call }: FitJob): Promise<FitMessage> {
  try {
    ensemble.restore(state, tensors);
    ensemble.setScale(scale);
    const fit = await ensemble.fit(comparisons, call);
    return { fit, ensemble: ensemble.save() };
  } catch (error) {
    return { failed: carried(error) };
  }
}

parentPort!.on('message', async (job: FitJob | undefined) => {
  if (job) return parentPort!.postMessage(await carryOut(job));
  ensemble[Symbol.dispose]();
  parentPort!.close();
});
