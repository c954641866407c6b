export { cellsOnRay } from './cells.ts';
export type { JobEnd } from './frames.ts';
export type { Order } from './job.ts';
export {
  hasEnded,
  listJobs,
  listNodes,
  openRay,
  type Ray,
  type RayJob,
  type RayJobInput,
  type RayNode,
  type RayOptions,
  type Resources,
  rayVersion,
  readJob,
  readLog,
  stopJob,
  submitJob,
  uploadPackage,
} from './ray.ts';
export { fetchRun, followRun, planRun, type RemoteOptions, type RemoteParts } from './remote.ts';
export { type TrainerFileParts, writeTrainerFiles } from './trainers/files.ts';
export { checkModelFolder, type Manifest } from './trainers/model-folder.ts';
export { type TrainerResult, type TrainOnParts, trainOn } from './trainers/train.ts';
export { type TrainerName, type TrainerOptions, trainerNames } from './trainers/trainer.ts';
export { faultsOf, type TrainerStage, trainers } from './trainers/translate.ts';
